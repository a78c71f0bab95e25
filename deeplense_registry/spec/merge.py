"""One document laid over another: a child over its parent, ``--set`` over both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COMPONENT_TABLES = ("dataset", "method", "backbone", "evaluate")
"""The tables whose keys are instances of components."""

_SETS = ("dataset", "method", "backbone")

Document = Mapping[str, Any]


def inherit(parent: Document, child: Document) -> dict[str, Any]:
    """``child`` over ``parent``: tables merge, everything else is replaced.

    The child's instances of a kind replace the parent's, so that a spec for one method does not drag the parent's
    other methods along; an instance that both have is merged, unless the child gives it to another plugin.
    """
    merged = dict(parent)
    for name, value in child.items():
        both = isinstance(value, dict) and isinstance(parent.get(name), dict)
        if both and name in COMPONENT_TABLES:
            merged[name] = _instances(parent[name], value, keep=name not in _SETS)
        elif both:
            merged[name] = _deep(parent[name], value)
        else:
            merged[name] = value
    merged.pop("extends", None)
    return merged


def override(document: Document, path: Sequence[str], value: Any) -> dict[str, Any]:
    """``document`` with ``value`` at ``path``, whatever stood there; all else is as it was."""
    name, *rest = path
    below = document.get(name)
    changed = override(below if isinstance(below, dict) else {}, rest, value) if rest else value
    return {**document, name: changed}


def _instances(parent: Document, child: Document, keep: bool) -> dict[str, Any]:
    merged = dict(parent) if keep else {}
    for name, table in child.items():
        inherited = parent.get(name)
        if isinstance(table, dict) and isinstance(inherited, dict):
            merged[name] = _instance(name, inherited, table)
        else:
            merged[name] = table
    return merged


def _instance(name: str, parent: Document, child: Document) -> Document:
    use = parent.get("use", name)
    return _deep(parent, child) if child.get("use", use) == use else child


def _deep(parent: Document, child: Document) -> dict[str, Any]:
    merged = dict(parent)
    for name, value in child.items():
        both = isinstance(value, dict) and isinstance(parent.get(name), dict)
        merged[name] = _deep(parent[name], value) if both else value
    return merged
