"""What is told of a run while it trains: scalars, how the encoder stands after each epoch, and a warning."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..components import RunFacts
from ..interfaces import Method
from .collapse import CollapseMonitor, Verdict, load_verdict, save_verdict
from .observers import Observers
from .online import OnlineProbe, spread
from .session import Session

Look = Callable[[], dict[str, float]]


class Watch:
    """Hands scalars to the observers and to the monitor; at the end of an epoch it looks at the encoder, and judges."""

    def __init__(
        self,
        facts: RunFacts,
        observers: Observers,
        monitor: CollapseMonitor,
        look: Look,
        keep: Callable[[Verdict], None],
    ) -> None:
        """Take the parts: ``look`` gives the encoder's scalars, ``keep`` takes each verdict."""
        self.facts, self.observers, self.monitor, self.look, self.keep = facts, observers, monitor, look, keep

    def epoch_ends(self, done: int) -> bool:
        """Whether ``done`` steps are whole epochs."""
        return done % self.facts.steps_per_epoch == 0

    def scalars(self, done: int, values: Mapping[str, float]) -> None:
        """The scalars after ``done`` steps; called at the end of every epoch at least."""
        ends = self.epoch_ends(done)
        values = {**values, **(self.look() if ends else {})}
        self.observers.scalars(step=done, steps=self.facts.steps, values=values)
        self.monitor.see(values)
        if ends:
            self._judge(done)

    def _judge(self, done: int) -> None:
        verdict = self.monitor.judge(done)
        if verdict.warned == done:
            epoch = done // self.facts.steps_per_epoch
            self.observers.warning(text=self.monitor.warning(epoch, verdict.reason))
        self.keep(verdict)


def watch_over(session: Session, method: Method, observers: Observers, rank: int, start: int) -> Watch:
    """The watch of a process: the first looks and judges, the others do nothing.

    Raises:
        UserError: ``train.probe`` cannot be judged on these data.
    """
    if rank:
        return Watch(session.facts, observers, CollapseMonitor(None, ()), dict, lambda verdict: None)
    probe = OnlineProbe(session)

    def look() -> dict[str, float]:
        encoder = method.encoder()
        return spread(session, encoder) | (probe(encoder) if session.cell.train.probe else {})

    def keep(verdict: Verdict) -> None:
        save_verdict(session.folder, verdict)

    before = load_verdict(session.folder) if start else None
    if before and before.warned and before.warned > start:
        before = None  # of steps that are taken again
    monitor = CollapseMonitor(method.chance_level(), method.collapse_causes, before)
    return Watch(session.facts, observers, monitor, look, keep)
