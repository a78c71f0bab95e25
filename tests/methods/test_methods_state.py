"""A checkpoint holds all of a method: training that is interrupted is the same training."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from deeplense_registry import Method, hookimpl
from deeplense_registry.engine import Interrupted
from deeplense_registry.engine.trainer import Trainer
from tests.methods.rehearsal import CASES, facts_of, make, trainer_of

FACTS = facts_of(steps_per_epoch=2, epochs=3)
STEPS = FACTS.steps
HALF = 3  # in the middle of an epoch and of the queues
TIMES = {"images_per_second"}


class Seen:
    """The scalars of each step: momenta and temperatures are functions of it and in no state."""

    def __init__(self) -> None:
        self.scalars_at: dict[int, dict[str, float]] = {}

    @hookimpl
    def scalars(self, step: int, values: dict[str, float]) -> None:
        self.scalars_at[step] = {name: value for name, value in values.items() if name not in TIMES}


def session(case: str, folder: Path, stop_after: int = STEPS, seed: int = 0) -> tuple[Trainer, Seen]:
    seen = Seen()

    def stop() -> bool:
        return max(seen.scalars_at, default=0) == stop_after

    method = make(CASES[case], FACTS, seed=seed)
    return trainer_of(method, FACTS, folder, observer=seen, stop=stop), seen


def flat(state: Any, path: str = "") -> dict[str, Any]:
    """The leaves of a state by their place."""
    pairs = state.items() if isinstance(state, dict) else enumerate(state)
    leaves: dict[str, Any] = {}
    for key, value in pairs:
        here = f"{path}.{key}"
        leaves |= flat(value, here) if isinstance(value, (dict, list)) else {here: deepcopy(value)}
    return leaves


def everything(trainer: Trainer) -> dict[str, Any]:
    return flat({"method": trainer.method.state_dict(), "optimiser": trainer.optimisation.optimiser.state_dict()})


def same(a: Any, b: Any) -> bool:
    return torch.equal(a, b) if isinstance(a, Tensor) else bool(a == b)


@pytest.mark.parametrize("case", CASES)
def test_interrupted_and_resumed_is_never_interrupted(case: str, tmp_path: Path) -> None:
    whole, seen_whole = session(case, tmp_path / "whole")
    whole.run(0)
    first, seen_first = session(case, tmp_path / "halves", stop_after=HALF)
    with pytest.raises(Interrupted):
        first.run(0)
    second, seen_second = session(case, tmp_path / "halves", seed=1)
    fresh = everything(second)
    assert second.checkpoints.restore(second.method, second.optimisation.optimiser) == HALF
    second.run(HALF)
    expected, found = everything(whole), everything(second)
    assert found.keys() == expected.keys()
    assert [name for name, value in expected.items() if not same(found[name], value)] == []
    assert seen_first.scalars_at | seen_second.scalars_at == seen_whole.scalars_at
    assert set(seen_whole.scalars_at) == set(range(1, STEPS + 1))
    assert trained(fresh, second.method) == set()


def trained(before: dict[str, Any], method: Method) -> set[str]:
    """Names of what training did not move at all, among what it should."""
    state = {f".method.{name}": parameter for name, parameter in method.named_parameters() if parameter.requires_grad}
    return {name for name, value in state.items() if torch.equal(before[name], value)}


@pytest.mark.parametrize("case", CASES)
def test_every_memory_matters(case: str, tmp_path: Path) -> None:
    """Were a queue or a centre not restored, the run or its curves would be others: so the test above can fail."""
    whole, seen_whole = session(case, tmp_path / "whole")
    whole.run(0)
    expected = everything(whole)
    memories = [n for n, _ in whole.method.named_buffers() if "running_" not in n and "num_batches" not in n]
    for name in memories:
        robbed, seen = session(case, tmp_path / name, stop_after=HALF)
        with pytest.raises(Interrupted):
            robbed.run(0)
        robbed.method.get_buffer(name).zero_()
        robbed.run(HALF)
        found = everything(robbed)
        unchanged = all(same(found[key], value) for key, value in expected.items())
        assert not unchanged or seen.scalars_at != seen_whole.scalars_at, name
