"""The core's own tables of a spec, with their defaults. The tables of components are typed by their plugins."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import attrs
from attrs import frozen, validators

from ..components.files import contents_fingerprint
from ..components.options import option, ordered
from .skew import SkewTable

Range = tuple[float, float]
_at_least_one = validators.ge(1)


@frozen
class RunTable:
    """``[run]``: what the run is called, and its seeds."""

    name: str = option(
        "Name of the run; its folder under --runs.", "run", validators.matches_re(r"[A-Za-z0-9][A-Za-z0-9._-]*")
    )
    seeds: tuple[int, ...] = option(
        "A run for each seed.", (0,), validators.min_len(1), validators.deep_iterable(validators.ge(0))
    )


@frozen
class ViewsTable:
    """``[views]``: what may change from one view of an image to the next, in physical terms."""

    policy: Literal["lens", "paper"] = option(
        'Physical views of flux ("lens"), or the method\'s published recipe for photographs ("paper", three bands).',
        "lens",
    )
    rotate: bool = option("Rotate by any angle.", True)
    flip: bool = option("Mirror half of the views.", True)
    shift: float = option("Largest shift of the centre along each axis, in pixels.", 2.0, validators.ge(0.0))
    zoom: Range = option("Range of magnification, drawn log-uniformly.", (0.9, 1.1), ordered(0.1, 10.0))
    brightness: Range = option(
        "Range of the factor that multiplies a view's flux, drawn log-uniformly: a source of another luminosity.",
        (1.0, 1.0),
        ordered(0.01, 100.0),
    )
    noise: Range = option(
        "Range of a view's noise level, in standard deviations of the training images' pixels; what the image lacks of "
        "the drawn level is added in quadrature.",
        (0.0, 0.3),
        ordered(0.0, 100.0),
    )
    psf: Range = option(
        "Range of a view's PSF width (Gaussian sigma, pixels); what the image lacks is added in quadrature.",
        (0.0, 0.0),
        ordered(0.0, 20.0),
    )
    mask: Range = option("Range of the fraction of a view hidden by one square.", (0.0, 0.0), ordered(0.0, 0.9))
    reddening: Range = option(
        "Range of galactic E(B-V) in magnitudes, for images of several known bands.", (0.0, 0.0), ordered(0.0, 5.0)
    )


@frozen
class FluxTable:
    """``[flux]``: how flux becomes the encoder's input, after the views. Recorded with the encoder."""

    scaling: Literal["zscore", "asinh", "minmax", "none"] = option(
        'Subtract the mean and divide by the standard deviation of the training images per band ("zscore"); asinh of '
        'that ("asinh"); each image to [0, 1] ("minmax", which destroys flux); "none".',
        "zscore",
    )
    softening: float = option(
        'Where "asinh" turns from linear to logarithmic, in standard deviations.', 1.0, validators.gt(0.0)
    )


@frozen
class TrainTable:
    """``[train]``: how long, how much at once, and how."""

    epochs: int = option("Passes over the training images.", 20, _at_least_one)
    batch_size: int = option("Images in a step, over all processes.", 128, _at_least_one)
    micro_batch: int | None = option(
        "Images in one forward pass; divides batch_size. Less memory, the same gradient (batch norm aside).",
        None,
        validators.optional(_at_least_one),
    )
    recipe: Literal["lens", "paper"] = option(
        'Optimiser and schedules: the method\'s for lenses ("lens") or as published ("paper").', "lens"
    )
    optimiser: Literal["adamw", "sgd", "lars"] | None = option("Instead of the recipe's.", None)
    learning_rate: float | None = option(
        "Peak at this batch_size, instead of the recipe's.", None, validators.optional(validators.gt(0.0))
    )
    weight_decay: float | None = option("Instead of the recipe's.", None, validators.optional(validators.ge(0.0)))
    warmup_epochs: float | None = option("Instead of the recipe's.", None, validators.optional(validators.ge(0.0)))
    precision: Literal["auto", "fp32", "bf16"] = option(
        'Arithmetic of the forward pass; "auto" follows a table by device, not a timing.', "auto"
    )
    reproducible: bool = option("The same bytes on any number of processes, for some speed.", False)
    threads: int | None = option(
        "Threads of each process; by default torch's choice for the machine.", None, validators.optional(_at_least_one)
    )
    checkpoint_minutes: float = option("Minutes between checkpoints, beside one an epoch.", 5.0, validators.gt(0.0))
    keep_checkpoints: int = option("How many of the newest checkpoints stay.", 2, _at_least_one)
    log_every: int = option("Steps between logged scalars; the last of each epoch is logged anyway.", 10, _at_least_one)
    probe: tuple[str, ...] = option(
        "Targets that a nearest-neighbour and a linear probe judge on the validation images after each epoch. It "
        "changes nothing, and costs a forward pass of at most 2,000 images of each split.",
        (),
    )


def _budget(_: object, __: object, value: int | str) -> None:
    if value != "all" and (isinstance(value, str) or value < 1):
        raise ValueError(f"'budgets' holds {value!r}; a budget is a number of labelled images from 1, or \"all\"")


@frozen
class LabelsTable:
    """``[labels]``: how many labels an evaluator gets, and how often they are drawn."""

    budgets: tuple[int | Literal["all"], ...] = option(
        'Numbers of labelled training images; "all" for every one.',
        (30, 300, "all"),
        validators.min_len(1),
        validators.deep_iterable(_budget),
    )
    draws: int = option('Draws of each budget but "all".', 10, _at_least_one)
    seed: int = option("Seed of the draws, the same for every method and run seed.", 0, validators.ge(0))
    stratified: bool = option("Draw classes in their proportions, each at least once.", True)
    index: Path | None = option(
        "Published label draws, read instead of drawn: the splits folder of a run, or one of its labels-TARGET.json.",
        None,
    )

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the published draws; empty without them."""
        if self.index is None:
            return ""
        return contents_fingerprint(sorted(self.index.glob("labels-*.json")) if self.index.is_dir() else [self.index])


@frozen
class ExecuteTable:
    """``[execute]``: where and with whom; no part of the run's identity."""

    processes: int = option("Processes of one run.", 1, _at_least_one)
    workers: int = option("Runs of a survey at once, each in a process of its own.", 1, _at_least_one)
    device: Literal["auto", "cpu", "cuda"] = option('"auto" takes a GPU where there is one.', "auto")
    observers: tuple[str, ...] = option(
        "Who watches: built in are tensorboard, progress and log; plugins add others.",
        ("tensorboard", "progress", "log"),
    )


@frozen
class ExcludeTable:
    """``[[exclude]]``: cells to leave out: those that match every key given."""

    dataset: str | None = option("Name of a dataset table.", None)
    method: str | None = option("Name of a method table.", None)
    backbone: str | None = option("Name of a backbone table.", None)
    seed: int | None = option("One of run.seeds.", None)

    def __attrs_post_init__(self) -> None:
        if not self.given():
            raise ValueError("an exclude without a key leaves nothing; give dataset, method, backbone or seed")

    def given(self) -> dict[str, Any]:
        """The keys given."""
        return attrs.asdict(self, filter=lambda _, value: value is not None)


CORE_TABLES: dict[str, type[Any]] = {
    "run": RunTable,
    "views": ViewsTable,
    "flux": FluxTable,
    "train": TrainTable,
    "labels": LabelsTable,
    "skew": SkewTable,
    "execute": ExecuteTable,
}
"""The core's tables by name; the tables of components are in :data:`.merge.COMPONENT_TABLES`."""

OPTIONAL_TABLES = ("skew",)
"""Those that mean something by being there at all."""
