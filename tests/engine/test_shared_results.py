"""Runs of one survey that would compute the same from the same untrained encoder compute it once."""

from __future__ import annotations

from typing import Any

import pytest
from plugin_factory import make_plugin

ONCE = """
import numpy as np
from deeplense_registry import Evaluator, Measurement

class Implementation(Evaluator):
    \"\"\"A random number, another each time that it is computed.\"\"\"

    def evaluate(self, bench):
        if bench.encoder == "untrained":
            value = float(bench.once("draw", {"purpose": "test"}, lambda: np.random.default_rng().random(1))[0])
            yield Measurement(metric="draw", value=value, low=value, high=value)
"""


@pytest.fixture
def drawn(toy_run: Any, plugin_folder: Any) -> Any:
    """What a run gets for a random number that is drawn anew by whoever computes it."""
    make_plugin(plugin_folder, "once", "evaluator", implementation=ONCE)

    def run(method: str, *overrides: str, name: str) -> float:
        (row,) = toy_run(method, "evaluate.once={}", 'labels.budgets=["all"]', *overrides, name=name).measurements()
        return float(row.value)

    return run


def test_methods_share_what_follows_from_their_common_beginning(drawn: Any) -> None:
    first = drawn("contrast", name="first")
    assert drawn("attract", name="second") == first


@pytest.mark.parametrize("override", ["run.seeds=[1]", 'train.precision="bf16"', "labels.seed=7", "flux.softening=3.0"])
def test_another_beginning_or_arithmetic_shares_nothing(drawn: Any, override: str) -> None:
    first = drawn("contrast", name="first")
    assert drawn("contrast", override, name="second") != first
