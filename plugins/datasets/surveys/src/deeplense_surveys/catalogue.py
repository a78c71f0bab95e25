"""The columns of a catalogue, whatever file they come from."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from deeplense_registry import UserError

from .signature import refuse_page, unreadable

Masked = np.ma.MaskedArray[Any, Any]


@frozen(eq=False)
class Catalogue:
    """A table with a row for each image.

    Attributes:
        where: The file, for messages.
        names: Of the columns.
        count: N, the number of rows.
        load: A column by its name, (N,) or (N, ...), masked where a cell is empty.
    """

    where: str
    names: tuple[str, ...]
    count: int
    load: Callable[[str], Masked]

    def known(self, *names: str) -> str | None:
        """The column that has one of ``names``, the first first, in upper or lower case; ``None`` if none has."""
        lower = {name.lower(): name for name in reversed(self.names)}
        return next((lower[name.lower()] for name in names if name.lower() in lower), None)

    def column(self, name: str, option: str) -> Masked:
        """A column that ``option`` of the spec asks for.

        Raises:
            UserError: There is none of this name.
        """
        if name not in self.names:
            close = difflib.get_close_matches(name.lower(), [one.lower() for one in self.names], n=1)
            hint = f'did you mean "{self.known(close[0])}"? ' if close else ""
            raise UserError(f'{self.where} has no column "{name}" ({option}); {hint}Columns: {", ".join(self.names)}')
        return self.load(name)

    def numbers(self, name: str, option: str) -> NDArray[np.float64]:
        """(N,) or (N, K) float64, NaN where a cell is empty.

        Raises:
            UserError: There is no such column, or it does not hold numbers.
        """
        column = self.column(name, option)
        if not column.count():
            return np.full(self.count, np.nan)
        if column.dtype.kind not in "iufb" or column.ndim > 2:
            kind = f"{column.ndim}-d arrays" if column.dtype.kind in "iufb" else f"text, {_example(column)!r} for one"
            raise UserError(f'{self.where}: column "{name}" ({option}) holds {kind}; name a column of numbers')
        values: NDArray[np.float64] = np.where(np.ma.getmaskarray(column), np.nan, column.data).astype(np.float64)
        return values

    def texts(self, name: str, option: str) -> list[str | None]:
        """(N,) the cells as text, stripped; ``None`` where a cell is empty, "nan" or NaN.

        Raises:
            UserError: There is no such column, or its cells are arrays.
        """
        column = self.column(name, option)
        if column.ndim != 1:
            raise UserError(f'{self.where}: column "{name}" ({option}) holds arrays; name a column of single values')
        masked = np.ma.getmaskarray(column)
        return [None if gone else text(value) for value, gone in zip(column.data.tolist(), masked, strict=True)]


def text(value: Any) -> str | None:
    """A cell as text: 3 and 3.0 are both "3"; ``None`` where it says nothing."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    plain = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    plain = plain.strip(" \0")
    return None if value is None or plain in {"", "nan"} else plain


def read_catalogue(path: Path) -> Catalogue:
    """A FITS table, CSV, ECSV or Parquet, told by the ending of its name.

    Raises:
        UserError: The file is missing, of another kind, damaged or empty.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such catalogue; mend 'catalogue'")
    ending = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    readers = {"csv": _table, "ecsv": _table, "fits": _table, "fit": _table, "parquet": _parquet}
    if ending not in readers:
        raise UserError(f"{path}: a catalogue is one of .{', .'.join(readers)}; convert it")
    refuse_page(path, ending.upper())
    catalogue = readers[ending](path, ending)
    if not catalogue.count:
        raise UserError(f"{path} has no rows; give a catalogue with a row for each image")
    return catalogue


def _table(path: Path, ending: str) -> Catalogue:
    from astropy.table import Table

    fits = {"format": "fits", "character_as_bytes": False, "unit_parse_strict": "silent"}
    how = {"csv": {"format": "ascii.csv"}, "ecsv": {"format": "ascii.ecsv"}}.get(ending, fits)
    try:
        table = Table.read(path, **how)
    except (OSError, ValueError, TypeError) as error:  # astropy's own errors of the formats are among these
        raise unreadable(path, ending.upper(), error) from error

    def load(name: str) -> Masked:
        column = table[name]
        return np.ma.MaskedArray(np.asarray(column), mask=getattr(column, "mask", False))

    return Catalogue(where=str(path), names=tuple(table.colnames), count=len(table), load=load)


def _parquet(path: Path, ending: str) -> Catalogue:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(f"{path}: to read Parquet, pip install 'deeplense-surveys[parquet]'") from error
    try:
        file = parquet.ParquetFile(path)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise unreadable(path, "Parquet", error) from error

    def load(name: str) -> Masked:
        column = file.read(columns=[name])[name]
        return np.ma.MaskedArray(column.to_numpy(), mask=column.is_null().to_numpy())

    return Catalogue(where=str(path), names=tuple(file.schema_arrow.names), count=file.metadata.num_rows, load=load)


def _example(column: Masked) -> str:
    """A cell that is no number, or the first."""
    cells = [text(value) for value in column.compressed().tolist()]
    return next((cell for cell in cells if cell and not _is_number(cell)), cells[0] or "")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
