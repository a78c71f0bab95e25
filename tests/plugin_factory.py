"""Plugins made up for a test: folders that Python takes for installed distributions."""

from __future__ import annotations

import importlib
import textwrap
from pathlib import Path

OPTIONS = """
    @frozen
    class Options:
        strength: float = option("How strong.", 1.0, validators.ge(0.0))
"""


def make_plugin(
    folder: Path,
    name: str,
    kind: str,
    *,
    options: str = OPTIONS,
    implementation: str = "class Implementation: ...",
    light: str | None = None,
    distribution: str | None = None,
    version: str = "0.1",
    api: int = 1,
    requires: str = "",
) -> str:
    """Install a plugin of one component into ``folder``, which lies on ``sys.path``.

    Args:
        folder: Where to.
        name: The component's name.
        kind: Its kind.
        options: Source of ``options.py``: a class ``Options``; attrs, the validators, ``option`` and the facts are
            imported for it.
        implementation: Source of ``implementation.py``: a class ``Implementation``.
        light: Source of the light module, instead of one that declares the component.
        distribution: The distribution's name; by default ``fake-<name>``.
        version: The distribution's version.
        api: The version of the interfaces it claims to be written for.
        requires: What ``Requires-Dist`` says.

    Returns:
        The name of its package.
    """
    distribution = distribution or f"fake-{name}"
    module = distribution.replace("-", "_")
    package = folder / module
    package.mkdir(parents=True)
    declared = _LIGHT.format(module=module, kind=kind, name=name, api=api)
    (package / "__init__.py").write_text(declared if light is None else textwrap.dedent(light))
    (package / "options.py").write_text(_OPTIONS + textwrap.dedent(options))
    (package / "implementation.py").write_text(textwrap.dedent(implementation))
    info = folder / f"{module}-{version}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    (info / "METADATA").write_text(metadata + (f"Requires-Dist: {requires}\n" if requires else ""))
    (info / "entry_points.txt").write_text(f"[deeplense.{kind}s]\n{name} = {module}\n")
    importlib.invalidate_caches()
    return module


_LIGHT = """\
from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components():
    yield Component(
        kind="{kind}",
        name="{name}",
        api={api},
        factory="{module}.implementation:Implementation",
        options="{module}.options:Options",
        summary="A made-up {kind}.",
    )
"""

_OPTIONS = """\
from __future__ import annotations

from typing import Literal

from attrs import frozen, validators

from deeplense_registry import BackboneFacts, DatasetFacts, ImageShape, RunFacts, Target, option, ordered

"""
