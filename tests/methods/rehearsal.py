"""Any installed method on a small run: built, fed and trained as the engine would, in memory and in any precision."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from attrs import evolve, frozen
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from deeplense_registry import (
    Backbone,
    BackboneFacts,
    DatasetCard,
    Features,
    ImageShape,
    Method,
    RunFacts,
    Views,
    build,
    scan,
)
from deeplense_registry.components import derive_seed, names
from deeplense_registry.engine.checkpoint import Checkpoints
from deeplense_registry.engine.collapse import CollapseMonitor
from deeplense_registry.engine.observers import Observers
from deeplense_registry.engine.optimisation import Optimisation
from deeplense_registry.engine.precision import Precision
from deeplense_registry.engine.trainer import Trainer
from deeplense_registry.engine.watch import Watch
from deeplense_registry.engine.world import ProcessWorld, SingleWorld
from deeplense_registry.spec import FluxTable, TrainTable, ViewsTable
from deeplense_registry.views import BandStatistics, Pipeline, Scaling

ROOT = Path(__file__).parents[2]
SHAPE = ImageShape(1, 32, 32)
BATCH, MICRO = 16, 4
SEED = 5


def published(kind: str) -> list[str]:
    """The installed components of a kind whose distributions lie in this repository."""
    projects = [tomllib.loads(path.read_text()) for path in ROOT.glob(f"plugins/{kind}s/*/pyproject.toml")]
    ours = {project["project"]["name"] for project in projects}
    return names([one for one in scan() if one.distribution in ours], kind)


@frozen
class Case:
    """A method with options; those of a method that is not in :data:`SMALL` are its defaults."""

    method: str
    options: dict[str, Any]


SMALL: dict[str, dict[str, Any]] = {
    "simclr": {"output": 12},
    "simsiam": {"dim": 12, "pred_dim": 6},
    "swav": {"prototypes": 8, "hidden": 16, "output": 12, "queue": 2 * BATCH, "queue_start": 0.0},
    "moby": {"queue": 2 * BATCH, "hidden": 16, "output": 12},
    "dino": {"out_dim": 24, "hidden_dim": 16, "bottleneck_dim": 12, "norm_last_layer": False},
    "sit": {"hidden": 16, "output": 12, "decoder_width": 8},
    "vtcc": {"hidden": 16, "output": 12},
}
CASES = {name: Case(name, SMALL.get(name, {})) for name in published("method")}
if "sit" in CASES:
    CASES["sit-v1"] = Case("sit", {"variant": "v1", "output": 12, "decoder_width": 8})


class TwoGrids(Backbone):
    """Two convolutions with batch norm, a pyramid of their grids, and dropout where stochastic depth would be."""

    width = 8

    def __init__(self, options: Any, shape: ImageShape, *, drop_path: float | None = None) -> None:
        super().__init__(options, shape)
        self.fine, self.coarse = nn.Conv2d(shape.channels, 6, 4, stride=4), nn.Conv2d(6, self.width, 2, stride=2)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in (6, self.width))
        self.dropout = nn.Dropout(0.1 if drop_path is None else drop_path)

    def forward(self, images: Tensor, *, pose: Tensor | None = None) -> Features:
        fine = F.gelu(self.norms[0](self.fine(images)))
        coarse = F.gelu(self.norms[1](self.coarse(fine)))
        return Features(pooled=self.dropout(coarse).mean((2, 3)), grid=coarse, pyramid=(fine, coarse))


TOY = BackboneFacts(width=TwoGrids.width, min_size=8, grid=(4, 4), batch_norm=True)


def two_grids(drop_path: float | None = None) -> Backbone:
    return TwoGrids(None, SHAPE, drop_path=drop_path)


def levit(drop_path: float | None = None) -> Backbone:
    """The lens variant with random gains: new ones are 0 behind every branch, and stop its gradient."""
    backbone: Backbone = build("backbone", "levit", {"variant": "128s-s8"}, shape=SHAPE, drop_path=drop_path)
    for part in backbone.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.1)
    return backbone


def facts_of(steps_per_epoch: int, epochs: int, backbone: BackboneFacts = TOY, shape: ImageShape = SHAPE) -> RunFacts:
    return RunFacts(
        shape=shape,
        images=steps_per_epoch * BATCH,
        batch_size=BATCH,
        micro_batch=MICRO,
        epochs=epochs,
        steps=epochs * steps_per_epoch,
        backbone=backbone,
    )


def make(case: Case, facts: RunFacts, make_backbone: Callable[..., Backbone] = two_grids, seed: int = 0) -> Method:
    """The method, newly initialised: the same weights for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        method: Method = build("method", case.method, case.options, make_backbone=make_backbone, facts=facts)
    return method


class MemoryFeed:
    """Random images in memory, seen as a run would see them; a micro-batch is a pure function of its place."""

    def __init__(self, method: Method, facts: RunFacts, world: ProcessWorld, dtype: torch.dtype) -> None:
        shape = facts.shape
        bands = tuple("grizy"[: shape.channels])
        card = DatasetCard(name="noise", shape=shape, bands=bands, pixel_scale=0.1, targets={}, splits={})
        statistics = BandStatistics((0.0,) * len(bands), (1.0,) * len(bands))
        centred = method.encoder().centred_crops
        scaling = Scaling(FluxTable(), statistics)
        self.pipeline = Pipeline(method.view_plan(), ViewsTable(), scaling, card, statistics, centred=centred)
        self.facts, self.world, self.dtype = facts, world, dtype
        size = (facts.images, shape.channels, shape.height, shape.width)
        self.images = torch.randn(size, generator=torch.Generator().manual_seed(SEED))

    def steps(self, start: int, method: Method) -> Iterator[tuple[int, list[Views]]]:
        share = self.facts.batch_size // self.facts.micro_batch // self.world.size
        for step in range(start, self.facts.steps):
            yield step, [self.views(step, self.world.rank * share + number) for number in range(share)]

    def views(self, step: int, number: int) -> Views:
        """The views of a micro-batch."""
        begin = step * self.facts.batch_size + number * self.facts.micro_batch
        index = torch.arange(begin, begin + self.facts.micro_batch) % self.facts.images
        generator = torch.Generator().manual_seed(derive_seed(SEED, "views", step, number))
        return in_type(self.pipeline(self.images[index], index, {}, generator), self.dtype)


def in_type(views: Views, dtype: torch.dtype) -> Views:
    """The same views in another precision."""

    def cast(value: Tensor) -> Tensor:
        return value.to(dtype) if value.is_floating_point() else value

    extras = tuple({name: cast(value) for name, value in extra.items()} for extra in views.extras)
    return evolve(views, images=tuple(map(cast, views.images)), extras=extras)


class Unsaved(Checkpoints):
    """For a run that nobody will continue."""

    def save(self, step: int, method: Method, optimiser: Optimizer) -> None:
        pass


def trainer_of(
    method: Method,
    facts: RunFacts,
    folder: Path | None = None,
    *,
    world: ProcessWorld | None = None,
    reproducible: bool = False,
    observer: object | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Trainer:
    """The engine's own trainer, in the precision of the method's parameters; without a folder nothing is saved."""
    world = world or SingleWorld()
    feed = MemoryFeed(method, facts, world, next(method.parameters()).dtype)
    observers = Observers([] if observer is None else [observer])
    return Trainer(
        method,
        Optimisation(method, method.lens_recipe, facts),
        feed,  # type: ignore[arg-type]  # what the trainer asks of a feed
        Checkpoints(folder, "rehearsal") if folder else Unsaved(Path(), "rehearsal"),
        observers,
        Watch(facts, observers, CollapseMonitor(None, ()), dict, lambda verdict: None),
        train=TrainTable(reproducible=reproducible, log_every=1),
        facts=facts,
        world=world,
        precision=Precision("cpu", "fp32"),
        seed=SEED,
        embed=partial(embed, method, feed.images),
        stop=stop,
    )


@torch.no_grad()
def embed(method: Method, images: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """What methods that cluster the images are given."""
    method.eval()
    rows = function(images.to(next(method.parameters()).dtype)).float()
    method.train()
    return rows
