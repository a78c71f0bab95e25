"""Whether a run collapses: told from the scalars it logs, without looking at the run itself.

A collapsed encoder gives every image the same embedding, or the same few. Losses tell it badly (SimSiam's is then at
its best), so each sign is a scalar with a known value for a model that tells no images apart. The limits leave healthy
runs of the seven methods a wide margin, also slow ones: what matters is no false alarm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import frozen

from ..shards.atomic import write_json
from .folder import RunFolder, read_json

SPREAD = 0.05
"""Least ``embedding_std`` of what a method compares; 0.4 to 1 in healthy runs."""
ENCODER_SPREAD = 0.01
"""Least of an encoder's pooled features, which share a large mean in some networks; 0.8 to 1 with LeViT trained."""
RANK = 1.2
"""Least effective rank of pooled features; 18 to 90 with LeViT trained."""
EVENNESS = 0.05
"""Least entropy of the clusters' shares, as a fraction of the largest."""
CERTAINTY = 0.999
"""Largest entropy of a teacher's outputs, as a fraction of the largest."""
AT_CHANCE = 1e-3
"""A loss this near to chance, relatively, is at it."""
STILL = 3
"""Logged losses at chance in a row, or the later half of an epoch's if those are more: a slow run wanders."""

WARM = 50
"""Steps until batch norm's running statistics (momentum 0.1) tell of the data: before, in evaluation mode, a sound
encoder may look collapsed (``encoder/embedding_std`` 0.04 after three steps of LeViT)."""

GENERAL_CAUSES = ("train.learning_rate is too high, or train.warmup_epochs too short", "train.batch_size is too small")
"""For methods that name none of their own."""


def signs(scalars: Mapping[str, float], ratios: Sequence[float], chance: float | None) -> Iterator[str]:
    """What tells of collapse, in words; nothing for a healthy run.

    Args:
        scalars: Those logged last.
        ratios: Loss over chance as logged of late, oldest first.
        chance: The method's ``chance_level()``.
    """
    for name, least in (("embedding_std", SPREAD), ("encoder/embedding_std", ENCODER_SPREAD)):
        if scalars.get(name, 1.0) < least:
            yield f"all images have nearly the same embedding ({name} {scalars[name]:.2g}; 1 if they spread evenly)"
    if scalars.get("encoder/effective_rank", RANK) < RANK:
        rank = scalars["encoder/effective_rank"]
        yield f"embeddings vary in one direction only (encoder/effective_rank {rank:.3g})"
    yield from _clusters(scalars)
    if chance:
        yield from _teacher(scalars, chance)
    if len(ratios) >= STILL and all(abs(ratio - 1.0) < AT_CHANCE for ratio in ratios):
        yield f"the loss stands still at {chance:.4g}, that of a model that has learned nothing"


def _clusters(scalars: Mapping[str, float]) -> Iterator[str]:
    """SwAV's ``assignment_entropy`` is that of single images, where little is well: its shares have another name."""
    name = "prototype_usage" if "prototype_usage" in scalars else "assignment_entropy"
    if scalars.get(name, 1.0) < EVENNESS:
        yield f"nearly all images fall into one cluster ({name} {scalars[name]:.2g} of 1)"


def _teacher(scalars: Mapping[str, float], chance: float) -> Iterator[str]:
    """The two ways in which a teacher of K outputs says nothing; ``chance`` is log K."""
    if scalars.get("teacher_entropy", 0.0) > CERTAINTY * chance:
        yield f"the teacher finds all outputs alike (teacher_entropy {scalars['teacher_entropy']:.4g} of {chance:.4g})"
    if scalars.get("teacher_mean_entropy", chance) < EVENNESS * chance:
        mean = scalars["teacher_mean_entropy"]
        yield f"the teacher gives all images the same output (teacher_mean_entropy {mean:.2g} of {chance:.4g})"


@frozen(kw_only=True)
class Verdict:
    """How a run stood at the end of an epoch.

    Attributes:
        step: Steps done then.
        collapsed: Whether it had collapsed.
        reason: The signs of it, in words.
        warned: The step at which somebody was told first, if ever.
    """

    step: int
    collapsed: bool
    reason: str = ""
    warned: int | None = None


class CollapseMonitor:
    """Sees the scalars of a run as they are logged, and judges at the end of each epoch."""

    def __init__(self, chance: float | None, causes: Sequence[str], before: Verdict | None = None) -> None:
        """Begin, or go on.

        Args:
            chance: The method's ``chance_level()``.
            causes: The method's ``collapse_causes``.
            before: The verdict of the run that is continued, if there is one.
        """
        self._chance, self._causes = chance, tuple(causes) or GENERAL_CAUSES
        self._warned = before.warned if before else None
        self._last: dict[str, float] = {}
        self._ratios: list[float] = []
        self._epoch = 0  # losses seen in this epoch

    def see(self, scalars: Mapping[str, float]) -> None:
        """Take note of what is logged of a step."""
        self._last = dict(scalars)
        if self._chance and "loss" in scalars:
            self._ratios.append(scalars["loss"] / self._chance)
            self._epoch += 1

    def judge(self, step: int) -> Verdict:
        """The verdict on the epoch that ended with ``step`` steps done; a new epoch begins."""
        self._ratios = self._ratios[-max(self._epoch // 2, STILL) :]
        self._epoch = 0
        told = {name: value for name, value in self._last.items() if step >= WARM or not name.startswith("encoder/")}
        reason = "; ".join(signs(told, self._ratios, self._chance))
        if reason and self._warned is None:
            self._warned = step
        return Verdict(step=step, collapsed=bool(reason), reason=reason, warned=self._warned)

    def warning(self, epoch: int, reason: str) -> str:
        """What to tell people: the signs, and the likely causes for this method."""
        return f"epoch {epoch}: the run is collapsing: {reason}. Likely causes: {'; '.join(self._causes)}"


def save_verdict(folder: RunFolder, verdict: Verdict) -> None:
    """Keep it beside the checkpoints, for a run that is continued and for its manifest."""
    write_json(_file(folder), attrs.asdict(verdict))


def load_verdict(folder: RunFolder) -> Verdict | None:
    """The newest verdict on a run; ``None`` before its first epoch has ended."""
    found: dict[str, Any] | None = read_json(_file(folder))
    return None if found is None else Verdict(**found)


def outcome(folder: RunFolder) -> dict[str, Any]:
    """What a manifest says: ``collapsed``, and the reason under ``collapse``; nothing before the first epoch's end."""
    verdict = load_verdict(folder)
    return {} if verdict is None else {"collapsed": verdict.collapsed, "collapse": verdict.reason}


def _file(folder: RunFolder) -> Path:
    return folder.checkpoints / "collapse.json"
