"""Columns of the catalogue as targets."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from deeplense_registry import Target, UserError

from .catalogue import Catalogue, text
from .options import TargetOptions


@frozen(eq=False)
class Labels:
    """A target and its value for each row.

    Attributes:
        target: For the card.
        values: (N,) float64, of a class its index; NaN where unknown.
    """

    target: Target
    values: NDArray[np.float64]

    def of(self, row: int) -> int | float | None:
        """The index of the class, or the quantity; ``None`` where unknown."""
        value = float(self.values[row])
        if not np.isfinite(value):
            return None
        return int(value) if self.target.classes else value


def read_target(name: str, options: TargetOptions, catalogue: Catalogue) -> Labels:
    """The target ``name`` of every row.

    Raises:
        UserError: Its column is not there, is of another kind, holds an unknown class, or is empty.
    """
    column = options.column or name
    about = f"Column {column} of the catalogue."
    if options.kind == "quantity":
        labels = Labels(Target(unit=options.unit, about=about), _quantities(name, column, options, catalogue))
    else:
        classes, values = _classes(name, column, options, catalogue)
        labels = Labels(Target(classes=classes, about=about), values)
    if not np.isfinite(labels.values).any():
        raise UserError(f'{catalogue.where}: column "{column}" (target {name}) is empty; name another, or leave it out')
    return labels


def _quantities(name: str, column: str, options: TargetOptions, catalogue: Catalogue) -> NDArray[np.float64]:
    values = catalogue.numbers(column, f'target {name}; a text is a target of kind = "class"')
    if values.ndim > 1:
        raise UserError(f'{catalogue.where}: column "{column}" (target {name}) holds arrays; name one of numbers')
    unknown = [one for one in options.missing if isinstance(one, float)]
    return np.where(np.isin(values, unknown) | ~np.isfinite(values), np.nan, values)


def _classes(
    name: str, column: str, options: TargetOptions, catalogue: Catalogue
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    unknown = {None, *(text(one) for one in options.missing)}
    cells = [None if cell in unknown else cell for cell in catalogue.texts(column, f"target {name}")]
    classes = options.classes or tuple(sorted({cell for cell in cells if cell is not None}, key=_in_order))
    index = {label: number for number, label in enumerate(classes)}
    for row, cell in enumerate(cells, start=1):
        if cell is not None and cell not in index:
            known = ", ".join(classes)
            raise UserError(
                f'{catalogue.where}: row {row}, column "{column}": {cell!r} is no class of target {name} ({known}); '
                "add it to 'classes', or to 'missing' if it means unknown"
            )
    return classes, np.array([np.nan if cell is None else index[cell] for cell in cells])


def _in_order(label: str) -> tuple[float, str]:
    """Numbers by value, before text."""
    try:
        return float(label), label
    except ValueError:
        return np.inf, label
