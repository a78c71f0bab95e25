"""``[skew]``: training images of uneven classes, or of an uneven quantity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from attrs import Attribute, frozen, validators

from ..components import Target
from ..components.options import option
from .problems import Fault, nearest

_PARAMETERS = {"scale": ("exponential", "lognormal"), "shape": ("lognormal",), "gap": ("gap",)}
"""Which distributions each parameter belongs to."""


def _shares(_: object, __: object, value: Mapping[str, float] | None) -> None:
    for name, share in (value or {}).items():
        if not 0 < share <= 1:
            raise ValueError(f'the ratio of "{name}" is {share:g}; it must be above 0 and at most 1')


def _gap(_: object, attribute: Attribute[Any], value: tuple[float, float] | None) -> None:
    if value is not None and value[0] >= value[1]:
        raise ValueError(f"'{attribute.name}' runs from its lower to its upper end; got {list(value)}")


@frozen
class SkewTable:
    """``[skew]``: some training images are left out, so that classes or a quantity become uneven.

    Give one of ``ratio`` and ``imbalance`` for a target of classes, or ``distribution`` for a quantity. Validation and
    test images stay as they are, and so do the training images that do not have the target, and the statistics that
    ``[flux]`` and ``[views]`` refer to. No pixel is copied.

    Raises:
        ValueError: Not exactly one of them is given, or a parameter of another distribution.
    """

    target: str = option("Target that becomes uneven.")
    on: Literal["both", "labels"] = option(
        'What sees it: pretraining and labels ("both"), or labels alone ("labels").', "both"
    )
    ratio: Mapping[str, float] | None = option(
        "Relative frequency of every class, each above 0 and at most 1; the largest set with this ratio is kept.",
        None,
        _shares,  # names the class; the next one is the same for the schema
        validators.optional(
            validators.deep_mapping(value_validator=validators.and_(validators.gt(0.0), validators.le(1.0)))
        ),
    )
    imbalance: float | None = option(
        "Long tail: how many times more frequent the first class is than the last; exponential in between.",
        None,
        validators.optional(validators.ge(1.0)),
    )
    distribution: Literal["exponential", "lognormal", "gap"] | None = option(
        "Of a quantity from its lowest training value on, cut off at the highest; "
        '"gap" takes a range of values out and changes nothing else.',
        None,
    )
    scale: float | None = option(
        'Mean of "exponential", median of "lognormal", both above the lowest value and before the cut-off, in the '
        "target's unit. Default: a quarter of the range.",
        None,
        validators.optional(validators.gt(0.0)),
    )
    shape: float | None = option(
        'Of "lognormal": standard deviation of the natural logarithm. Default: 0.5.',
        None,
        validators.optional(validators.gt(0.0)),
    )
    gap: tuple[float, float] | None = option(
        'Of "gap": the values that are missing, ends included. Default: the middle third of the range.', None, _gap
    )
    seed: int = option("Seed of the choice, the same for every method and run seed.", 0, validators.ge(0))

    def __attrs_post_init__(self) -> None:
        kinds = [name for name in ("ratio", "imbalance", "distribution") if getattr(self, name) is not None]
        if not kinds:
            raise ValueError("give ratio or imbalance for classes, or distribution for a quantity")
        if len(kinds) > 1:
            raise ValueError(f"{' and '.join(kinds)} exclude each other; keep one")
        for name, distributions in _PARAMETERS.items():
            if getattr(self, name) is not None and self.distribution not in distributions:
                wanted = " or ".join(f'"{one}"' for one in distributions)
                raise ValueError(f"{name} belongs to distribution = {wanted}; leave it out")


def skew_faults(skew: SkewTable, targets: Mapping[str, Target]) -> Iterator[Fault]:
    """What is wrong with the table for a data set that has these targets."""
    if skew.target not in targets:
        text = f'the data set has no target "{skew.target}"{nearest(skew.target, targets)}'
        yield Fault(("skew", "target"), text)
        return
    classes = targets[skew.target].classes
    key = "distribution" if skew.distribution else "ratio" if skew.ratio is not None else "imbalance"
    if classes and skew.distribution:
        text = f'"{skew.target}" has classes; give ratio or imbalance instead'
        yield Fault(("skew", key), text, on_key=True)
    elif not classes and not skew.distribution:
        text = f'"{skew.target}" is a quantity; give distribution instead'
        yield Fault(("skew", key), text, on_key=True)
    elif skew.ratio is not None:
        yield from _classes(skew.ratio, skew.target, classes)


def _classes(ratio: Mapping[str, float], target: str, classes: tuple[str, ...]) -> Iterator[Fault]:
    """Every class is named, and nothing else."""
    for name in ratio:
        if name not in classes:
            text = f'"{target}" has no class "{name}"{nearest(name, classes)}'
            yield Fault(("skew", "ratio", name), text, on_key=True)
    if absent := [f'"{name}"' for name in classes if name not in ratio]:
        text = f'the ratio of {", ".join(absent)} is missing; name every class of "{target}"'
        yield Fault(("skew", "ratio"), text)
