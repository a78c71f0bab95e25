"""What is installed, read from package metadata alone: nothing of a plugin is imported."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import Distribution, EntryPoint, entry_points

from attrs import frozen

from .record import KINDS


@frozen(kw_only=True)
class Found:
    """An entry point of one of the five groups.

    Attributes:
        kind, name: What it claims to be.
        distribution, version: Who claims it.
        origin: ``"installed"``, or the folder or archive that it was installed from (editable ones included).
        module: The light module that its value names.
        clash: Whether another distribution claims the same kind and name.
    """

    kind: str
    name: str
    distribution: str
    version: str
    origin: str
    module: str
    clash: bool


def scan() -> tuple[Found, ...]:
    """Every entry point of the five groups, sorted by kind, name and distribution."""
    points = [(kind, point) for kind in KINDS for point in entry_points(group=f"deeplense.{kind}s")]
    claims: dict[tuple[str, str], set[str]] = {}
    for kind, point in points:
        claims.setdefault((kind, point.name), set()).add(_distribution(point)[0])
    found = (_found(kind, point, len(claims[kind, point.name]) > 1) for kind, point in points)
    return tuple(sorted(found, key=lambda one: (KINDS.index(one.kind), one.name, one.distribution)))


def names(found: Iterable[Found], kind: str) -> list[str]:
    """The names of one kind, sorted, each once."""
    return sorted({one.name for one in found if one.kind == kind})


def _found(kind: str, point: EntryPoint, clash: bool) -> Found:
    distribution, version, origin = _distribution(point)
    return Found(
        kind=kind,
        name=point.name,
        distribution=distribution,
        version=version,
        origin=origin,
        module=point.module,
        clash=clash,
    )


def _distribution(point: EntryPoint) -> tuple[str, str, str]:
    if point.dist is None:
        return ("unknown", "", "unknown")
    return point.dist.name, point.dist.version, _origin(point.dist)


def _origin(distribution: Distribution) -> str:
    """The folder or archive of PEP 610's ``direct_url.json``; "installed" where there is none (an index)."""
    text = distribution.read_text("direct_url.json")
    if text is None:
        return "installed"
    url = str(json.loads(text).get("url", ""))
    return url.removeprefix("file://") or "installed"
