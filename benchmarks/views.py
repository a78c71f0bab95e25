"""Views per second of one core: ours beside kornia, torchvision and lightly, in one run.

    python -m benchmarks.views [--quick] [--images 128] [--size 64]

Two views of each image of one band, by equal operations: a turn by any angle, a mirror image, a shift and a zoom in one
resampling, a PSF and noise. kornia works on the batch (its noise has one level for all), torchvision's transforms on
each tensor. lightly works on pictures of 8 bits, one by one; the noise is added to its tensors. It comes with other
operations: what its users get by default, SimCLRTransform of RGB pictures (crop, mirror, colour jitter, grey, blur), is
measured beside, and is what the goal of 7 refers to.

One thread each, taken in turns, in seconds of the processor. Exit code 1 below 7 times SimCLRTransform or 1.5 times
kornia.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from lightly.transforms import GaussianBlur, SimCLRTransform
from lightly.transforms.multi_view_transform import MultiViewTransform
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2  # type: ignore[import-untyped]

from benchmarks.timing import Goal, Task, line, measure, peer, verdict
from deeplense_registry.components import DatasetCard, ImageShape
from deeplense_registry.engine.allocation import keep_freed_memory
from deeplense_registry.interfaces import ViewPlan, ViewSpec
from deeplense_registry.spec.tables import FluxTable, ViewsTable
from deeplense_registry.views import BandStatistics, Pipeline, Scaling

VIEWS = 2
SHIFT, ZOOM, PSF, NOISE = 2.0, (0.9, 1.1), (0.5, 1.5), 0.1
TAPS = 15
"""Of the PSF's kernel, as ours has for this width."""
OURS, KORNIA, TORCHVISION = "deeplense, batch", "kornia, batch", "torchvision, per sample"
EQUAL, SIMCLR = "lightly, per sample, 8 bits", "lightly SimCLRTransform, per sample, 8-bit RGB"


def ours(images: Tensor) -> Task:
    size = images.shape[-1]
    shape = ImageShape(1, size, size)
    card = DatasetCard(name="bench", shape=shape, bands=("g",), pixel_scale=0.1, targets={}, splits={})
    unit = BandStatistics((0.0,), (1.0,))
    table = ViewsTable(shift=SHIFT, zoom=ZOOM, psf=PSF, noise=(0.0, NOISE))
    pipeline = Pipeline(
        ViewPlan(views=(ViewSpec(),) * VIEWS), table, Scaling(FluxTable(scaling="none"), unit), card, unit
    )
    generator = torch.Generator().manual_seed(0)

    def task() -> int:
        return sum(map(len, pipeline(images, torch.arange(len(images)), {}, generator).images))

    return task


def per_sample(images: Tensor) -> Task:
    """Transforms of torchvision, of tensors."""
    shift = SHIFT / images.shape[-1]
    affine = v2.RandomAffine(180, (shift, shift), ZOOM, interpolation=InterpolationMode.BILINEAR)
    change = v2.Compose([affine, v2.RandomHorizontalFlip(), v2.GaussianBlur(TAPS, PSF), v2.Lambda(noisy)])
    return lambda: sum(len(torch.stack([change(image) for image in images])) for _ in range(VIEWS))


def batched(images: Tensor) -> Task | None:
    """Views of kornia, if it is installed."""
    kornia = peer("kornia.augmentation", "kornia>=0.9")
    if kornia is None:
        return None
    shift = SHIFT / images.shape[-1]
    change = kornia.AugmentationSequential(
        kornia.RandomAffine(180.0, (shift, shift), ZOOM, p=1.0),
        kornia.RandomHorizontalFlip(),
        kornia.RandomGaussianBlur((TAPS, TAPS), PSF, p=1.0),
        kornia.RandomGaussianNoise(0.0, NOISE / 2, p=1.0),
        data_keys=["input"],
    )
    return lambda: sum(len(change(images)) for _ in range(VIEWS))


def equal(images: Tensor) -> Task:
    """The two views and the blur of lightly, with torchvision's transforms of pictures, as its recipes are made."""
    shift = SHIFT / images.shape[-1]
    affine = v2.RandomAffine(180, (shift, shift), ZOOM, interpolation=InterpolationMode.BILINEAR)
    blur = GaussianBlur(prob=1.0, sigmas=PSF)
    tensor = (v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Lambda(noisy))
    change = v2.Compose([affine, v2.RandomHorizontalFlip(), blur, *tensor])
    return pictures(images, "L", MultiViewTransform([change] * VIEWS))


def simclr(images: Tensor) -> Task:
    return pictures(images, "RGB", SimCLRTransform(input_size=images.shape[-1]))


def pictures(images: Tensor, mode: str, transform: Callable[[Image.Image], list[Tensor]]) -> Task:
    """The views of pictures, made one by one and stacked as a loader does."""
    loaded = [Image.fromarray(image.mul(255).byte().numpy()[0]).convert(mode) for image in images]
    return lambda: sum(len(torch.stack(view)) for view in zip(*map(transform, loaded), strict=True))


def noisy(image: Tensor) -> Tensor:
    return image + NOISE * torch.rand(()) * torch.randn_like(image)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--size", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    keep_freed_memory()  # as a run does; for all of them
    images = torch.rand(arguments.images, 1, arguments.size, arguments.size)
    tasks = {OURS: ours(images), KORNIA: batched(images), TORCHVISION: per_sample(images)}
    tasks |= {EQUAL: equal(images), SIMCLR: simclr(images)}
    rates = measure({name: task for name, task in tasks.items() if task}, repeats=5 if arguments.quick else 15)
    print(f"{arguments.images} images of {arguments.size} x {arguments.size}, {VIEWS} views, one thread")
    for name, one in rates.items():
        print(line(name, one, "views/s"))
    own = rates[OURS]
    return verdict(
        (
            Goal("x lightly SimCLRTransform", own.over(rates[SIMCLR]), 7.0),
            Goal("x kornia", own.over(rates[KORNIA]) if KORNIA in rates else None, 1.5),
            Goal("x torchvision", own.over(rates[TORCHVISION])),
            Goal("x lightly by equal operations", own.over(rates[EQUAL])),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
