"""Specs as text: TOML, and TOML that tells where each value comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tomli_w

from .expand import expand
from .model import Spec
from .problems import Key


def to_toml(document: Mapping[str, Any]) -> str:
    """The document as TOML; ``tomllib.loads`` gives it back."""
    return tomli_w.dumps(document)


def annotated(spec: Spec) -> str:
    """The resolved spec, each value with its origin as a comment, and the digest of each cell at the end."""
    lines = list(_lines(spec, (), spec.resolved))
    cells = [f"# {cell.name}  {cell.digest}" for cell in expand(spec)]
    return "\n".join([*lines, "", "# cells and their digests", *cells, ""]).lstrip("\n")


def _lines(spec: Spec, path: Key, table: Mapping[str, Any]) -> Iterator[str]:
    """A table: its own values, then the tables inside it."""
    inner = {key: value for key, value in table.items() if _is_table(value)}
    values = {key: value for key, value in table.items() if key not in inner}
    if path and (values or not inner):
        yield from ("", f"[{_keys(path)}]")
    for key, value in values.items():
        yield f"{_keys((key,))} = {_inline(value)}  # {spec.sources.origin((*path, key))}"
    for key, value in inner.items():
        if isinstance(value, dict):
            yield from _lines(spec, (*path, key), value)
        else:
            yield from _rows(spec, (*path, key), value)


def _rows(spec: Spec, path: Key, rows: list[dict[str, Any]]) -> Iterator[str]:
    """An array of tables."""
    for n, row in enumerate(rows):
        yield from ("", f"[[{_keys(path)}]]")
        for key, value in row.items():
            yield f"{_keys((key,))} = {_inline(value)}  # {spec.sources.origin((*path, n, key))}"


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _keys(path: Key) -> str:
    return ".".join(tomli_w.dumps({str(part): 0}).removesuffix(" = 0\n") for part in path)


def _inline(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_keys((key,))} = {_inline(one)}' for key, one in value.items())} }}"
    return tomli_w.dumps({"x": value}).removeprefix("x = ").removesuffix("\n")
