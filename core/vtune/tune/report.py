"""Describe the results of a study: a table, the best settings as a command, and one line for each trial."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vtune.evaluation import MetricSpec
from vtune.tune.paths import StudyFolder
from vtune.tune.space import Space
from vtune.tune.trials import State, Trial, ranked


@dataclass(frozen=True, slots=True)
class StudyReport:
    """A study at one moment.

    :param voice: name of the voice in the recipe.
    :param specs: what the metrics of the trials mean, the objective first.
    :param importances: how much each key matters to be among the best, in shares of 1; empty after too few trials.
    :param command: the command that makes the voice with the settings of the recipe.
    """

    voice: str
    study_folder: StudyFolder
    space: Space
    metric: str
    trials: Sequence[Trial]
    specs: Sequence[MetricSpec]
    importances: Mapping[str, float]
    command: Sequence[str]

    @property
    def ranked(self) -> list[Trial]:
        """Trials that are done, the best first."""
        return ranked(self.trials)

    @property
    def best(self) -> Trial | None:
        """The best trial; None where none is done."""
        return next(iter(self.ranked), None)

    @property
    def ended(self) -> list[Trial]:
        """Trials that are not running."""
        return [trial for trial in self.trials if trial.state != State.RUNNING]

    @property
    def keys(self) -> dict[str, str]:
        """The searched keys with their short names: the last part, where no other key ends in it."""
        last = Counter(key.rsplit(".", 1)[-1] for key in self.space.dimensions)
        shorts = {key: key.rsplit(".", 1)[-1] for key in self.space.dimensions}
        return {key: short if last[short] == 1 else key for key, short in shorts.items()}

    def is_own(self, trial: Trial) -> bool:
        """Whether a trial is the recipe as it is."""
        return self.space.own is not None and dict(trial.values) == dict(self.space.own)

    def settings(self, trial: Trial) -> str:
        """Return a trial's point as overrides, in one line."""
        return " ".join(self.space.overrides(trial.values)) + (" (the recipe as it is)" if self.is_own(trial) else "")

    def reached(self, trial: Trial) -> str:
        """Return a trial's metrics in one line."""
        shown = ((spec, trial.metrics.get(spec.name)) for spec in self.specs)
        return f"trial {trial.number}: " + ", ".join(f"{spec.name} {spec.shown(number)}" for spec, number in shown)

    def result_line(self, number: int) -> str:
        """Return the result of a trial, and the best trial so far, in one line."""
        trial = self.trials[number]
        outcome = self.reached(trial) if trial.state == State.DONE else f"trial {number}: {trial.ending}"
        best = self.best
        beside = "" if best is None else "; the best so far" if best is trial else f"; the best is {self.reached(best)}"
        return f"{outcome} ({trial.seconds:.0f} s){beside}"

    def lines(self) -> Iterator[str]:
        """Yield the table, the trials that did not finish, and the best settings as a command."""
        yield from _aligned([self.heads, *(self.cells(rank, trial) for rank, trial in enumerate(self.ranked, 1))])
        for trial in self.ended:
            if trial.state != State.DONE:
                yield f"trial {trial.number}: {trial.ending}; {self.settings(trial)}"
        best = self.best
        if best is None:
            yield "no trial has finished"
            return
        yield f"best: {self.reached(best)}{' (the recipe as it is)' if self.is_own(best) else ''}"
        yield f"  {self.best_command}"
        yield f"the best settings as a recipe: {self.study_folder.best}"
        yield f"the voice of that trial: {self.study_folder.voices(best.number)}"
        yield f"to see the study, open {self.study_folder.page}"

    @property
    def best_command(self) -> str:
        """The command that makes the best voice, to be pasted into a shell; empty where no trial is done."""
        return shlex.join([*self.command, *self.space.overrides(self.best.values)]) if self.best else ""

    @property
    def heads(self) -> list[str]:
        """The columns of the table."""
        return ["place", "trial", *(spec.name for spec in self.specs), *self.keys.values(), "seconds"]

    def cells(self, rank: int, trial: Trial) -> list[str]:
        """Return a row of the table; metrics are as people read them."""
        texts = [dimension.text(trial.values[key]) for key, dimension in self.space.dimensions.items()]
        metrics = [spec.shown(trial.metrics.get(spec.name)) for spec in self.specs]
        return [str(rank), str(trial.number), *metrics, *texts, f"{trial.seconds:.0f}"]


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
