"""Calling observers: none of them may change or stop a run."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterable
from typing import Any

import pluggy

from ...components import PROJECT, ObserverHooks, UserError, find, load_factory, load_options
from .log import Log
from .progress import ProgressBar
from .tensorboard import TensorBoard

BUILT_IN = {"log": Log, "progress": ProgressBar, "tensorboard": TensorBoard}


class Observers:
    """The observers of one run. ``observers.scalars(step=..., values=...)`` calls that hook of each."""

    def __init__(self, observers: Iterable[object] = ()) -> None:
        """Register the instances.

        Raises:
            UserError: One has a hook implementation that fits no hook.
        """
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(ObserverHooks)
        for observer in observers:
            try:
                self._manager.register(observer)
            except pluggy.PluginValidationError as error:
                raise UserError(f"observer {type(observer).__name__}: {error}") from error

    def __getattr__(self, hook: str) -> Any:
        """A function that calls ``hook`` of each observer; one that fails is dropped with a warning."""
        if hook.startswith("_"):
            raise AttributeError(hook)

        def call(**arguments: Any) -> None:
            for observer in self._manager.get_plugins():
                others = self._manager.get_plugins() - {observer}
                try:
                    self._manager.subset_hook_caller(hook, others)(**arguments)
                except Exception:  # foreign code: the run goes on without it, and says so
                    self._manager.unregister(observer)
                    name = type(observer).__name__
                    warnings.warn(f"observer {name} failed and is dropped:\n{traceback.format_exc()}", stacklevel=2)

        return call


def observers_of(names: Iterable[str]) -> Observers:
    """The observers of ``execute.observers``: built-in ones by name, others from plugins with default options.

    Raises:
        PluginError: A name is neither built in nor installed.
    """
    return Observers([_observer(name) for name in names])


def _observer(name: str) -> object:
    if name in BUILT_IN:
        return BUILT_IN[name]()
    row = find("observer", name)
    instance: object = load_factory(row)(load_options(row)())
    return instance
