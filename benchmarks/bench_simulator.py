"""Simulated images per second on this machine: deeplense-lenses beside lenstronomy, in one run.

    python benchmarks/bench_simulator.py [--quick]

Recipe model-2 (SIE, shear and 100, 25 or no point masses before a Sersic source; Euclid's PSF and noise; 64 x 64), the
three classes in equal parts. Both draw the noise; lenstronomy is given lenses that are drawn already. One thread each,
taken in turns, in seconds of the processor; the figures are medians with the lowest and the highest. Then the shard
builder's own rate on two processes, by the clock, starting them and writing included. Exit code 1 below 300 images/s
built or 3 times lenstronomy's rate, 2 without lenstronomy (``pip install "lenstronomy<1.14"``: later ones bring
proprietary dependencies).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from deeplense_registry import build
from deeplense_registry.shards import build_shards

GOAL_RATE, GOAL_RATIO = 300.0, 3.0
PROCESSES = 2
MISSING = (
    'bench_simulator: lenstronomy is not installed; pip install "lenstronomy<1.14" (a separate environment will do)'
)


def simulator(images: int) -> Any:
    return build("dataset", "lenses", {"recipe": "model-2", "noise": "intended", "train": images, "val": 1, "test": 1})


def ours(images: int) -> Callable[[], object]:
    source = simulator(images)
    return lambda: sum(1 for _ in source.samples("train", 0, 1))


def peer(images: int) -> Callable[[], object]:
    euclid = import_module("lenstronomy.SimulationAPI.ObservationConfig.Euclid")
    band = euclid.Euclid(band="VIS", psf_type="GAUSSIAN", coadd_years=6).kwargs_single_band()
    source = simulator(images)
    scenes = [source.scene("train", index) for index in range(images)]
    return lambda: [simulate(band, scene) for scene in scenes]


def simulate(band: dict[str, Any], scene: Any) -> Any:
    """One image as DeepLenseSim asks lenstronomy for it, with the noise it means to add."""
    sim_api = import_module("lenstronomy.SimulationAPI.sim_api")
    lens, profile = scene.lens, scene.sources[0].profile
    models = ["SIE", "SHEAR", *["POINT_MASS"] * len(lens.points)]
    api = sim_api.SimAPI(64, band, {"lens_model_list": models, "source_light_model_list": ["SERSIC_ELLIPSE"]})
    (e1, e2), (gamma1, gamma2) = lens.ellipticity, lens.shear
    kwargs_lens = [
        {"theta_E": lens.einstein_radius, "e1": e1, "e2": e2, "center_x": 0.0, "center_y": 0.0},
        {"gamma1": gamma1, "gamma2": gamma2},
        *({"theta_E": radius, "center_x": x, "center_y": y} for x, y, radius in lens.points.tolist()),
    ]
    x, y = profile.centre
    light = {"magnitude": 20, "R_sersic": 0.25, "n_sersic": 1, "e1": -0.1, "e2": 0.1, "center_x": x, "center_y": y}
    _, kwargs_source, _ = api.magnitude2amplitude(kwargs_source_mag=[light])
    image = api.image_model_class({"supersampling_factor": 1}).image(kwargs_lens, kwargs_source)
    return image + api.noise_for_model(model=image)


def built(images: int) -> Callable[[], object]:
    source = partial(simulator, images)

    def write() -> None:
        with tempfile.TemporaryDirectory() as folder:
            build_shards(source, source().card(), Path(folder) / "shards", digest="bench", processes=PROCESSES)

    return write


def seconds(task: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    task()
    return clock() - start


def rates(tasks: Sequence[tuple[Callable[[], object], int]], repeats: int) -> list[list[float]]:
    """Images per second of each task, by repeat; a first round warms up."""
    rounds = [[images / seconds(task, time.process_time) for task, images in tasks] for _ in range(repeats + 1)]
    return [list(column) for column in zip(*rounds[1:], strict=True)]


def line(name: str, rate: Sequence[float]) -> str:
    return f"{name:44s} {statistics.median(rate):8,.0f} images/s   ({min(rate):,.0f} to {max(rate):,.0f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images and repeats")
    quick = parser.parse_args().quick
    try:
        lenstronomy = import_module("lenstronomy")
    except ModuleNotFoundError:
        print(MISSING, file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    few, many, repeats = (30, 240, 5) if quick else (90, 960, 9)
    own, other = rates([(ours(many), many), (peer(few), few)], repeats)
    size = 6000 if quick else 24000
    shards = [size / seconds(built(size), time.perf_counter) for _ in range(1 if quick else 3)]
    ratio = statistics.median(mine / theirs for mine, theirs in zip(own, other, strict=True))
    print(line("deeplense-lenses, one thread", own))
    print(line(f"lenstronomy {lenstronomy.__version__}, one thread", other))
    print(line(f"shards built by {PROCESSES} processes on {len(os.sched_getaffinity(0))} cores", shards))
    rate = statistics.median(shards)
    passed = rate >= GOAL_RATE and ratio >= GOAL_RATIO
    print(
        f"{'PASS' if passed else 'FAIL'}: {ratio:.1f} x lenstronomy (goal {GOAL_RATIO:g}), "
        f"{rate:,.0f} images/s built, {rate / GOAL_RATE:.1f} x the goal of {GOAL_RATE:g}"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
