"""Where each key and value of a TOML text stands. tomllib reads the values and forgets the places."""

from __future__ import annotations

import re
import tomllib

from attrs import frozen

from .problems import Key

_TOKEN = re.compile(
    r"""
    (?P<skip> [\ \t\r]+ | \#[^\n]* )
  | (?P<text> \"\"\"(?:\\.|[^\\])*?\"{3,5} | '''.*?'{3,5} | "(?:\\.|[^"\\])*" | '[^']*' )
  | (?P<mark> [\[\]{}=,.\n] )
  | (?P<bare> [^\s\[\]{}=,.\#"']+ )
    """,
    re.VERBOSE | re.DOTALL,
)


@frozen
class Span:
    """A piece of one line: its number from 1, its first column from 0, its length."""

    line: int
    column: int
    length: int


@frozen
class Spot:
    """Where a key stands, and its value (for a table: its name in the header)."""

    key: Span
    value: Span


def positions(text: str) -> dict[Key, Spot]:
    """The spot of every key, table and array item of ``text``, which must be valid TOML."""
    return _Scanner(text).document()


class _Scanner:
    """Reads tokens from left to right; since tomllib accepted the text, it has no errors to find."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [m for m in _TOKEN.finditer(text) if m.lastgroup != "skip"]
        self.at = 0
        self.spots: dict[Key, Spot] = {}
        self.rows: dict[Key, int] = {}  # how many tables an array of tables has so far

    def document(self) -> dict[Key, Spot]:
        table: Key = ()
        while self.at < len(self.tokens):
            if self.next_is("\n"):
                self.at += 1
            elif self.next_is("["):
                table = self.header()
            else:
                self.pair(table)
        return self.spots

    def next_is(self, mark: str) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at].group() == mark

    def take(self) -> re.Match[str]:
        self.at += 1
        return self.tokens[self.at - 1]

    def header(self) -> Key:
        """``[a.b]`` or ``[[a.b]]``: the path of the table that follows."""
        start = self.take().end()
        is_row = self.next_is("[") and self.tokens[self.at].start() == start
        self.at += is_row
        path = self.keys(())
        if is_row:
            self.rows[path] = self.rows.get(path, -1) + 1
            span = self.span(self.tokens[self.at - 1].start(), self.tokens[self.at - 1].end())
            self.spots[(*path, self.rows[path])] = Spot(span, span)
            path = (*path, self.rows[path])
        self.at += 1 + is_row
        return path

    def keys(self, path: Key) -> Key:
        """A dotted key below ``path``; each of its parts gets a spot at its first mention."""
        while True:
            token = self.take()
            path = (*path, _name(token))
            span = self.span(token.start(), token.end())
            self.spots.setdefault(path, Spot(span, span))
            if not self.next_is("."):
                return path
            self.at += 1
            if path in self.rows:  # what follows belongs to the latest row
                path = (*path, self.rows[path])

    def pair(self, table: Key) -> None:
        """``key = value``."""
        path = self.keys(table)
        self.at += 1
        self.spots[path] = Spot(self.spots[path].key, self.value(path))

    def value(self, path: Key) -> Span:
        start = self.tokens[self.at].start()
        if self.next_is("["):
            self.array(path)
        elif self.next_is("{"):
            self.inline(path)
        else:
            while self.at < len(self.tokens) and self.tokens[self.at].group() not in {"\n", ",", "]", "}"}:
                self.at += 1
        return self.span(start, self.tokens[self.at - 1].end())

    def array(self, path: Key) -> None:
        self.at += 1
        count = 0
        while not self.next_is("]"):
            if self.next_is(",") or self.next_is("\n"):
                self.at += 1
                continue
            span = self.value((*path, count))
            self.spots[(*path, count)] = Spot(span, span)
            count += 1
        self.at += 1

    def inline(self, path: Key) -> None:
        self.at += 1
        while not self.next_is("}"):
            if self.next_is(",") or self.next_is("\n"):
                self.at += 1
            else:
                self.pair(path)
        self.at += 1

    def span(self, start: int, end: int) -> Span:
        """From ``start`` to ``end``, or to the end of the line if that comes first."""
        before = self.text.rfind("\n", 0, start) + 1
        after = self.text.find("\n", start)
        stop = min(end, after if after >= 0 else end)
        return Span(self.text.count("\n", 0, start) + 1, start - before, stop - start)


def _name(token: re.Match[str]) -> str:
    if token.lastgroup == "bare":
        return token.group()
    (name,) = tomllib.loads(f"{token.group()} = 0")
    return name
