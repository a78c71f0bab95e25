"""What is installed and whether it works: each light module imported once, guarded, its state a value."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType

import pluggy
from attrs import frozen

from .hookspecs import PROJECT, PluginHooks
from .record import API, Component
from .scan import Found, scan


@frozen(kw_only=True)
class Row:
    """An entry point and what became of it.

    Attributes:
        found: The entry point.
        state: ``"ok"``, ``"broken"``, ``"clash"`` (another distribution has the name) or ``"wrong-api"``.
        component: The record, where the light module gave one.
        error: The traceback of a broken plugin, or the reason in words.
    """

    found: Found
    state: str
    component: Component | None = None
    error: str = ""

    def as_json(self) -> dict[str, object]:
        """The row of ``deeplense plugins --json``."""
        component = self.component
        return {
            "kind": self.found.kind,
            "name": self.found.name,
            "distribution": self.found.distribution,
            "version": self.found.version,
            "origin": self.found.origin,
            "api": component.api if component else None,
            "state": self.state,
            "summary": component.summary if component else self.error.strip().splitlines()[-1],
        }


def catalogue(found: Iterable[Found] | None = None) -> tuple[Row, ...]:
    """A row for each entry point (of ``found``, by default of :func:`scan`), importing light modules only.

    A plugin that fails to import or to declare itself is a row with its traceback, never an exception: it matters only
    when a spec names it.
    """
    cache: dict[str, tuple[Component, ...] | str] = {}
    return tuple(_row(one, cache) for one in (scan() if found is None else found))


def _row(found: Found, cache: dict[str, tuple[Component, ...] | str]) -> Row:
    if found.module not in cache:
        cache[found.module] = _declared(found.module)
    declared = cache[found.module]
    if isinstance(declared, str):
        return Row(found=found, state="broken", error=declared)
    component = next((c for c in declared if (c.kind, c.name) == (found.kind, found.name)), None)
    if component is None:
        listed = ", ".join(f"{c.kind} {c.name!r}" for c in declared) or "nothing"
        error = f"module {found.module} yields {listed}, but no {found.kind} {found.name!r} for its entry point"
        return Row(found=found, state="broken", error=error)
    state = "clash" if found.clash else "ok" if component.api == API else "wrong-api"
    return Row(found=found, state=state, component=component)


def _declared(module: str) -> tuple[Component, ...] | str:
    """The module's components, or the traceback of its failure."""
    try:
        return tuple(_components(import_module(module)))
    except (Exception, SystemExit):  # whatever foreign code raises becomes a row
        return traceback.format_exc()


def _components(module: ModuleType) -> Iterable[Component]:
    manager = pluggy.PluginManager(PROJECT)  # one a module: a plugin's fault stays its own
    manager.add_hookspecs(PluginHooks)
    manager.register(module)
    manager.check_pending()
    for declared in manager.hook.deeplense_components():
        for component in declared:
            if not isinstance(component, Component):
                raise TypeError(f"{module.__name__}.deeplense_components yields {component!r}, which is no Component")
            yield component
