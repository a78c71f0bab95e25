"""From a TOML table to an attrs class, strictly: nothing is coerced, and every fault is told at once.

cattrs as it comes turns 3.9 into 3 and "false" into True, stops at the first validator and keeps its text to itself;
the hooks below replace those that do.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args

import attrs

from .problems import Fault, Faults, nearest
from .words import container, guess, mismatch, word

if TYPE_CHECKING:
    from cattrs import Converter


def structure(table: Any, cls: type[Any], what: str) -> Any:
    """An instance of ``cls`` from a table.

    Args:
        table: What tomllib read.
        cls: An attrs class: bool, int, float, str, Path, Literal, tuples, lists, dicts, unions, attrs classes.
        what: What its keys are, for messages about unknown ones: ``"key of [train]"``.

    Raises:
        Faults: All that is wrong: unknown and missing keys, types, lengths, validators.
    """
    return _structure_class(_converter(), table, cls, what)


def plain(value: Any) -> Any:
    """The reverse: tables, arrays and scalars that TOML and JSON can hold. ``None`` is left out of tables."""
    return _plain(_converter().unstructure(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items() if one is not None}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


@cache
def _converter() -> Converter:
    from cattrs import Converter  # here, since it takes longer to import than the rest of the room

    converter = Converter()
    for scalar in (bool, int, float, str):
        converter.register_structure_hook(scalar, _scalar)
    converter.register_structure_hook(Path, lambda value, _: Path(_scalar(value, str)))
    converter.register_unstructure_hook(Path, str)
    for matches, hook in (
        (lambda kind: container(kind) is Literal, _literal),
        (lambda kind: container(kind) in {Union, types.UnionType}, _union),
        (lambda kind: container(kind) in {tuple, list, Sequence}, _array),
        (lambda kind: container(kind) in {dict, Mapping}, _dict),
        (attrs.has, _nested),
    ):
        converter.register_structure_hook_func(matches, partial(hook, converter))
    return converter


def _nested(converter: Converter, table: Any, cls: type[Any]) -> Any:
    return _structure_class(converter, table, cls, "key")


def _structure_class(converter: Converter, table: Any, cls: type[Any], what: str) -> Any:
    if not isinstance(table, dict):
        raise mismatch("a table", table)
    fields = {field.alias: field for field in attrs.fields(attrs.resolve_types(cls)) if field.init}
    faults = [Fault((key,), f"unknown {what}{nearest(key, fields)}", on_key=True) for key in table if key not in fields]
    faults += [
        Fault((), f'"{name}" is missing: {field.metadata.get("about") or "it has no default"}')
        for name, field in fields.items()
        if name not in table and field.default is attrs.NOTHING
    ]
    values = _each(
        converter, [(name, table[name], field.type) for name, field in fields.items() if name in table], faults
    )
    faults += _invalid(cls, [fields[name] for name in values], values)
    if faults:
        raise Faults(faults)
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:  # __attrs_post_init__: a conflict between fields
        raise Faults([Fault((), _text(error))]) from error


def _each(converter: Converter, items: Sequence[tuple[Any, Any, Any]], faults: list[Fault]) -> dict[Any, Any]:
    """Structure (key, value, type) one by one; what fails goes to ``faults``."""
    values = {}
    for key, value, kind in items:
        try:
            values[key] = converter.structure(value, kind)
        except Faults as error:
            faults += [fault.under(key) for fault in error.faults]
        except (ValueError, TypeError) as error:  # of cattrs's own hooks, an enumeration's for one
            faults.append(Fault((key,), _text(error)))
    return values


def _invalid(cls: type[Any], fields: Sequence[attrs.Attribute[Any]], values: Mapping[str, Any]) -> list[Fault]:
    """What the validators say of each value on its own, since the constructor would stop at the first."""
    instance = types.SimpleNamespace(**{field.name: values[field.alias] for field in fields if field.alias})
    faults = []
    for field in fields:
        if field.validator is None or field.converter is not None:  # a converter runs first, in the constructor
            continue
        try:
            field.validator(instance, field, values[str(field.alias)])
        except (ValueError, TypeError) as error:
            faults.append(Fault((str(field.alias),), _text(error)))
        except AttributeError:  # it looks at a field that is absent or wrong: the constructor, or that fault, will tell
            continue
    return faults


def _scalar(value: Any, kind: Any) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind or value != value:  # NaN is no number
        raise mismatch(word(kind), value)
    return value


def _literal(_: Converter, value: Any, kind: Any) -> Any:
    choices = get_args(kind)
    if any(value == choice and type(value) is type(choice) for choice in choices):
        return value
    raise mismatch(word(kind), value, guess(value, choices))


def _union(converter: Converter, value: Any, kind: Any) -> Any:
    members = [member for member in get_args(kind) if member is not type(None)]  # TOML has no null
    if len(members) == 1:
        return converter.structure(value, members[0])
    for member in members:
        try:
            return converter.structure(value, member)
        except Faults:
            continue
    raise mismatch(word(kind), value)


def _array(converter: Converter, value: Any, kind: Any) -> Any:
    if not isinstance(value, list):
        raise mismatch("an array", value)
    members, is_tuple = get_args(kind), container(kind) is tuple
    if not is_tuple or not members or members[-1] is Ellipsis:
        members = (members[0] if members else Any,) * len(value)
    if len(members) != len(value):
        raise Faults([Fault((), f"expected {len(members)} values, got {len(value)}")])
    faults: list[Fault] = []
    values = _each(converter, [(n, *pair) for n, pair in enumerate(zip(value, members, strict=True))], faults)
    if faults:
        raise Faults(faults)
    return tuple(values.values()) if is_tuple else list(values.values())


def _dict(converter: Converter, value: Any, kind: Any) -> Any:
    if not isinstance(value, dict):
        raise mismatch("a table", value)
    faults: list[Fault] = []
    member = (get_args(kind) or (str, Any))[1]
    values = _each(converter, [(key, one, member) for key, one in value.items()], faults)
    if faults:
        raise Faults(faults)
    return values


def _text(error: Exception) -> str:
    """The message alone: attrs's validators carry the attribute and the value along."""
    return str(error.args[0]) if error.args else type(error).__name__
