"""A spec asks for a product of runs: datasets x methods x backbones x seeds, less what it excludes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product as _product

from .model import Cell, Instance, Spec
from .problems import Fault, SpecError, nearest
from .tables import ExcludeTable

_KINDS = ("dataset", "method", "backbone")


def expand(spec: Spec) -> tuple[Cell, ...]:
    """The cells of the spec: dataset by dataset, in it method by method, then by backbone and seed.

    Raises:
        SpecError: An exclude matches nothing, nothing is left, or two cells have one name.
    """
    cells, faults = product(spec)
    if faults:
        raise SpecError([spec.sources.problem(fault) for fault in faults])
    return cells


def product(spec: Spec) -> tuple[tuple[Cell, ...], list[Fault]]:
    """The cells, and what is wrong with their choice."""
    cells = [
        _cell(spec, dataset, method, backbone, seed)
        for dataset, method, backbone, seed in _product(spec.dataset, spec.method, spec.backbone, spec.run.seeds)
    ]
    faults = [fault for row, exclude in enumerate(spec.exclude) for fault in _unknown(spec, row, exclude.given())]
    left = tuple(cell for cell in cells if not any(_matches(cell, exclude) for exclude in spec.exclude))
    if not left:
        faults.append(Fault(("exclude",), "no run is left; exclude fewer"))
    twice = [name for name, count in Counter(cell.name for cell in left).items() if count > 1]
    faults += [
        Fault(("run", "seeds"), f'two runs would be called "{name}"; rename a table, or drop a seed') for name in twice
    ]
    return left, faults


def _cell(spec: Spec, dataset: Instance, method: Instance, backbone: Instance, seed: int) -> Cell:
    name = f"{method.name}-{backbone.name}"
    name = f"{dataset.name}-{name}" if len(spec.dataset) > 1 else name
    return Cell(
        name=f"{name}-s{seed}" if len(spec.run.seeds) > 1 else name,
        run=spec.run.name,
        seed=seed,
        dataset=dataset,
        method=method,
        backbone=backbone,
        evaluate=spec.evaluate,
        views=spec.views,
        flux=spec.flux,
        train=spec.train,
        labels=spec.labels,
        skew=spec.skew,
        execute=spec.execute,
    )


def _matches(cell: Cell, exclude: ExcludeTable) -> bool:
    """Whether the cell has every value that is given."""
    values = {"seed": cell.seed, **{kind: getattr(cell, kind).name for kind in _KINDS}}
    return all(values[key] == value for key, value in exclude.given().items())


def _unknown(spec: Spec, row: int, keys: Mapping[str, str | int]) -> Iterator[Fault]:
    """What an exclude names that the spec has not; whatever it has, the product has in every combination."""
    for key, value in keys.items():
        known = [str(seed) for seed in spec.run.seeds] if key == "seed" else [one.name for one in getattr(spec, key)]
        if str(value) not in known:
            text = f'this spec has no {key} "{value}"' if isinstance(value, str) else f"this spec has no {key} {value}"
            yield Fault(("exclude", row, key), text + nearest(str(value), known))
