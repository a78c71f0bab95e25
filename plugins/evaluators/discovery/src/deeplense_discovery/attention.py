"""Where a backbone looks (Caron et al. 2021, arXiv:2104.14294, figures 1 and 8)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deeplense_registry import Bench, Evaluator, Features, Measurement, UserError
from deeplense_registry.evaluation import labelled

from .drawing import Picture, figure, rendered, show, visible
from .options import AttentionOptions
from .protocol import Index, check_split, check_targets, some

Maps = list[tuple[str, Tensor]]


class Attention(Evaluator):
    """Example images of each class beside maps of the backbone's attention; a picture, nothing is measured.

    For each level of ``Features.pyramid`` (``grid`` alone where there is none) the Euclidean norm of the features at
    each cell, which is what a mean pool weighs them by. A backbone that puts ``attention`` into ``Features.aux``,
    (B, heads, h, w) or (B, h, w), is shown with that too, the mean over heads. Each map is drawn between its own least
    and greatest value, and enlarged bilinearly to the image's size.
    """

    options: AttentionOptions

    def evaluate(self, bench: Bench) -> Iterable[Measurement]:
        """Show the maps.

        Raises:
            UserError: The target or the split is unknown, the target is a quantity, or no image of the split has it.
        """
        check_split(bench, self.options.split, "attention")
        index, names = self._examples(bench)
        encoder = bench.fresh_encoder().eval()
        with torch.no_grad():
            images = torch.cat(list(bench.stream(self.options.split, index, len(index))))
            found = maps(encoder(images), (images.shape[-2], images.shape[-1]))
        flux = torch.cat(list(bench.flux(self.options.split, index, len(index)))).cpu().numpy()
        bench.picture("attention", _picture(visible(flux), names, found, bench.encoder))
        return ()

    def _examples(self, bench: Bench) -> tuple[Index, list[str]]:
        """Positions of the examples, and what each shows."""
        classes = [name for name, one in bench.card.targets.items() if one.classes]
        target = self.options.target or next(iter(classes), None)
        rng, most = bench.rng("attention", self.options.split), self.options.examples
        if target is None:
            index = some(len(bench.names(self.options.split)), most, rng)
            return index, bench.names(self.options.split)[index].tolist()
        check_targets(bench, (target,), "attention", "class")
        truth = bench.targets(self.options.split, target)
        if not labelled(truth).any():
            raise UserError(
                f"[evaluate.attention]: no image of the split {self.options.split!r} has the target {target!r}"
            )
        rows = [np.flatnonzero(truth == number) for number in range(len(bench.card.targets[target].classes))]
        chosen = [own[some(len(own), most, rng)] for own in rows]
        names = [name for name, own in zip(bench.card.targets[target].classes, chosen, strict=True) for _ in own]
        return np.concatenate(chosen), names


def maps(features: Features, size: tuple[int, int]) -> Maps:
    """What is shown of B images of ``size``: titles, and maps (B, H, W) in [0, 1]."""
    levels = features.pyramid or (features.grid,)
    found = [(f"norm, {level.shape[-2]}x{level.shape[-1]}", level.float().norm(dim=1)) for level in levels]
    if "attention" in features.aux:
        attention = features.aux["attention"].float()
        found.append(("attention", attention if attention.ndim == 3 else attention.mean(1)))
    return [(title, _enlarged(one, size)) for title, one in found]


def _enlarged(cells: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, h, w) to (B, H, W), each between its own least (0) and greatest (1) cell; 0 where all are alike."""
    flat = cells.flatten(1)
    low, high = (end.view(-1, 1, 1) for end in (flat.min(1).values, flat.max(1).values))
    scaled = (cells - low) / (high - low).clamp_min(1e-12)
    return F.interpolate(scaled[:, None], size, mode="bilinear", align_corners=False)[:, 0].cpu()


def _picture(images: Picture, names: list[str], found: Maps, encoder: str) -> Picture:
    """A row for each example: the image, then its maps."""
    rows, columns = len(images), 1 + len(found)
    made = figure(1.6 * columns + 1.2, 1.55 * rows + 0.7)
    made.suptitle(f"Where the {encoder} encoder looks", fontsize=11)
    grid = made.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        show(grid[row, 0], images[row])
        grid[row, 0].set_ylabel(names[row], fontsize=9)
        for column, (_, one) in enumerate(found, start=1):
            show(grid[row, column], one[row].numpy(), cmap="viridis")
    for column, title in enumerate(["image", *(title for title, _ in found)]):
        grid[0, column].set_title(title, fontsize=9)
    bar = made.colorbar(grid[0, -1].images[0], ax=grid, shrink=0.6, ticks=[0, 1])
    bar.ax.set_yticklabels(["least", "most"], fontsize=8)
    return rendered(made)
