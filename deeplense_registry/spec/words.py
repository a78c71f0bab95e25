"""Types and values in the words of messages."""

from __future__ import annotations

import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from .problems import Fault, Faults, nearest

_WORDS: dict[Any, str] = {bool: "true or false", int: "an integer", float: "a number", str: "a string", Path: "a path"}
_NAMES = {bool: "the boolean", int: "the integer", float: "the float", str: "the string"}


def mismatch(expected: str, value: Any, hint: str = "") -> Faults:
    """The fault of a value of another type than ``expected``."""
    return Faults([Fault((), f"expected {expected}, got {described(value)}{hint}")])


def container(kind: Any) -> Any:
    """``tuple`` of ``tuple[int, ...]``; a type without arguments is itself."""
    return get_origin(kind) or kind


def word(kind: Any) -> str:
    """A type: ``an integer or "all"``."""
    if get_origin(kind) is Literal:
        return " or ".join(quoted(choice) for choice in get_args(kind))
    if get_origin(kind) in {Union, types.UnionType}:
        return " or ".join(word(member) for member in get_args(kind) if member is not type(None))
    return _WORDS.get(kind) or ("an array" if container(kind) in {tuple, list, Sequence} else "a table")


def described(value: Any) -> str:
    """A value that tomllib read: ``the float 3.9``."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    return f"{_NAMES.get(type(value), 'the date or time')} {quoted(value)}"


def quoted(value: Any) -> str:
    """A scalar as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def guess(value: Any, choices: Sequence[Any]) -> str:
    """``; did you mean "lens"?``, or nothing: the message lists the choices already."""
    text = nearest(value, map(str, choices)) if isinstance(value, str) else ""
    return text if "did you mean" in text else ""
