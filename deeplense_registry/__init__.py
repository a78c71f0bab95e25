"""A plugin registry for self-supervised learning on strong gravitational lenses.

Everything public is importable from here, and nothing is imported before it is asked for: importing the package costs
milliseconds and no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .components import (
        BackboneFacts,
        Component,
        DatasetCard,
        DatasetFacts,
        ImageShape,
        PluginError,
        RunFacts,
        Target,
        UserError,
        catalogue,
        contents_fingerprint,
        files_fingerprint,
        hookimpl,
        option,
        ordered,
        scan,
    )
    from .engine import build, load_encoder
    from .interfaces import (
        Backbone,
        Bench,
        Dataset,
        Draw,
        Evaluator,
        Features,
        Loss,
        Measurement,
        Method,
        Outputs,
        PaperRecipe,
        ParameterGroup,
        Progress,
        Recipe,
        Sample,
        ViewPlan,
        Views,
        ViewSpec,
        World,
        split_by_decay,
    )

_ROOMS = {
    "components": (
        "BackboneFacts Component DatasetCard DatasetFacts ImageShape PluginError RunFacts Target UserError catalogue "
        "contents_fingerprint files_fingerprint hookimpl option ordered scan"
    ),
    "interfaces": (
        "Backbone Bench Dataset Draw Evaluator Features Loss Measurement Method Outputs PaperRecipe ParameterGroup "
        "Progress Recipe Sample ViewPlan ViewSpec Views World split_by_decay"
    ),
    "engine": "build load_encoder",
}
_HOME = {name: room for room, names in _ROOMS.items() for name in names.split()}

__all__ = [  # a literal, so that type checkers see it; a test holds it to _ROOMS
    "Backbone",
    "BackboneFacts",
    "Bench",
    "Component",
    "Dataset",
    "DatasetCard",
    "DatasetFacts",
    "Draw",
    "Evaluator",
    "Features",
    "ImageShape",
    "Loss",
    "Measurement",
    "Method",
    "Outputs",
    "PaperRecipe",
    "ParameterGroup",
    "PluginError",
    "Progress",
    "Recipe",
    "RunFacts",
    "Sample",
    "Target",
    "UserError",
    "ViewPlan",
    "ViewSpec",
    "Views",
    "World",
    "build",
    "catalogue",
    "contents_fingerprint",
    "files_fingerprint",
    "hookimpl",
    "load_encoder",
    "option",
    "ordered",
    "scan",
    "split_by_decay",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
