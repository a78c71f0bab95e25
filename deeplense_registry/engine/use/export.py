"""An encoder leaves its run: weights, a card that says all that its user must know, and a page to read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ...components import UserError
from ...shards.atomic import replacing, write_bytes, write_json
from ..encoder import load_encoder
from ..folder import RunFolder, read_json

PAGE = """\
# {name}

A {backbone} encoder, pretrained with {method} on `{dataset}` by deeplense-registry {version}.

```python
from deeplense_registry import load_encoder

encoder = load_encoder("{folder}")
features = encoder(images)  # images (B, {channels}, {height}, {width}): flux in the units of `{dataset}`
features.pooled  # (B, {width_of_features})
```

Needs: `pip install {plugins}`. Bands: {bands}; {pixel_scale:g} arcsec a pixel. Flux scaling: `{scaling}`.

| evaluator | target | metric | labels | untrained | this encoder |
|---|---|---|---|---|---|
{rows}
"""


def export_encoder(run: RunFolder, folder: Path) -> None:
    """Write ``encoder.safetensors``, ``card.json`` and ``README.md`` into ``folder``, which is made.

    Args:
        run: A finished run.
        folder: Where to.

    Raises:
        UserError: The folder holds another encoder, or the disk refuses.
        PluginError: The encoder's plugin is not installed, so that it cannot be checked.
    """
    if (folder / "card.json").exists():
        raise UserError(f"{folder}: holds an encoder; give another folder, or delete this one")
    load_encoder(run.path)  # whole, and it can be built
    manifest, own = run.manifest() or {}, read_json(run.card)
    measured = [one.as_json() for one in run.measurements() or ()]
    plugins = {one["distribution"]: one["version"] for one in manifest["plugins"] if one["kind"] == "backbone"}
    whole = {**own, "run": manifest["name"], "digest": manifest["digest"], "method": manifest["method"]}
    whole |= {"versions": manifest["versions"], "plugins": plugins, "measurements": measured}
    try:
        with replacing(folder / "encoder.safetensors") as aside:
            shutil.copyfile(run.encoder, aside)
        write_bytes(folder / "README.md", _page(whole, folder).encode())
        write_json(folder / "card.json", whole)
    except OSError as error:
        raise UserError(f"{folder}: cannot write: {error}; make room and run again") from error


def _page(card: dict[str, Any], folder: Path) -> str:
    return PAGE.format(
        name=card["run"],
        backbone=json.dumps(card["backbone"]["use"]).strip('"'),
        method=card["method"],
        dataset=card["dataset"],
        version=card["versions"]["deeplense-registry"],
        folder=folder.name,
        width_of_features=card["width"],
        plugins=" ".join(sorted(card["plugins"])),
        bands=", ".join(card["bands"]),
        pixel_scale=card["pixel_scale"],
        scaling=card["scaling"]["scaling"],
        rows="\n".join(_rows(card["measurements"])),
        **card["shape"],
    )


def _rows(measured: list[dict[str, Any]]) -> list[str]:
    """A line for each measurement of the trained encoder on test images, beside the untrained one's."""
    by_key = {_key(one): one for one in measured}
    lines = []
    for one in measured:
        if one["encoder"] != "trained" or one["split"] != "test":
            continue
        before = by_key.get(_key({**one, "encoder": "untrained"}))
        cells = [one["evaluator"], one["target"], one["metric"], str(one["labels"] or "")]
        lines.append("| " + " | ".join([*cells, _value(before), _value(one)]) + " |")
    return lines


def _key(one: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(one[name] for name in ("evaluator", "target", "metric", "split", "labels", "encoder"))


def _value(one: dict[str, Any] | None) -> str:
    return f"{one['value']:.3f} ({one['low']:.3f} {one['high']:.3f})" if one else "-"
