"""Checkpoints judged by ear: at each save the voice speaks a few sentences, and the best wins, not the least loss."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list
from torch import nn

from vtune.audio import write_wav
from vtune.runtime.paths import make_parent
from vtune.types import Audio, Waveform

logger = logging.getLogger(__name__)

QUALITY = "quality"
"""Name of the figure that checkpoints are chosen by; higher is better."""


@dataclass(frozen=True, slots=True)
class EvalResult:
    """What a checkpoint sounded like.

    :param figures: means by name; ``quality`` is among them.
    :param takes: what was spoken: a name, the sound, its rate.
    """

    figures: Mapping[str, float]
    takes: Sequence[tuple[str, Waveform, int]]


EvalFn = Callable[[nn.Module], EvalResult]
"""Lets a model in memory speak, and judges it."""


class CheckpointEvaluator:
    """Listens on the first rank; every rank learns what was heard.

    :param listen: None on every other rank.
    :param logs: gets the sound, beside the curves; ``writer``, where TensorBoard is in use, plays it beside them.
    """

    def __init__(self, listen: EvalFn | None, logs: Path) -> None:
        self._listen = listen
        self._folder = logs / "heard"
        self._seconds = 0.0
        self.writer: Any = None

    def hear(self, model: nn.Module, step: int, accelerator: Any) -> dict[str, float]:
        """Return the figures of a step, as metrics of an evaluation. The random state is left as it was."""
        shared: list[Any] = [None]
        if self._listen is not None:
            began = time.monotonic()
            with _same_dice():
                heard = self._listen(accelerator.unwrap_model(model))
            self._keep(heard, step)
            self._tell(heard, step, time.monotonic() - began)
            shared = [dict(heard.figures)]
        if accelerator.num_processes > 1:
            shared = broadcast_object_list(shared)
        return {f"eval_{name}": value for name, value in shared[0].items()}

    def _keep(self, heard: EvalResult, step: int) -> None:
        for name, sound, rate in heard.takes:
            path = self._folder / f"step-{step:06d}" / f"{name}.wav"
            make_parent(path)
            write_wav(path, [Audio(sound, rate)], rate)
            if self.writer is not None:
                self.writer.add_audio(f"heard/{name}", torch.from_numpy(sound)[None], step, rate)

    def _tell(self, heard: EvalResult, step: int, seconds: float) -> None:
        self._seconds += seconds
        said = ", ".join(f"{name} {value:.3f}" for name, value in heard.figures.items())
        logger.info(
            "step %d by ear: %s (%d sentences, %.1f s; %.0f s in all)",
            step, said, len(heard.takes), seconds, self._seconds,
        )  # fmt: skip


@contextmanager
def _same_dice() -> Iterator[None]:
    """Put every random state back: a training that is listened to is the training that is not."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
