"""Planted runs with all that a report shows: logs, encoders, pictures, plugins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from deeplense_registry.engine.folder import RunFolder
from tests.comparison.planted_runs import survey

LEVELS = {"dino": 0.9, "simclr": 0.7}
DIGEST = {"train_digest": "ef" * 32}


def level(method: str, backbone: str, labels: int) -> float:
    """DINO leads clearly; SimCLR on LeViT is no better than an untrained network."""
    return 0.55 if (method, backbone) == ("simclr", "levit") else LEVELS[method] + 0.02 * (labels > 100)


def whole_survey(root: Path, **more: Any) -> list[RunFolder]:
    """Two methods on two backbones; SimCLR on CvT has collapsed."""
    options: dict[str, Any] = {"methods": ("dino", "simclr"), "seeds": (0,), "manifest": DIGEST, **more}
    runs = survey(root, level, **options)
    for number, run in enumerate(runs):
        log(run, speed=100.0 * (number + 1))
        save_file({"w": np.zeros((4, 5), np.float32), "norm.running_mean": np.zeros(5, np.float32)}, run.encoder)
        picture(run.pictures / "trained" / "gallery.png")
        plugin = {"kind": "method", "name": "m", "distribution": "deeplense-m", "version": "0.1.0", "digest": "cd" * 32}
        about = {"plugins": [plugin], "versions": {"deeplense-registry": "0.1.0"}, "digest": f"{number:064x}"}
        change(run, **about)
    change(runs[2], collapsed=True, collapse="all images have nearly the same embedding")
    return runs


def change(run: RunFolder, **fields: Any) -> None:
    """Fields of a run's manifest."""
    manifest = run.manifest() or {}
    manifest.pop("format")
    run.write_manifest({**manifest, **fields})


def log(run: RunFolder, *, speed: float = 100.0, steps: int = 40) -> None:
    """A log of one minute of training, with a probe and a warning."""
    events: list[dict[str, Any]] = [{"time": 0.0, "event": "started"}, {"time": 5.0, "event": "training", "step": 0}]
    events[-1]["steps"] = steps
    for step in range(4, steps + 1, 4):
        values = {"loss_over_chance": 1.0 - step / steps / 2, "images_per_second": speed, "online/class/linear": 0.5}
        events.append({"time": 5.0 + 60.0 * step / steps, "event": "scalars", "step": step, **values})
    events.append({"time": 70.0, "event": "warning", "step": steps, "text": "the run is collapsing"})
    events.append({"time": 71.0, "event": "phase", "name": "evaluation"})
    (run.path / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def picture(path: Path, *, width: int = 1200) -> None:
    """A PNG of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (width // 2, width), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
