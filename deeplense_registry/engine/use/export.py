"""An encoder leaves its run: weights, a card that says all that its user must know, and a page to read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ...components import UserError
from ...shards.atomic import replacing, write_bytes, write_json
from ..encoder import load_encoder
from ..folder import RunFolder

PAGE = """\
# {run}

A {backbone} encoder, pretrained with {method} on `{dataset}` by deeplense-registry {version}.

```python
from deeplense_registry import load_encoder

encoder = load_encoder("{folder}")
features = encoder(images)  # images (B, {channels}, {height}, {width}): flux in the units of `{dataset}`
features.pooled  # (B, {width_of_features})
```

Needs: `pip install {plugins}`. Bands: {bands}; {pixel_scale:g} arcsec a pixel. Flux scaling: `{scaling}`.

{measurements}
"""
TABLE = """\
| evaluator | target | metric | labels | untrained | this encoder |
|---|---|---|---|---|---|
"""


def export_encoder(run: RunFolder, folder: Path) -> None:
    """Write ``encoder.safetensors``, ``README.md`` and, last, ``card.json`` into ``folder``.

    The card is that of the run's encoder with the run's name, digest and method, the versions of the software, and the
    run's measurements.

    Args:
        run: A run that has an encoder.
        folder: Where to: a new folder, or an empty one.

    Raises:
        UserError: The folder holds something, the encoder is damaged, or the disk refuses.
        PluginError: The encoder's plugin is not installed, so that it cannot be checked.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder}: is there already; give a new folder, or delete this one")
    card = _card(run)
    page = _page(card, folder)
    try:
        with replacing(folder / "encoder.safetensors") as aside:
            shutil.copyfile(run.encoder, aside)
        write_bytes(folder / "README.md", page.encode())
        write_json(folder / "card.json", card)
    except OSError as error:
        raise UserError(f"{folder}: cannot write: {error}; make room, delete the folder and export again") from error


def _card(run: RunFolder) -> dict[str, Any]:
    own = load_encoder(run.path).card  # whole, and it can be built
    manifest = run.manifest() or {}
    of_kind = {plugin["kind"]: plugin for plugin in manifest["plugins"]}
    backbone = of_kind["backbone"]
    return {
        **own,
        "plugins": {backbone["distribution"]: backbone["version"]},
        "run": manifest["name"],
        "digest": manifest["digest"],
        "method": of_kind["method"]["name"],
        "versions": manifest["versions"],
        "measurements": [one.as_json() for one in run.measurements() or ()],
    }


def _page(card: dict[str, Any], folder: Path) -> str:
    measured = _rows(card["measurements"])
    return PAGE.format(
        run=card["run"],
        backbone=card["backbone"]["use"],
        method=card["method"],
        dataset=card["dataset"],
        version=card["versions"]["deeplense-registry"],
        folder=folder.name,
        width_of_features=card["width"],
        plugins=" ".join(["deeplense-registry", *sorted(card["plugins"])]),
        bands=", ".join(card["bands"]),
        pixel_scale=card["pixel_scale"],
        scaling=card["scaling"]["scaling"],
        measurements=TABLE + "\n".join(measured) if measured else "Not measured on test images.",
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
    return f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})" if one else "-"
