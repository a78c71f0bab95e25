"""Simulated images per second on this machine: deeplense-lenses beside lenstronomy, in one run.

    python -m benchmarks.simulator [--quick]

Recipe model-2 (SIE, shear and 100, 25 or no point masses before a Sersic source; Euclid's PSF and noise; 64 x 64), the
three classes in equal parts. Both draw the noise; lenstronomy is given lenses that are drawn already. One thread each,
taken in turns, in seconds of the processor. Then the shard builder's own rate on two processes, by the clock, starting
them and writing included. Exit code 1 below 300 images/s built or 3 times lenstronomy's rate. Later releases of
lenstronomy than 1.13 bring proprietary dependencies.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from benchmarks.timing import Goal, Task, line, measure, peer, verdict
from deeplense_registry import build
from deeplense_registry.shards import build_shards

PROCESSES = 2
OURS, LENSTRONOMY = "deeplense-lenses, one thread", "lenstronomy, one thread"


def simulator(images: int) -> Any:
    return build("dataset", "lenses", {"recipe": "model-2", "noise": "intended", "train": images, "val": 1, "test": 1})


def ours(images: int) -> Task:
    source = simulator(images)
    return lambda: sum(1 for _ in source.samples("train", 0, 1))


def theirs(images: int) -> Task:
    euclid = import_module("lenstronomy.SimulationAPI.ObservationConfig.Euclid")
    band = euclid.Euclid(band="VIS", psf_type="GAUSSIAN", coadd_years=6).kwargs_single_band()
    source = simulator(images)
    scenes = [source.scene("train", index) for index in range(images)]
    return lambda: len([simulate(band, scene) for scene in scenes])


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


def built(images: int) -> Task:
    source = partial(simulator, images)

    def write() -> int:
        with tempfile.TemporaryDirectory() as folder:
            build_shards(source, source().card(), Path(folder) / "shards", digest="bench", processes=PROCESSES)
        return images

    return write


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer images and repeats")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    few, many, size = (30, 240, 6000) if quick else (90, 960, 24000)
    tasks = {OURS: ours(many)}
    if peer("lenstronomy", "lenstronomy<1.14"):
        tasks[LENSTRONOMY] = theirs(few)
    rates = measure(tasks, repeats=5 if quick else 9)
    shards = f"shards built by {PROCESSES} processes on {len(os.sched_getaffinity(0))} cores"
    rates |= measure({shards: built(size)}, repeats=1 if quick else 3, clock=time.perf_counter)
    for name, one in rates.items():
        print(line(name, one))
    ratio = rates[OURS].over(rates[LENSTRONOMY]) if LENSTRONOMY in rates else None
    return verdict((Goal("x lenstronomy", ratio, 3.0), Goal("images/s built", rates[shards].median, 300.0)))


if __name__ == "__main__":
    sys.exit(main())
