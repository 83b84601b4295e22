"""Keep the trials of a study in Optuna's database, which survives a kill at any moment. Nothing else uses Optuna.

SQLite and not Optuna's journal file: a write that a kill cuts short is undone, but the journal would keep half a line
and a lock that no process holds.
"""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL

from vtune.errors import VtuneError, reason
from vtune.runtime.disk import errno_of
from vtune.tune.dimensions import Dimension, Range, Value
from vtune.tune.space import Space, Values
from vtune.tune.trials import State, Trial

MIN_TRIALS_BEFORE_PRUNING = 5
"""Trials that are done before one is pruned."""

MIN_TRIALS_TO_COMPARE = 3
"""Trials that must have come as far before one is pruned there."""

MAX_LISTED_POINTS = 10_000
"""Points of a space up to which no point is tried twice."""

MIN_TRIALS_FOR_IMPORTANCES = 10

_STATES = {
    TrialState.COMPLETE: State.DONE,
    TrialState.PRUNED: State.PRUNED,
    TrialState.FAIL: State.FAILED,
    TrialState.RUNNING: State.RUNNING,
    TrialState.WAITING: State.RUNNING,
}
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class Study:
    """A study in a file, which is created if it does not exist. One process writes it at a time.

    :raises VtuneError: the file cannot be read or written as a study.
    """

    def __init__(self, path: Path, space: Space) -> None:
        logging.getLogger("optuna").setLevel(logging.WARNING)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._space = space
        self._distributions = {key: _distribution(dimension) for key, dimension in space.dimensions.items()}
        try:
            self._storage = optuna.storages.RDBStorage(str(URL.create("sqlite", database=str(path))))
            self._study = optuna.create_study(
                storage=self._storage,
                sampler=optuna.samplers.RandomSampler(0),
                pruner=optuna.pruners.MedianPruner(MIN_TRIALS_BEFORE_PRUNING, n_min_trials=MIN_TRIALS_TO_COMPARE),
                study_name="vtune",
                direction="maximize",
                load_if_exists=True,
            )
        except Exception as error:  # SQLAlchemy's, Alembic's and Optuna's own: the file is no study of this Optuna
            if errno_of(error) is not None:
                raise
            raise VtuneError(
                f"{path} is not a study: {reason(error)}; remove the file, or name another study with --study"
            ) from error

    @property
    def trials(self) -> list[Trial]:
        """All trials, in their order."""
        return [_trial(frozen) for frozen in self._study.get_trials(deepcopy=False)]

    @property
    def facts(self) -> dict[str, Any]:
        """Facts that the study stores besides its trials."""
        return dict(self._study.user_attrs)

    def note(self, **facts: Any) -> None:
        """Store facts, as plain data."""
        for name, fact in facts.items():
            self._study.set_user_attr(name, fact)

    def propose(self, seed: int) -> Values | None:
        """Return the next point to try: the recipe's own first, then what Optuna's TPE expects most of.

        The point depends only on the seed, the tried points and their results, so that a stopped study continues as it
        would have without the stop. In a space that can be listed, no point is tried twice; None if no point is left.
        """
        tried = self._study.get_trials(deepcopy=False, states=_ENDED)
        if not tried and self._space.own is not None:
            return self._space.own
        number = len(tried)
        lot = int.from_bytes(sha256(f"{seed}:{number}".encode()).digest()[:4], "big")
        # Asked of a copy: the point is written into the study whole, or not at all.
        copy = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=lot))
        copy.add_trials(tried)
        drawn = copy.ask(self._distributions).params
        point = {
            key: dimension.tidy(drawn[key]) if isinstance(dimension, Range) else drawn[key]
            for key, dimension in self._dimensions
        }
        tried_points = [dict(trial.params) for trial in tried]
        if point not in tried_points or (self._space.size or MAX_LISTED_POINTS + 1) > MAX_LISTED_POINTS:
            return point
        left = [point for point in self._points() if point not in tried_points]
        return random.Random(lot).choice(left) if left else None

    def begin(self, values: Values) -> Trial:
        """Add a trial that is running."""
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING, params=dict(values), distributions=self._distributions
        )
        self._study.add_trial(trial)
        return self.trials[-1]

    def start(self, trial: Trial, progress: str) -> None:
        """Record a start of a running trial, and how far the trial was."""
        self._handle(trial).set_user_attr("starts", [*trial.starts, progress])

    def forget_start(self, trial: Trial) -> None:
        """Remove the last start, because the user stopped the trial and no error did."""
        self._handle(trial).set_user_attr("starts", list(trial.starts))

    def report(self, trial: Trial, step: int, value: float) -> bool:
        """Note a value on the way, higher is better, and say whether to stop there: it was never as good as half of
        the others at that step.
        """
        handle = self._handle(trial)
        if (
            step not in self._frozen(trial).intermediate_values
        ):  # it is there if a trial continues from before its last report
            handle.report(value, step)
        return bool(handle.should_prune())  # numpy's own otherwise

    def end(
        self,
        trial: Trial,
        state: State,
        seconds: float,
        *,
        merit: float | None = None,
        metrics: Mapping[str, float] | None = None,
        reason: str = "",
    ) -> None:
        """Record the end of a trial."""
        facts = {"metrics": dict(metrics or {}), "seconds": round(seconds, 2), "reason": reason}
        self._handle(trial).set_user_attr("ended", facts)
        self._study.tell(trial.number, merit, next(key for key, value in _STATES.items() if value == state))

    def importances(self) -> dict[str, float]:
        """Return how much each key matters for the best results, as fractions of 1; empty after too few trials.

        PED-ANOVA, which needs no further package: how far the values of the five best (at most half of all, at least
        a tenth) lie from those of all.
        """
        done = len(self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))
        if done < MIN_TRIALS_FOR_IMPORTANCES:
            return {}
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=max(0.1, 5 / done))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of keys that were hardly varied
            return optuna.importance.get_param_importances(self._study, evaluator=evaluator)

    @property
    def _dimensions(self) -> Sequence[tuple[str, Dimension]]:
        return list(self._space.dimensions.items())

    def _points(self) -> list[dict[str, Value]]:
        every = [dimension.values() or [] for _, dimension in self._dimensions]
        return [dict(zip(self._space.dimensions, point, strict=True)) for point in product(*every)]

    def _handle(self, trial: Trial) -> optuna.trial.Trial:
        study = self._storage.get_study_id_from_name(self._study.study_name)
        return optuna.trial.Trial(
            self._study, self._storage.get_trial_id_from_study_id_trial_number(study, trial.number)
        )

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[trial.number]


def _distribution(dimension: Dimension) -> BaseDistribution:
    if not isinstance(dimension, Range):
        return CategoricalDistribution(dimension.options)
    if dimension.is_integer:
        return IntDistribution(int(dimension.low), int(dimension.high), dimension.log, int(dimension.step or 1))
    return FloatDistribution(dimension.low, dimension.high, dimension.log, dimension.step)


def _trial(frozen: FrozenTrial) -> Trial:
    # Optuna gives a pruned trial its last report for a value.
    merit = frozen.value if frozen.state == TrialState.COMPLETE else None
    starts = tuple(frozen.user_attrs.get("starts", ()))
    return Trial(
        frozen.number,
        _STATES[frozen.state],
        dict(frozen.params),
        merit,
        starts=starts,
        **frozen.user_attrs.get("ended", {}),
    )
