"""Where the Equivariant Transformer pays: letters learned nearly upright and read at any angle.

    python benchmarks/equivariance_pays.py [--seeds 5] [--train 320] [--epochs 9] [--threads 1]

A supervised task: four letters of light (T, L, V, Y) with noise, 32 pixels, classified by CvT (tiny) as it is, and
as the trunk of the equivariant backbone. Both see the same images in the same order. They are trained on letters that
lean by up to 15 degrees, or that lie anyhow, and tested on both kinds. Accuracy is given with Student's 95 % interval
over seeds, which change images, noise and weights.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from attrs import frozen
from scipy.stats import t as student
from torch import Tensor, nn

from deeplense_registry import Backbone, ImageShape, build
from deeplense_registry.components import derive_seed

SIZE, BATCH, TEST = 32, 32, 400
LETTERS = {
    "T": ((-0.4, 0.45, 0.4, 0.45), (0.0, 0.45, 0.0, -0.5)),
    "L": ((-0.25, 0.5, -0.25, -0.45), (-0.25, -0.45, 0.35, -0.45)),
    "V": ((-0.35, 0.45, 0.0, -0.45), (0.35, 0.45, 0.0, -0.45)),
    "Y": ((-0.35, 0.45, 0.0, 0.0), (0.35, 0.45, 0.0, 0.0), (0.0, 0.0, 0.0, -0.5)),
}
"""Strokes from (x, y) to (x, y); half the image's side is 1, y points up."""
LEAN = {"nearly upright": math.radians(15.0), "at any angle": math.pi}
CVT = {"variant": "tiny"}
BACKBONES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("cvt", CVT),
    "ET": ("equivariant", {"trunk": "cvt", "trunk_options": CVT, "n_theta": 48, "radii": 16}),
}
"""The polar grid has half the defaults' bins along each axis, since the images have half the usual side."""


@frozen
class Result:
    """Accuracy on each seed.

    Attributes:
        trained, tested: Keys of :data:`LEAN`.
        model: A key of :data:`BACKBONES`.
        accuracy: In [0, 1].
    """

    trained: str
    tested: str
    model: str
    accuracy: tuple[float, ...]

    @property
    def interval(self) -> tuple[float, float, float]:
        """Mean, and the ends of Student's 95 % interval over seeds, within [0, 1]."""
        mean, low, high = interval(self.accuracy)
        return mean, max(0.0, low), min(1.0, high)


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    numbers = torch.tensor(values, dtype=torch.float64)
    half = float(student.ppf(0.975, len(values) - 1)) * float(numbers.std()) / math.sqrt(len(values))
    mean = float(numbers.mean())
    return mean, mean - half, mean + half


def letters(count: int, lean: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images (count, 1, SIZE, SIZE) and labels (count,): drawn at their angles, not turned as pixels."""

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, generator=generator)

    labels = torch.arange(count) % len(LETTERS)
    angle, scale, width, flux = draw(-lean, lean), draw(0.85, 1.15), draw(0.06, 0.09), draw(0.7, 1.3)
    line = torch.linspace(-1.0, 1.0, SIZE)
    x, y = line - draw(-0.05, 0.05), -line[:, None] - draw(-0.05, 0.05)
    right = (angle.cos() * x + angle.sin() * y) / scale
    up = (angle.cos() * y - angle.sin() * x) / scale
    images = torch.zeros(count, SIZE, SIZE)
    for label, strokes in enumerate(LETTERS.values()):
        mine = labels == label
        far = torch.stack([distance(right[mine], up[mine], stroke) for stroke in strokes]).amin(0)
        images[mine] = flux[mine] * (-(far / width[mine]).square() / 2).exp()
    return (images + 0.1 * torch.randn(images.shape, generator=generator))[:, None], labels


def distance(x: Tensor, y: Tensor, stroke: tuple[float, float, float, float]) -> Tensor:
    """From each point to a stroke."""
    x0, y0, x1, y1 = stroke
    dx, dy = x1 - x0, y1 - y0
    along = (((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0)
    return torch.hypot(x - x0 - along * dx, y - y0 - along * dy)


class Classifier(nn.Module):
    """A backbone and a linear layer."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(backbone.width, len(LETTERS))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes)."""
        logits: Tensor = self.head(self.backbone(images).pooled)
        return logits


def learn(model: str, images: Tensor, labels: Tensor, seed: int, epochs: int) -> Classifier:
    """Train from scratch by AdamW, at a rate that falls as a cosine."""
    torch.manual_seed(derive_seed(seed, "init"))
    use, options = BACKBONES[model]
    classifier = Classifier(build("backbone", use, options, shape=ImageShape(1, SIZE, SIZE))).train()
    optimiser = torch.optim.AdamW(classifier.parameters(), lr=1e-3, weight_decay=0.05)
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(derive_seed(seed, "order"))
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        for index in torch.split(order, BATCH)[: len(images) // BATCH]:
            optimiser.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(classifier(images[index]), labels[index]))
            optimiser.step()
            schedule.step()
    return classifier.eval()


def experiment(seeds: int, train: int, epochs: int, trainings: Sequence[str] = tuple(LEAN)) -> list[Result]:
    """Every training, tested in every way, with every backbone."""
    accuracy: dict[tuple[str, str, str], list[float]] = {}
    for seed, trained in product(range(seeds), trainings):
        generator = torch.Generator().manual_seed(derive_seed(seed, trained))
        images, labels = letters(train, LEAN[trained], generator)
        tests = {tested: letters(TEST, lean, generator) for tested, lean in LEAN.items()}
        for model in BACKBONES:
            classifier = learn(model, images, labels, seed, epochs)
            for tested, (unseen, truth) in tests.items():
                with torch.no_grad():
                    score = (classifier(unseen).argmax(1) == truth).double().mean().item()
                accuracy.setdefault((trained, tested, model), []).append(score)
    return [Result(*key, tuple(scores)) for key, scores in sorted(accuracy.items(), reverse=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("seeds", 5), ("train", 320), ("epochs", 9), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = experiment(arguments.seeds, arguments.train, arguments.epochs)
    print(f"{'trained':16s}{'tested':16s}{'model':7s} accuracy, 95 % interval over {arguments.seeds} seeds")
    for result in results:
        mean, low, high = result.interval
        print(f"{result.trained:16s}{result.tested:16s}{result.model:7s} {mean:.1%} [{low:.1%}, {high:.1%}]")
    scores = {(one.trained, one.tested, one.model): one.accuracy for one in results}
    for trained, tested in product(LEAN, LEAN):
        pairs = zip(scores[trained, tested, "ET"], scores[trained, tested, "plain"], strict=True)
        mean, low, high = interval([a - b for a, b in pairs])
        gain = f"{100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] points"
        print(f"trained {trained}, tested {tested}: ET gains {gain}")


if __name__ == "__main__":
    main()
