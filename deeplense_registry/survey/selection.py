"""Runs chosen by what they are, and sorted by what they measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from ..components import UserError
from ..evaluation import better
from ..interfaces import Measurement
from .registry import Entry


@frozen
class Wanted:
    """A number of a run, as ``--metric`` names it.

    Attributes:
        evaluator, target, metric: As in ``measurements.json``.
        labels: The number of labels, or ``None`` for the largest of the run.
    """

    evaluator: str
    target: str
    metric: str
    labels: int | None = None

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """From ``linear/class/auroc`` or ``linear/class/auroc/300``.

        Raises:
            UserError: It is neither.
        """
        parts = text.split("/")
        if len(parts) not in (3, 4) or (len(parts) == 4 and not parts[3].isdecimal()):
            raise UserError(f'--metric {text}: write EVALUATOR/TARGET/METRIC or .../LABELS: "linear/class/auroc/300"')
        evaluator, target, metric, *labels = parts
        return cls(evaluator, target, metric, int(labels[0]) if labels else None)

    def of(self, measurements: Iterable[Measurement]) -> Measurement | None:
        """The trained encoder's on the test split, or ``None``."""
        named = [
            one
            for one in measurements
            if (one.evaluator, one.target, one.metric) == (self.evaluator, self.target, self.metric)
            and (one.encoder, one.split) == ("trained", "test")
            and self.labels in (None, one.labels)
        ]
        return max(named, key=lambda one: one.labels, default=None)

    def badness(self, one: Measurement) -> float:
        """Sorts the best first."""
        way = better(self.metric)
        if way == "near zero":
            return abs(one.value)
        return one.value if way == "less" else -one.value


def select(entries: Iterable[Entry], **wanted: str | None) -> list[Entry]:
    """The entries whose dataset, method and backbone (the table's name or the plugin's) and status are as wanted."""
    return [one for one in entries if all(text is None or text in _names(one, key) for key, text in wanted.items())]


def _names(one: Entry, key: str) -> set[str]:
    if key == "status":
        return {one.status, *one.status.split(", ")}
    plugins = one.manifest.get("plugins", ())
    return {one.value(key), *(plugin["name"] for plugin in plugins if plugin["kind"] == key)}


def rank(entries: Sequence[Entry], wanted: Wanted) -> list[tuple[Entry, Measurement]]:
    """The entries that measured what is wanted, the best first.

    Raises:
        UserError: None has; the message lists what there is.
    """
    measured = {one.run.path: one.run.measurements() or () for one in entries if one.manifest}
    ranked = [(one, found) for one in entries if (found := wanted.of(measured.get(one.run.path, ()))) is not None]
    if not ranked:
        there = sorted({f"{one.evaluator}/{one.target}/{one.metric}" for rows in measured.values() for one in rows})
        raise UserError(f"no run measured that; there is {', '.join(there) or 'nothing measured yet'}")
    return sorted(ranked, key=lambda pair: wanted.badness(pair[1]))
