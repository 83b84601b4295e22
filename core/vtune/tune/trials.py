"""The trials of a study: their points, states and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from vtune.tune.space import Values


class State(StrEnum):
    """How far a trial came."""

    RUNNING = "running"
    DONE = "done"
    PRUNED = "pruned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Trial:
    """One tried point of the space.

    :param merit: the objective as a number that the search maximises; None until the trial is done.
    :param metrics: means of the voices by name: the objective, and quality with what it is made of.
    :param seconds: from its last start to its end.
    :param reason: why it was pruned or failed.
    :param starts: how far its training was at each start; a trial may be stopped several times.
    """

    number: int
    state: State
    values: Values
    merit: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    reason: str = ""
    starts: Sequence[str] = ()

    @property
    def ending(self) -> str:
        """How the trial ended, if it is not done."""
        return f"{self.state}: {self.reason}" if self.state == State.FAILED else f"{self.state} {self.reason}".strip()


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that are done, the best first; of equal trials, the earlier first."""
    done = [(trial.merit, trial) for trial in trials if trial.state == State.DONE and trial.merit is not None]
    return [trial for _, trial in sorted(done, key=lambda pair: (-pair[0], pair[1].number))]
