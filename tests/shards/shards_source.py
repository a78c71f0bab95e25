"""A source for the tests: small images, absent targets and meta, a fault or a delay where one is asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from deeplense_registry.components import DatasetCard, ImageShape, Target, derive_seed
from deeplense_registry.interfaces import Dataset, Sample
from deeplense_registry.shards import Manifest, build_shards

SIDE = 8


def card(counts: dict[str, int | None], side: int = SIDE, partners: int = 1) -> DatasetCard:
    return DatasetCard(
        name="toy",
        shape=ImageShape(2, side, side),
        bands=("g", "r"),
        pixel_scale=0.1,
        targets={"class": Target(classes=("none", "ring", "arc")), "theta_e": Target(unit="arcsec")},
        splits=counts,
        partners=partners,
        licence="CC0",
        citation="None 2024",
        about="Noise.",
    )


def sample(split: str, position: int, side: int = SIDE, partners: int = 1) -> Sample:
    rng = np.random.default_rng(derive_seed(split, position))
    shape = (2, side, side) if partners == 1 else (partners, 2, side, side)
    targets: dict[str, Any] = {"class": np.int64(position % 3)} if position % 4 else {}
    if position % 5:
        targets["theta_e"] = np.float32(position / 8)
    meta: dict[str, Any] = {"psf": position / 10, "night": f"n{position % 2}"}
    if position % 2:
        meta["noise"] = 7
    image = rng.normal(100.0, 1.0, shape).astype(np.float32)
    return Sample(name=f"{split}-{'x' * (position % 3)}{position}", image=image, targets=targets, meta=meta)


@attrs.frozen
class Toy:
    """Opens the source: ``factory()`` is a picklable callable."""

    counts: dict[str, int]
    side: int = SIDE
    partners: int = 1
    delay: float = 0.0
    fault: str = ""

    def __call__(self) -> Dataset:
        return ToySource(self)


class ToySource(Dataset):
    def card(self) -> DatasetCard:
        return card(dict(self.options.counts), self.options.side, self.options.partners)

    def samples(self, split: str, part: int, parts: int) -> Iterator[Sample]:
        toy: Toy = self.options
        count = toy.counts[split]
        for position in range(count * part // parts, count * (part + 1) // parts):
            time.sleep(toy.delay)
            if toy.fault == "unreadable" and position == 2:
                raise FileNotFoundError("no such archive")
            if toy.fault == "killed" and position == 2:
                import os
                import signal

                os.kill(os.getpid(), signal.SIGKILL)
            whole = sample(split, position, toy.side, toy.partners)
            yield attrs.evolve(whole, name="twin") if toy.fault == "twins" and position in (1, count - 1) else whole


def build(folder: Path, toy: Toy, **settings: Any) -> Manifest:
    settings = {"digest": "d1", "processes": 1, **settings}
    return build_shards(toy, toy().card(), folder, **settings)


def content(folder: Path) -> dict[str, bytes]:
    """Every published file."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}
