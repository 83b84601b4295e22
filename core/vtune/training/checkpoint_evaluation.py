"""Checkpoints measured while they are trained: at each save the voice speaks a few sentences, and the best is kept."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from vtune.audio import write_wav
from vtune.contract.metrics import MetricSpec
from vtune.runtime.device import preserved_device_rng
from vtune.runtime.distributed.ranks import from_main_process
from vtune.runtime.paths import make_parent
from vtune.types import Audio, Waveform

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvalResult:
    """What a checkpoint reached.

    :param metrics: means by name; the metric that checkpoints are chosen by is always among them.
    :param sounds: what was spoken: a name, the samples, their rate in Hz.
    """

    metrics: Mapping[str, float]
    sounds: Sequence[tuple[str, Waveform, int]]


class EvalFn(Protocol):
    """Lets a model in memory speak, and measures it."""

    @property
    def specs(self) -> Sequence[MetricSpec]:
        """The metrics of a result; checkpoints are chosen by the first one, of which more is better."""
        ...

    def __call__(self, model: nn.Module) -> EvalResult:
        """Measure a model as it is."""
        ...


class CheckpointEvaluator:
    """Measures checkpoints on the first rank; every rank gets the result.

    :param measure: None on every other rank.
    :param specs: of the metrics; checkpoints are chosen by the first one.
    :param logs: folder that gets the sound; ``writer``, where TensorBoard is in use, shows it beside the curves.
    """

    def __init__(self, measure: EvalFn | None, specs: Sequence[MetricSpec], logs: Path) -> None:
        self.specs = specs
        self._measure = measure
        self._folder = logs / "heard"
        self._seconds = 0.0
        self.writer: Any = None

    def evaluate(self, model: nn.Module, step: int, accelerator: Any) -> dict[str, float]:
        """Return the metrics of a step as ``eval_<name>``. The random states are left as they were."""
        metrics = from_main_process(accelerator, lambda: self._measured(accelerator.unwrap_model(model), step))
        return {f"eval_{name}": value for name, value in metrics.items()}

    def _measured(self, model: nn.Module, step: int) -> dict[str, float]:
        assert self._measure is not None, "the main process has what measures"
        began = time.monotonic()
        with _preserved_rng_state():
            result = self._measure(model)
        self._keep(result, step)
        self._log(result, step, time.monotonic() - began)
        return dict(result.metrics)

    def _keep(self, result: EvalResult, step: int) -> None:
        for name, sound, rate in result.sounds:
            path = self._folder / f"step-{step:06d}" / f"{name}.wav"
            make_parent(path)
            write_wav(path, [Audio(sound, rate)], rate)
            if self.writer is not None:
                self.writer.add_audio(f"heard/{name}", torch.from_numpy(sound)[None], step, rate)

    def _log(self, result: EvalResult, step: int, seconds: float) -> None:
        self._seconds += seconds
        shown = ", ".join(
            f"{spec.name} {spec.shown(result.metrics[spec.name])}" for spec in self.specs if spec.name in result.metrics
        )
        logger.info(
            "Checkpoint of step %d: %s (%d sentence(s) spoken in %.1f s; %.0f s for all checkpoints so far)",
            step, shown, len(result.sounds), seconds, self._seconds,
        )  # fmt: skip


@contextmanager
def _preserved_rng_state() -> Iterator[None]:
    """Put every random state back, so that measuring changes nothing of the training."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]), preserved_device_rng():
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
