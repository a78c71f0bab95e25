"""What differs between two runs: in the spec, the plugins, the data, the surroundings, and the results."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from ..components import UserError
from ..engine import RunFolder
from ..engine.folder import read_json

ABSENT = "-"


@frozen
class Difference:
    """One thing that differs.

    Attributes:
        part: "spec", "plugins", "data", "surroundings" or "results".
        name: What it is.
        one, other: Its value in each run; "-" where there is none.
    """

    part: str
    name: str
    one: str
    other: str


def differences(one: RunFolder, other: RunFolder) -> list[Difference]:
    """All that differs, part by part.

    Raises:
        UserError: A file of either is damaged.
    """
    describe = {
        "spec": spec_of,
        "plugins": lambda run: plugins_of(run.manifest() or {}),
        "data": data_of,
        "surroundings": surroundings_of,
        "results": results_of,
    }
    return [found for part, of in describe.items() for found in compared(part, of(one), of(other))]


def compared(part: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """The names whose values differ, in the order of ``one`` and then of ``other``; numbers to the last bit."""
    return [
        Difference(part, name, *_texts(one.get(name, ABSENT), other.get(name, ABSENT)))
        for name in dict.fromkeys((*one, *other))
        if one.get(name, ABSENT) != other.get(name, ABSENT)
    ]


def _texts(one: Any, other: Any) -> tuple[str, str]:
    """Both values, as short as still tells them apart."""
    short = _short(one), _short(other)
    return short if short[0] != short[1] else (str(one), str(other))


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{_short(value[0])} ({' '.join(map(_short, value[1:]))})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def spec_of(run: RunFolder) -> dict[str, Any]:
    """The resolved spec as dotted keys, without ``run.name`` and ``[execute]``, which change no result."""
    path = run.path / "spec.toml"
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: cannot read the run's spec: {error}") from error
    flat = flattened(document)
    return {key: value for key, value in flat.items() if key != "run.name" and not key.startswith("execute.")}


def plugins_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Who each component came from, and a digest of its code; the core is the last."""
    record = {
        f"{one['kind']} {one['name']}": f"{one['distribution']} {one['version']} {one['digest'][:12]}"
        for one in manifest.get("plugins", ())
    }
    core = manifest.get("core_digest")
    return record | ({"core": f"deeplense-registry {core[:12]}"} if core else {})


def data_of(run: RunFolder) -> dict[str, Any]:
    """The checksum of the shards' manifest, which holds those of the shards."""
    manifest = run.manifest() or {}
    return {"shards": manifest["shards"]} if "shards" in manifest else {}


def surroundings_of(run: RunFolder) -> dict[str, Any]:
    """Versions, hardware, threads, precision and git."""
    manifest = run.manifest() or {}
    names = ("versions", "hardware", "threads", "precision", "git")
    return flattened({name: manifest[name] for name in names if manifest.get(name) is not None})


def results_of(run: RunFolder) -> dict[str, Any]:
    """The encoder's checksum, every measurement with its interval, and whether the run collapsed."""
    card, manifest = read_json(run.card) or {}, run.manifest() or {}
    results: dict[str, Any] = {"status": manifest.get("status", ABSENT)}
    results |= {"encoder": card["sha256"]} if "sha256" in card else {}
    results |= {"collapsed": manifest["collapsed"]} if "collapsed" in manifest else {}
    return results | {one.key: (one.value, one.low, one.high) for one in run.measurements() or ()}


def flattened(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested table as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= flattened(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat
