"""Which row is in which split: every object in one at most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deeplense_registry import UserError
from deeplense_registry.components import derive_seed

from .catalogue import Catalogue
from .options import SPLITS, SurveysOptions

Rows = NDArray[np.int64]


def find_splits(options: SurveysOptions, catalogue: Catalogue, ids: Sequence[str]) -> dict[str, Rows]:
    """The rows of each split, ascending, from the column ``split`` or drawn by ``fractions``.

    Raises:
        UserError: The column is not there or says something else, or a split has no row.
    """
    splits = _told(catalogue, options.split) if options.split else _drawn(options, ids)
    if empty := [split for split, rows in splits.items() if not len(rows)]:
        raise UserError(
            f"{catalogue.where}: split {empty[0]!r} has none of its {catalogue.count} rows; give it a larger fraction, "
            "or a split column that names it"
        )
    return splits


def _told(catalogue: Catalogue, column: str) -> dict[str, Rows]:
    cells = catalogue.texts(column, "split")
    for row, cell in enumerate(cells, start=1):
        if cell is not None and cell not in SPLITS:
            where = f'{catalogue.where}: row {row}, column "{column}"'
            raise UserError(f"{where}: {cell!r} is no split; write {', '.join(SPLITS)}, or leave the cell empty")
    present = [split for split in SPLITS if split in cells or split == "train"]
    return {split: np.array([row for row, cell in enumerate(cells) if cell == split], np.int64) for split in present}


def _drawn(options: SurveysOptions, ids: Sequence[str]) -> dict[str, Rows]:
    """A permutation of the objects in the order of their ids is cut: the order of the rows does not matter."""
    rng = np.random.default_rng(derive_seed(options.seed, "surveys", "splits"))
    order = np.argsort(np.array(ids), kind="stable")[rng.permutation(len(ids))]
    splits, total, begin = {}, 0.0, 0
    for split in SPLITS:
        if split in options.fractions:
            total += options.fractions[split]
            end = min(round(total * len(ids)), len(ids))
            splits[split] = np.sort(order[begin:end]).astype(np.int64)
            begin = end
    return splits
