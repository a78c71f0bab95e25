"""Lenses as functions of the plane, so that a turned scene is rendered and not interpolated; and what to measure."""

import math

import pytest
import torch
from torch import nn

KINDS = ("arc", "quad", "double", "ring")


class Scene:
    """``count`` lenses of a kind; units as of poses: half the image's side, x right, y up."""

    def __init__(self, kind, count=8, *, seed=0, width=0.09):
        self.kind, self.count, self.width = kind, count, width
        self.generator = torch.Generator().manual_seed(seed)
        draws = [self.draw(0.0, 2 * math.pi), self.draw(0.4, 0.6)]
        self.angle, self.radius = draws
        self.sharp, self.ratio = self.draw(2.0, 6.0), self.draw(0.5, 0.7)
        self.offsets = torch.cat([self.draw(-0.35, 0.35) + n * math.pi / 2 for n in range(4)], dim=1)  # (B, 4, 1)
        self.fluxes = torch.cat([self.draw(0.4, 1.0) for _ in range(4)], dim=1)

    def draw(self, low, high):
        return low + (high - low) * torch.rand(self.count, 1, 1, generator=self.generator, dtype=torch.float64)

    def render(self, turn=0.0, *, size=64, scale=1.0, shift=(0.0, 0.0), mirror=False, bands=1):
        """(B, bands, size, size): the scene mirrored (y to -y), scaled, turned counter-clockwise, then shifted."""
        line = torch.linspace(-1.0, 1.0, size, dtype=torch.float64)
        x, y = (line[None, :] - shift[0]).expand(size, size), (-line[:, None] - shift[1]).expand(size, size)
        cos, sin = math.cos(turn) / scale, math.sin(turn) / scale
        right, up = cos * x + sin * y, cos * y - sin * x
        image = getattr(self, self.kind)(right[None], -up[None] if mirror else up[None])
        return torch.stack([image * (0.5 + 0.5 * n) for n in range(1, bands + 1)], dim=1).float()

    def blob(self, x, y, angle, radius):
        gap = (x - radius * angle.cos()).square() + (y - radius * angle.sin()).square()
        return (-gap / (2 * self.width**2)).exp()

    def arc(self, x, y):
        """A thick arc with a fainter image across the lens."""
        along = (self.sharp * ((torch.atan2(y, x) - self.angle).cos() - 1.0)).exp()
        across = (-(torch.hypot(x, y) - self.radius).square() / (2 * self.width**2)).exp()
        return along * across + 0.4 * self.blob(x, y, self.angle + 2.8, 0.6 * self.radius)

    def quad(self, x, y):
        """Four images at irregular places."""
        turned = [(self.angle + self.offsets[:, n : n + 1], self.fluxes[:, n : n + 1]) for n in range(4)]
        return sum(flux * self.blob(x, y, angle, self.radius) for angle, flux in turned)

    def double(self, x, y):
        """Two equal images across an elliptical lens: half a turn changes nothing."""
        pair = self.blob(x, y, self.angle, self.radius) + self.blob(x, y, self.angle + math.pi, self.radius)
        tilt = self.angle + 0.8
        right, up = x * tilt.cos() + y * tilt.sin(), y * tilt.cos() - x * tilt.sin()
        return pair + 0.7 * (-(right.square() + (up / self.ratio).square()) / 0.06).exp()

    def ring(self, x, y):
        """No angle at all."""
        return (-(torch.hypot(x, y) - self.radius).square() / (2 * self.width**2)).exp()


def shaken(model, size=(64, 64)):
    """The model with gains and biases at random and the batch statistics of some scenes, in evaluation mode.

    A fresh trunk hides most of itself behind zero gains, and a comparison of such proves nothing.
    """
    images = torch.cat([Scene(kind, 8, seed=9).render(0.3 + n) for n, kind in enumerate(KINDS)])
    images = images[..., : size[0], : size[1]]
    torch.manual_seed(1)
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.0)
        nn.init.normal_(norm.bias, std=0.1)
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(images)
    for norm in norms:
        norm.momentum = 0.1
    return model.eval()


def feature_change(encode, scene, turns, **how):
    """By how much features change as scenes turn, over the spread between scenes: (turns, B).

    Args:
        encode: Images (B, C, H, W) to features (B, D).
        scene: A :class:`Scene`.
        turns: Angles, radians.
        how: Of :meth:`Scene.render`.

    Returns:
        |f(turned) - f(upright)| / the root mean square of |f - mean f| over the upright scenes. About 1.4 where a
        turn makes another image of it; 0 where the features are invariant.
    """
    with torch.no_grad():
        upright = encode(scene.render(**how))
        spread = (upright - upright.mean(0)).square().sum(-1).mean().sqrt()
        return torch.stack([(encode(scene.render(turn, **how)) - upright).norm(dim=-1) / spread for turn in turns])


@pytest.fixture(name="scene_of")
def _scene_of():
    return Scene


@pytest.fixture(name="shaken")
def _shaken():
    return shaken


@pytest.fixture(name="feature_change")
def _feature_change():
    return feature_change
