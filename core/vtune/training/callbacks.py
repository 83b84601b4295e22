"""Callbacks of the training loop: a progress bar with speed and time left, and the metrics as JSON lines."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback

from vtune.runtime.paths import make_parent, write_text
from vtune.training.loss_watch import require_finite_loss

logger = logging.getLogger(__name__)


_UNPRINTED_METRICS = frozenset(
    {
        "epoch", "grad_norm", "clips_per_second", "tokens_per_second", "eval_runtime", "eval_samples_per_second",
        "eval_steps_per_second",
    }
)  # fmt: skip


class ThroughputMeter:
    """Counts the clips, the tokens without padding, and the seconds of a training."""

    def __init__(self) -> None:
        self.clips = 0
        self.tokens = 0
        self._earlier_seconds = 0.0
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training, without the seconds of steps that were lost when the run was killed."""
        return self._earlier_seconds + time.monotonic() - self._started

    def start(self) -> None:
        """Start the clock; the seconds of an earlier process come from its checkpoint."""
        self._started = time.monotonic()

    def state(self) -> dict[str, float]:
        """Return the counts, which a checkpoint stores."""
        return {"clips": self.clips, "tokens": self.tokens, "seconds": self.seconds}

    def restore(self, state: Mapping[str, float]) -> None:
        """Continue with the counts of a checkpoint."""
        self.clips, self.tokens, self._earlier_seconds = int(state["clips"]), int(state["tokens"]), state["seconds"]

    def add(self, clips: int, tokens: int) -> None:
        """Count one forward pass."""
        self.clips += clips
        self.tokens += tokens

    def rates(self, world_size: int) -> dict[str, float]:
        """Return clips and tokens per second over all ranks since the training began."""
        elapsed = max(self.seconds, 1e-9)
        return {
            "clips_per_second": round(self.clips * world_size / elapsed, 3),
            "tokens_per_second": round(self.tokens * world_size / elapsed, 1),
        }


class TrainingProgress(TrainerCallback):  # type: ignore[misc]
    """A progress bar on a terminal, shown by the main process; without a terminal, a log line at each logging step."""

    def __init__(self, meter: ThroughputMeter) -> None:
        self._meter = meter
        self._bar: Any = None
        self._first_step, self._began = 0, 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open the bar at the step where the training begins or resumes."""
        self._meter.start()
        self._first_step, self._began = state.global_step, time.monotonic()
        if state.is_world_process_zero:
            self._bar = tqdm(
                total=state.max_steps, initial=state.global_step, desc="training", unit="step", disable=None
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(1)
            rates = self._meter.rates(args.world_size)
            self._bar.set_postfix_str(
                f"{rates['clips_per_second']:.1f} clips/s, {rates['tokens_per_second']:.0f} tokens/s",
                refresh=False,
            )

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Print the metrics, above the bar or as a log line. :raises TrainingError: a loss is not finite."""
        for name in ("loss", "eval_loss"):
            value = (logs or {}).get(name)
            if value is not None:
                require_finite_loss(name, value, state.global_step)
        if self._bar is None or not logs or not ("loss" in logs or "eval_loss" in logs):
            return
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in logs.items() if name not in _UNPRINTED_METRICS)
        rates = self._meter.rates(args.world_size)
        if self._bar.disable:
            seconds_left = (state.max_steps - state.global_step) * self._seconds_per_step(state.global_step)
            logger.info(
                "step %d/%d: %s; %.1f clips/s, %.0f tokens/s, %.0f s left",
                state.global_step, state.max_steps, metrics,
                rates["clips_per_second"], rates["tokens_per_second"], seconds_left,
            )  # fmt: skip
        else:
            self._bar.write(f"step {state.global_step}: {metrics}")

    def _seconds_per_step(self, step: int) -> float:
        return (time.monotonic() - self._began) / max(step - self._first_step, 1)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()


class MetricsFile(TrainerCallback):  # type: ignore[misc]
    """Writes logged metrics as JSON lines; after a resume the file is the same as that of an uninterrupted run."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write the log of the checkpoint again; lines of later steps, which a killed run has lost, disappear."""
        if state.is_world_process_zero:
            make_parent(self._path)
            write_text(self._path, "".join(map(_line, state.log_history)))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Add one line."""
        if state.is_world_process_zero and logs and "train_runtime" not in logs:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line({**logs, "step": state.global_step}))


def _line(entry: Mapping[str, Any]) -> str:
    # Sorted, as a checkpoint stores them; the order of logging is another one.
    return json.dumps({"step": entry["step"], **dict(sorted(entry.items()))}) + "\n"
