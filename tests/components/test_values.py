"""Seeds, options, cards and the lazy front door."""

from __future__ import annotations

import subprocess
import sys

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import deeplense_registry
from deeplense_registry import DatasetCard, ImageShape, RunFacts, Target, option, ordered
from deeplense_registry.components import derive_seed

parts = st.lists(st.integers(-(2**40), 2**40) | st.text(max_size=5), max_size=4)


@given(parts, parts)
def test_seeds_differ_whenever_their_parts_do(one: list[int | str], other: list[int | str]) -> None:
    assert 0 <= derive_seed(*one) < 2**63
    same_types = [(type(part), part) for part in one] == [(type(part), part) for part in other]
    assert (derive_seed(*one) == derive_seed(*other)) == same_types


def test_seeds_are_the_same_everywhere() -> None:
    assert derive_seed(0, "views", 3, 1) == 8486664530662027421
    assert derive_seed("ab", "c") != derive_seed("a", "bc")
    assert derive_seed(1) != derive_seed("1")


def test_options_carry_their_sentence_and_checks() -> None:
    @attrs.frozen
    class Options:
        scale: tuple[float, float] = option("Range.", (0.5, 1.0), ordered(0.0, 1.0))
        names: list[str] = option("Names.", factory=list)
        needed: int = option("Needed.")

    assert attrs.fields(Options).scale.metadata["about"] == "Range."
    assert Options(needed=1).names == []
    with pytest.raises(ValueError, match=r"'scale' must be two numbers in order, within \[0, 1\]: \(0.7, 0.2\)"):
        Options(needed=1, scale=(0.7, 0.2))
    with pytest.raises(TypeError, match="needed"):
        Options()


def test_a_card_must_name_its_bands() -> None:
    card = {"name": "x", "pixel_scale": 0.1, "targets": {"class": Target(classes=("a",))}, "splits": {"train": 1}}
    assert DatasetCard(shape=ImageShape(1, 8, 8), bands=("g",), **card).targets["class"].kind == "class"
    assert Target(unit="arcsec").kind == "quantity"
    with pytest.raises(ValueError, match="card 'x': 1 bands for 3 channels"):
        DatasetCard(shape=ImageShape(3, 8, 8), bands=("g",), **card)


def test_facts_count_whole_batches() -> None:
    from toys import toy_facts

    facts: RunFacts = toy_facts(images=70, batch_size=16)
    assert (facts.steps_per_epoch, facts.steps) == (4, 8)
    assert str(facts.shape) == "1x8x8"


def test_the_front_door_is_lazy_and_complete() -> None:
    listed = {name for names in deeplense_registry._ROOMS.values() for name in names.split()}
    assert set(deeplense_registry.__all__) == listed
    assert set(deeplense_registry.__all__) <= set(dir(deeplense_registry))
    assert all(getattr(deeplense_registry, name) is not None for name in listed)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        deeplense_registry.nonsense  # noqa: B018
    code = "import deeplense_registry, sys; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
