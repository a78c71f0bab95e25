"""Tables of text, and what they look like on a terminal, in Markdown and in LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_SPECIAL |= {character: f"\\{character}" for character in "&%$#_{}"}
_SIGNS = {"†": r"$^\dagger$", "<": r"$<$", ">": r"$>$"}


@frozen
class Cell:
    """A text, and whether it stands out."""

    text: str
    strong: bool = False


@frozen
class Sheet:
    """A table of text.

    Attributes:
        title: What it shows.
        columns: Their headings; those from the ``words``-th on hold numbers.
        rows: As long as ``columns``.
        words: How many columns hold words.
        note: What a reader must know, below the table.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int = 1
    note: str = ""

    def terminal(self) -> Table:
        """For rich; the note, which a table would break into pieces, is not in it."""
        title = escape(self.title)
        table = Table(
            header_style="bold", box=SIMPLE_HEAD, title=title, title_justify="left", min_width=len(self.title)
        )
        for number, name in enumerate(self.columns):
            table.add_column(escape(name), justify="left" if number < self.words else "right")
        for row in self.rows:
            table.add_row(*(f"[bold]{escape(cell.text)}[/bold]" if cell.strong else escape(cell.text) for cell in row))
        return table

    def markdown(self) -> str:
        """A heading, a table with pipes, and the note."""
        rule = ["---" if number < self.words else "---:" for number in range(len(self.columns))]
        cells = [[f"**{cell.text}**" if cell.strong else cell.text for cell in row] for row in self.rows]
        lines = [_piped(self.columns), "|" + "|".join(rule) + "|", *map(_piped, cells)]
        return "\n".join([f"**{self.title}**", "", *lines, *(["", self.note] if self.note else []), ""])

    def latex(self) -> str:
        """A ``tabular`` between rules of the package booktabs, with its title as caption."""
        shape = "l" * self.words + "r" * (len(self.columns) - self.words)
        rows = [
            [rf"\textbf{{{latex_text(cell.text)}}}" if cell.strong else latex_text(cell.text) for cell in row]
            for row in self.rows
        ]
        lines = [" & ".join(row) + r" \\" for row in ([latex_text(name) for name in self.columns], *rows)]
        caption = latex_text(f"{self.title}. {self.note}" if self.note else self.title)
        body = [r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
        return "\n".join(
            [
                r"\begin{table}",
                rf"\caption{{{caption}}}",
                rf"\begin{{tabular}}{{{shape}}}",
                *body,
                r"\end{tabular}",
                r"\end{table}",
                "",
            ]
        )


def sheet(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str | Cell]], words: int = 1, note: str = ""
) -> Sheet:
    """A sheet of cells, or of texts that do not stand out."""
    cells = tuple(tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row) for row in rows)
    return Sheet(title, tuple(columns), cells, words, note)


def latex_text(text: str) -> str:
    """With LaTeX's special characters escaped."""
    return re.sub(r"[\\~^&%$#_{}†<>]", lambda found: (_SPECIAL | _SIGNS)[found[0]], text)


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
