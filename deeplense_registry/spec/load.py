"""From a file to a spec: read, merged, typed by the core and by each plugin's options, checked as a whole."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from ..components import PluginError, Row, find, load_options, names, scan
from .existing import ShardsOptions
from .expand import product
from .facts import cell_faults
from .merge import COMPONENT_TABLES
from .model import Instance, Spec
from .problems import Fault, Faults, Problem, SpecError, dotted, nearest
from .sources import Sources, read_sources
from .structure import structure
from .tables import CORE_TABLES, OPTIONAL_TABLES, ExcludeTable

_REQUIRED = ("dataset", "method", "backbone")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def load_spec(path: Path, overrides: Sequence[str] = ()) -> Spec:
    """Read a spec and check all that can be checked before the data exist.

    Args:
        path: A TOML file; it may name one parent by ``extends = "base.toml"``, relative to itself.
        overrides: ``key=value`` each, as of ``--set``, laid over the file in this order.

    Raises:
        SpecError: Everything that is wrong with it.
    """
    sources = read_sources(path, overrides)
    faults: list[Fault] = []
    spec = _spec(sources, faults)
    if spec is not None:
        cells, faults = product(spec)
        faults += [fault for cell in cells for fault in cell_faults(cell)]
    if faults:
        unique = dict.fromkeys(sorted(faults, key=sources.order))
        raise SpecError([sources.problem(fault) for fault in unique])
    assert spec is not None
    return spec


def structure_options(cls: type[Any], table: Mapping[str, Any], where: str = "options") -> Any:
    """An options class from a dictionary, checked as in a spec: for building a component from Python.

    Args:
        cls: The component's options class.
        table: Its options.
        where: What to call it in messages: ``"backbone.levit"``.

    Raises:
        SpecError: All that is wrong with them.
    """
    try:
        return structure(dict(table), cls, f"option of {where}")
    except Faults as error:
        raise SpecError(
            [Problem(origin=where, path=dotted(one.path), text=one.text) for one in error.faults]
        ) from error


def _spec(sources: Sources, faults: list[Fault]) -> Spec | None:
    """The tables, each on its own; what is wrong goes to ``faults``."""
    document = sources.document
    known = (*CORE_TABLES, *COMPONENT_TABLES, "exclude", "extends")
    faults += [
        Fault((key,), f"unknown table{nearest(key, known)}", on_key=True) for key in document if key not in known
    ]
    tables: dict[str, Any] = {}
    for name, cls in CORE_TABLES.items():
        absent = name in OPTIONAL_TABLES and name not in document
        tables[name] = None if absent else _table(document.get(name, {}), cls, f"key of [{name}]", (name,), faults)
    for kind in COMPONENT_TABLES:
        tables[kind] = _instances(kind, document.get(kind, {}), faults)
    tables["exclude"] = _excludes(document.get("exclude", []), faults)
    return None if faults else Spec(sources=sources, **tables)


def _table(table: Any, cls: type[Any], what: str, path: tuple[str | int, ...], faults: list[Fault]) -> Any:
    try:
        return structure(table, cls, what)
    except Faults as error:
        for fault in error.faults:
            for key in reversed(path):
                fault = fault.under(key)
            faults.append(fault)
        return None


def _instances(kind: str, table: Any, faults: list[Fault]) -> tuple[Instance | None, ...]:
    if not isinstance(table, dict):
        faults.append(Fault((kind,), f"expected tables of instances, like [{kind}.NAME]"))
        return ()
    if not table and kind in _REQUIRED:
        here = [*(["shards"] if kind == "dataset" else []), *names(scan(), kind)]
        text = f"a spec needs at least one {kind}: write [{kind}.NAME], NAME one of {', '.join(here)}"
        faults.append(
            Fault((kind,), text if here else f"a spec needs a {kind}, and no plugin that has one is installed")
        )
    return tuple(_instance(kind, name, one, faults) for name, one in table.items())


def _instance(kind: str, name: str, table: Any, faults: list[Fault]) -> Instance | None:
    if not isinstance(table, dict):
        faults.append(Fault((kind, name), f"expected a table: [{kind}.{name}]"))
        return None
    use = table.get("use", name)
    if not isinstance(use, str):
        faults.append(Fault((kind, name, "use"), 'expected the name of a plugin, or "distribution:name"'))
        return None
    if not _NAME.fullmatch(name):
        text = 'a name is made of letters, digits, ".", "_" and "-", and starts with a letter or digit; '
        faults.append(Fault((kind, name), f'{text}write the plugin behind "use"', on_key=True))
    component = "evaluator" if kind == "evaluate" else kind
    try:
        row, cls = _component(component, use)
    except PluginError as error:
        faults.append(Fault((kind, name, *(["use"] if "use" in table else [])), str(error)))
        return None
    options = {key: value for key, value in table.items() if key != "use"}
    what = f'option of {component} "{use}"{_who(row)}'
    typed = _table(options, cls, what, (kind, name), faults)
    return Instance(name=name, use=use, row=row, options=typed)


def _component(kind: str, use: str) -> tuple[Row | None, type[Any]]:
    if (kind, use) == ("dataset", "shards"):
        return None, ShardsOptions
    row = find(kind, use)
    cls = load_options(row)
    if not attrs.has(cls):
        raise PluginError(f'{kind} "{use}"{_who(row)} is broken: its options, {cls!r}, are no attrs class')
    return row, cls


def _who(row: Row | None) -> str:
    return f" ({row.found.distribution} {row.found.version})" if row else ""


def _excludes(rows: Any, faults: list[Fault]) -> tuple[ExcludeTable, ...]:
    if not isinstance(rows, list):
        faults.append(Fault(("exclude",), "expected an array of tables: [[exclude]]"))
        return ()
    return tuple(_table(row, ExcludeTable, "key of [[exclude]]", ("exclude", n), faults) for n, row in enumerate(rows))
