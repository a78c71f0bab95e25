"""A JSON schema of specs, so that editors complete and check them: the core's tables and every installed plugin's.

It stays within Draft 4 (no if, then, const), since TOML editors know no more; bounds that exclude are numbers, as since
Draft 6. What inheritance allows to be absent is not required.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from ..components import PluginError, Row, catalogue, load_options
from .bounds import bounds
from .existing import ShardsOptions
from .merge import COMPONENT_TABLES
from .structure import plain
from .tables import CORE_TABLES, ExcludeTable
from .words import container

Schema = dict[str, Any]

_SCALARS: dict[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}


def json_schema(rows: Sequence[Row] | None = None) -> Schema:
    """The schema of a spec.

    Args:
        rows: The components to know, by default those of :func:`catalogue`. Names that are broken, of another
            interface version or claimed twice are left to ``use``.
    """
    rows = catalogue() if rows is None else rows
    tables = {name: class_schema(cls) for name, cls in CORE_TABLES.items()}
    for kind in COMPONENT_TABLES:
        tables[kind] = _instances("evaluator" if kind == "evaluate" else kind, rows)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A spec of deeplense-registry",
        "type": "object",
        "properties": {
            "extends": {"type": "string", "description": "The parent of this spec, relative to it."},
            **tables,
            "exclude": {"type": "array", "items": {**class_schema(ExcludeTable), "minProperties": 1}},
        },
        "additionalProperties": False,
    }


def class_schema(cls: type[Any]) -> Schema:
    """An attrs class as a table: its fields' types, bounds, defaults and ``metadata["about"]``."""
    fields = [field for field in attrs.fields(attrs.resolve_types(cls)) if field.init]
    return {
        "type": "object",
        "properties": {str(field.alias): _field(field) for field in fields},
        "additionalProperties": False,
    }


def _instances(kind: str, rows: Sequence[Row]) -> Schema:
    use = {"type": "string", "description": f'The {kind} plugin: its name, or "distribution:name". Default: the key.'}
    known = {"shards": class_schema(ShardsOptions)} if kind == "dataset" else {}
    for row in rows:
        if row.found.kind == kind and row.state == "ok" and (cls := _options(row)):
            about = row.component.summary if row.component else ""
            known[row.found.name] = {**class_schema(cls), "description": about}
    for table in known.values():
        table["properties"] = {"use": use, **table["properties"]}
    other = {"type": "object", "required": ["use"], "properties": {"use": use}, "additionalProperties": True}
    return {"type": "object", "properties": known, "additionalProperties": other}


def _options(row: Row) -> type[Any] | None:
    try:
        cls = load_options(row)
    except PluginError:  # of no interest to an editor; a spec that names it is told why
        return None
    return cls if attrs.has(cls) else None


def _field(field: attrs.Attribute[Any]) -> Schema:
    schema = bounds(field.validator, type_schema(field.type))
    if about := field.metadata.get("about"):
        schema["description"] = about
    default: Any = field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # attrs types it as a function
        default = attrs.NOTHING if default.takes_self else default.factory()
    if default is not attrs.NOTHING and default is not None:
        schema["default"] = plain(default)
    return schema


def type_schema(kind: Any) -> Schema:
    """A type as a schema; ``None`` in a union is a key that is absent."""
    if kind in _SCALARS:
        return {"type": _SCALARS[kind]}
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        return {"enum": list(arguments)}
    if get_origin(kind) in {Union, types.UnionType}:
        members = [type_schema(member) for member in arguments if member is not type(None)]
        return members[0] if len(members) == 1 else {"anyOf": members}
    if container(kind) in {tuple, list, Sequence}:
        return _array(kind, arguments)
    if container(kind) in {dict, Mapping}:
        return {"type": "object", "additionalProperties": type_schema(arguments[1]) if arguments else True}
    return class_schema(kind) if attrs.has(kind) else {}


def _array(kind: Any, arguments: tuple[Any, ...]) -> Schema:
    fixed = container(kind) is tuple and arguments and arguments[-1] is not Ellipsis
    if not fixed:
        return {"type": "array", "items": type_schema(arguments[0]) if arguments else {}}
    items = [type_schema(member) for member in arguments]
    return {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}
