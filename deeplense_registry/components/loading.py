"""From the name in a spec to the class that implements it, or one message that says what to do."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from .catalogue import Row, catalogue
from .errors import PluginError
from .known import KNOWN
from .record import API, Component
from .scan import Found, names, scan


def find(kind: str, use: str) -> Row:
    """The usable row that ``use`` names: ``"simclr"``, or ``"distribution:simclr"`` where two share the name.

    Raises:
        PluginError: It is not installed, broken, of another interface version, or ambiguous.
    """
    installed = scan()
    distribution, _, name = use.rpartition(":")
    matches = [one for one in installed if (one.kind, one.name) == (kind, name)]
    if distribution:
        matches = [one for one in matches if one.distribution == distribution]
    if not matches:
        raise PluginError(_missing(kind, use, installed))
    if len(matches) > 1:
        raise PluginError(_clash(kind, name, matches))
    return _usable(catalogue(matches)[0])


def load_options(row: Row) -> type[Any]:
    """The attrs class of the component's options; imports no torch.

    Raises:
        PluginError: It cannot be imported; the message ends with the plugin's own traceback.
    """
    return _load(row, _component(row).options)


def load_factory(row: Row) -> type[Any]:
    """The class that implements the component.

    Raises:
        PluginError: It cannot be imported; the message ends with the plugin's own traceback.
    """
    return _load(row, _component(row).factory)


def _usable(row: Row) -> Row:
    found = row.found
    who = f"{found.kind} {found.name!r} ({found.distribution} {found.version})"
    if row.state == "broken":
        raise PluginError(f"{who} is broken; mend, upgrade or uninstall it. Its error:\n{row.error.rstrip()}")
    if row.state == "wrong-api":
        theirs = _component(row).api
        remedy = f"pip install --upgrade {found.distribution if theirs < API else 'deeplense-registry'}"
        raise PluginError(f"{who} is written for interface version {theirs}; this core has {API}: {remedy}")
    return row


def _component(row: Row) -> Component:
    if row.component is None:
        raise PluginError(f"{row.found.kind} {row.found.name!r} is broken:\n{row.error.rstrip()}")
    return row.component


def _load(row: Row, path: str) -> type[Any]:
    module, _, attribute = path.partition(":")
    try:
        loaded: type[Any] = getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:  # foreign code: its real traceback belongs to the message
        found = row.found
        who = f"{found.kind} {found.name!r} ({found.distribution} {found.version})"
        message = f"{who}: cannot load {path}; mend, upgrade or uninstall it. Its error:\n"
        raise PluginError(message + traceback.format_exc().rstrip()) from error
    return loaded


def _missing(kind: str, use: str, installed: Sequence[Found]) -> str:
    here = names(installed, kind)
    name = use.rpartition(":")[2]
    text = f'{kind} "{use}" is not installed'
    if (kind, name) in KNOWN and name not in here:
        return f"{text}: pip install {KNOWN[kind, name]}"
    known = [other for of_kind, other in KNOWN if of_kind == kind]
    close = difflib.get_close_matches(name, [*here, *known], n=1)
    if close:
        hint = "" if close[0] in here else f" (pip install {KNOWN[kind, close[0]]})"
        text += f'; did you mean "{close[0]}"{hint}?'
    return f"{text}{'' if close else '.'} Installed {kind}s: {', '.join(here) or 'none'}."


def _clash(kind: str, name: str, matches: Sequence[Found]) -> str:
    uses = " or ".join(f'use = "{one.distribution}:{name}"' for one in matches)
    owners = " and ".join(f"{one.distribution} {one.version}" for one in matches)
    return f'{kind} "{name}" is claimed by {owners}: write {uses}, or uninstall one'
