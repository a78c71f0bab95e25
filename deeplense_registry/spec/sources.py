"""Where a spec comes from: its file, the files it extends, and ``--set``; and where in them a key is written."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attrs import Factory, frozen

from .merge import inherit, override
from .positions import Spot, positions
from .problems import Fault, Key, Problem, SpecError, dotted

_WHERE = re.compile(r"\s*\(at line (\d+), column (\d+)\)")


@frozen(eq=False)
class Layer:
    """One file, or one ``--set``.

    Attributes:
        name: The file as it was named, or ``--set key=value``.
        document: What it says.
        lines: The file's lines; none for ``--set``.
        spots: Where each key stands.
    """

    name: str
    document: Mapping[str, Any]
    lines: tuple[str, ...] = ()
    spots: Mapping[Key, Spot] = Factory(dict)


@frozen(eq=False)
class Sources:
    """All layers of a spec.

    Attributes:
        layers: The newest first: the last ``--set``, ..., the file, its parent, ...
        document: What they say together.
    """

    layers: tuple[Layer, ...]
    document: Mapping[str, Any]

    def problem(self, fault: Fault) -> Problem:
        """The fault with its place: the newest layer that gives the key, else the nearest table around it."""
        layer, spot = self._find(fault.path)
        if spot is None:
            return Problem(origin=layer.name, path=dotted(fault.path), text=fault.text)
        span = spot.key if fault.on_key else spot.value
        return _at(layer, fault, span.line, span.column, span.length)

    def origin(self, path: Key) -> str:
        """``file:line`` or ``--set key=value`` of a value, or ``default``."""
        if not _has(self.document, path):
            return "default"
        layer, spot = self._find(path)
        return f"{layer.name}:{spot.key.line}" if spot else layer.name

    def order(self, fault: Fault) -> tuple[int, int]:
        """For sorting faults as a reader meets them: the spec, its parents, ``--set``."""
        layer, spot = self._find(fault.path)
        return (self.layers.index(layer) if layer.lines else len(self.layers), spot.key.line if spot else 0)

    def _find(self, path: Key) -> tuple[Layer, Spot | None]:
        prefixes = (path[:length] for length in range(len(path), 0, -1))
        for prefix in filter(partial(_has, self.document), prefixes):  # a layer may hold what another one discarded
            for layer in self.layers:
                if _has(layer.document, prefix):
                    return layer, _spot(layer, prefix)
        return next(layer for layer in self.layers if layer.lines), None


def read_sources(path: Path, overrides: Sequence[str] = ()) -> Sources:
    """Read a spec, its parents and its overrides.

    Raises:
        SpecError: A file is missing, unreadable, not UTF-8 or not TOML; the parents form a circle; an override is not
            of the form KEY=VALUE.
    """
    files = _chain(path)
    document: dict[str, Any] = {}
    for layer in reversed(files):
        document = inherit(document, layer.document)
    sets = []
    for text in overrides:
        keys, value = parse_override(text)
        document = override(document, keys, value)
        sets.append(Layer(f"--set {text}", override({}, keys, value)))
    return Sources((*reversed(sets), *files), document)


def parse_override(text: str) -> tuple[tuple[str, ...], Any]:
    """``a.b=VALUE`` as ``(("a", "b"), value)``; what is no TOML value is a string.

    Raises:
        SpecError: It is not of that form.
    """
    name, equals, value = text.partition("=")
    try:
        keys: list[str] = []
        nested: Any = tomllib.loads(f"{name.strip()} = 0") if equals else {}
        while isinstance(nested, dict):
            (key,) = nested
            keys.append(key)
            nested = nested[key]
    except ValueError as error:
        advice = "write --set KEY=VALUE, KEY like train.epochs"
        raise SpecError([Problem(origin=f"--set {text}", path="", text=advice)]) from error
    return tuple(keys), _value(value)


def _value(text: str) -> Any:
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return read["value"] if len(read) == 1 else text


def _chain(path: Path) -> list[Layer]:
    """The file, its parent, its parent's parent, ..."""
    layers = [_read(path, None)]
    seen = [path.resolve()]
    while "extends" in layers[-1].document:
        child, parent = layers[-1], layers[-1].document["extends"]
        if not isinstance(parent, str):
            raise _unusable(child, 'one file may be named, as a string: extends = "base.toml"')
        path = path.parent / parent
        if path.resolve() in seen:
            raise _unusable(child, f"{path} extends itself, by way of {' and '.join(one.name for one in layers)}")
        seen.append(path.resolve())
        layers.append(_read(path, child))
    return layers


def _read(path: Path, child: Layer | None) -> Layer:
    try:
        text = path.read_bytes().decode().replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        if child:
            raise _unusable(child, f"cannot read {path}: {reason}") from error
        raise SpecError([Problem(origin=str(path), path="", text=f"cannot read this spec: {reason}")]) from error
    lines = tuple(text.split("\n"))
    try:
        return Layer(str(path), tomllib.loads(text), lines, positions(text))
    except tomllib.TOMLDecodeError as error:
        raise SpecError([_syntax(Layer(str(path), {}, lines), str(error))]) from error


def _syntax(layer: Layer, message: str) -> Problem:
    """A syntax error; tomllib gives the place within its message only."""
    where = _WHERE.search(message)
    line, column = (int(where[1]), int(where[2])) if where else (len(layer.lines), len(layer.lines[-1]) + 1)
    text = _WHERE.sub("", message).replace(" (at end of document)", " at the end of the file")
    return _at(layer, Fault((), f"this is not TOML: {text[:1].lower()}{text[1:]}"), line, column - 1, 1)


def _unusable(layer: Layer, text: str) -> SpecError:
    return SpecError([Sources((layer,), layer.document).problem(Fault(("extends",), text))])


def _at(layer: Layer, fault: Fault, line: int, column: int, length: int) -> Problem:
    source = layer.lines[line - 1].expandtabs(1)  # one column a character, so that the carets stand below
    return Problem(
        origin=layer.name,
        path=dotted(fault.path),
        text=fault.text,
        line=line,
        column=column,
        length=length,
        source=source,
    )


def _has(document: Any, path: Key) -> bool:
    for part in path:
        inside = part in document if isinstance(document, dict) else False
        if isinstance(document, list) and isinstance(part, int):
            inside = part < len(document)
        if not inside:
            return False
        document = document[part]
    return True


def _spot(layer: Layer, path: Key) -> Spot | None:
    return next((layer.spots[path[:n]] for n in range(len(path), 0, -1) if path[:n] in layer.spots), None)
