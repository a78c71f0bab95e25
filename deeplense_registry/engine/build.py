"""Components from Python: by name and options, as a spec would build them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..components import find, load_factory, load_options
from ..spec import structure_options


def build(kind: str, use: str, options: Mapping[str, Any] | None = None, **context: Any) -> Any:
    """An instance of a component.

    ``build("backbone", "levit", {"variant": "128s"}, shape=ImageShape(1, 64, 64))``

    Args:
        kind: "method", "backbone", "dataset", "evaluator" or "observer".
        use: Its name, or ``"distribution:name"``.
        options: Its options, checked as in a spec; the defaults where absent.
        context: What the kind's constructor takes beside options: ``shape`` and ``drop_path`` for a backbone,
            ``make_backbone`` and ``facts`` for a method.

    Raises:
        PluginError: The component is not installed or broken.
        SpecError: An option is unknown or wrong.
    """
    row = find(kind, use)
    structured = structure_options(load_options(row), options or {}, where=f"{kind}.{use}")
    return load_factory(row)(structured, **context)
