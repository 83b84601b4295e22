"""Stop a trial whose validations are worse than those of the other trials at the same point of the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from vtune.evaluation import QUALITY
from vtune.tune.trials import Trial

if TYPE_CHECKING:
    from vtune.tune.study import Study

EPOCH_PARTS = 1000
"""Trials are compared after the same thousandth of an epoch, whatever their batches."""

_QUALITY, _LOSS = f"eval_{QUALITY}", "eval_loss"


class Pruned(Exception):
    """A trial was stopped; the message says after how much training, and which metric it had reached."""


class PruningCallback(TrainerCallback):  # type: ignore[misc] # transformers is not typed for us
    """Reports each validation to the study, and ends the training early when the trial is worse than the others.

    :param by_loss: whether the losses of trials can be compared, where the quality of checkpoints is not measured.
    """

    def __init__(self, study: Study, trial: Trial, by_loss: bool) -> None:
        self._study, self._trial, self._by_loss = study, trial, by_loss
        self._stopped = ""

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, float] | None = None, **kwargs: Any
    ) -> None:
        """Report a validation to the study. A trial at the end of its training is not stopped: it can be scored."""
        metrics = metrics or {}
        name = self._watched(metrics)
        if name is None:
            return
        value = metrics[name] if name == _QUALITY else -metrics[name]
        hopeless = self._study.report(self._trial, round(state.epoch * EPOCH_PARTS), value)
        if hopeless and state.global_step < state.max_steps:
            self._stopped = f"after {state.epoch:.3g} of {args.num_train_epochs:g} epochs: {name} {metrics[name]:.4g}"
            control.should_training_stop, control.should_save = True, False

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the trial before its half-trained adapter counts as finished; all other callbacks are done by now."""
        if self._stopped:
            raise Pruned(self._stopped)

    def _watched(self, metrics: Mapping[str, float]) -> str | None:
        """Return the metric that the trials of the study are compared by, as the first validation decides."""
        name: str | None = self._study.facts.get("watched")
        if name is None:
            name = next((offer for offer in self._offers if offer in metrics), None)
            if name is not None:
                self._study.note(watched=name)
        return name if name in metrics else None

    @property
    def _offers(self) -> tuple[str, ...]:
        return (_QUALITY, _LOSS) if self._by_loss else (_QUALITY,)
