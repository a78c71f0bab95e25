"""What is wrong with a spec: where it stands, the line itself, one sentence."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from attrs import frozen

from ..components import UserError

Key = tuple[str | int, ...]
"""A path into a document: names of tables and keys, indices of arrays."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


@frozen
class Fault:
    """What is wrong, before it is known where it is written.

    Attributes:
        path: The key that is wrong.
        text: One sentence.
        on_key: Whether the key itself is wrong, not its value.
    """

    path: Key
    text: str
    on_key: bool = False

    def under(self, key: str | int) -> Fault:
        """The same fault, seen from one level up."""
        return Fault((key, *self.path), self.text, self.on_key)


class Faults(UserError):  # noqa: N818 - a bundle of values on its way up
    """Faults found in a table, on their way to where their lines are known."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(f"{dotted(fault.path)}: {fault.text}" for fault in faults))
        self.faults = tuple(faults)


@frozen(kw_only=True)
class Problem:
    """A fault with its place.

    Attributes:
        origin: The file as it was named, or ``--set key=value``.
        path: The dotted key; empty where the file as a whole is meant.
        text: One sentence (and a traceback, where a plugin is broken).
        line: The line, from 1; ``None`` where the key stands nowhere.
        column, length: What to underline, counted from 0.
        source: The line itself.
    """

    origin: str
    path: str
    text: str
    line: int | None = None
    column: int = 0
    length: int = 0
    source: str = ""

    def __str__(self) -> str:
        place = self.origin if self.line is None else f"{self.origin}:{self.line}"
        head = f"{place}: {self.path}" if self.path else place
        first, *rest = self.text.splitlines()
        if self.line is not None:
            head += f"\n{self.line:>5} | {self.source}".rstrip()
            first = f"{' ' * self.column}{'^' * max(self.length, 1)} {first}"
        return "\n".join([head, f"      | {first}", *(f"      | {line}" for line in rest)])

    def as_json(self) -> dict[str, str | int | None]:
        """The problem for tools; ``column`` counts from 1, as editors do."""
        column = None if self.line is None else self.column + 1
        return {"origin": self.origin, "line": self.line, "column": column, "path": self.path, "text": self.text}


class SpecError(UserError):
    """Everything that is wrong with a spec.

    Attributes:
        problems: In the order of the file; at least one.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = f"{len(problems)} error{'s' if len(problems) > 1 else ''}"
        super().__init__("\n".join([*map(str, problems), count]))
        self.problems = tuple(problems)


def dotted(path: Key) -> str:
    """``("labels", "budgets", 1)`` as ``labels.budgets[1]``; names that TOML would quote are quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.fullmatch(part) else f'"{part}"')
    return text


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean "temperature"?``, or what there is instead."""
    known = sorted(known)
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known: {', '.join(known)}" if known else "; none is known here"
