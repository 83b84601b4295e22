"""What a user sees while it trains, and what stays: a bar with speed and time left, metrics as JSON lines."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback

from vtune.errors import TrainingError
from vtune.runtime.paths import make_parent, write_text

logger = logging.getLogger(__name__)


_UNSAID = frozenset(
    {
        "epoch", "grad_norm", "clips_per_second", "tokens_per_second", "eval_runtime", "eval_samples_per_second",
        "eval_steps_per_second",
    }
)  # fmt: skip


class ThroughputMeter:
    """Counts what the loop has processed: clips, real tokens (padding does not count) and seconds."""

    def __init__(self) -> None:
        self.clips = 0
        self.tokens = 0
        self._before = 0.0
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training, without those whose steps a kill has undone."""
        return self._before + time.monotonic() - self._started

    def start(self) -> None:
        """Let the time run, which has stood still since the last checkpoint."""
        self._started = time.monotonic()

    def state(self) -> dict[str, float]:
        """Return what a checkpoint keeps."""
        return {"clips": self.clips, "tokens": self.tokens, "seconds": self.seconds}

    def restore(self, state: Mapping[str, float]) -> None:
        """Count on from where a checkpoint was written."""
        self.clips, self.tokens, self._before = int(state["clips"]), int(state["tokens"]), state["seconds"]

    def add(self, clips: int, tokens: int) -> None:
        """Count one forward pass."""
        self.clips += clips
        self.tokens += tokens

    def rates(self, world_size: int) -> dict[str, float]:
        """Clips and tokens per second over all ranks since training began."""
        elapsed = max(self.seconds, 1e-9)
        return {
            "clips_per_second": round(self.clips * world_size / elapsed, 3),
            "tokens_per_second": round(self.tokens * world_size / elapsed, 1),
        }


class Progress(TrainerCallback):  # type: ignore[misc]
    """One bar a training, on the first rank, on a terminal only; elsewhere a line of log at each logging step."""

    def __init__(self, meter: ThroughputMeter) -> None:
        self._meter = meter
        self._bar: Any = None
        self._first, self._began = 0, 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open the bar where training begins or goes on."""
        self._meter.start()
        self._first, self._began = state.global_step, time.monotonic()
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
        """Say the loss where there is no bar to show it."""
        for name in ("loss", "eval_loss"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                raise TrainingError(
                    f"{name} became {value} at step {state.global_step}; lower train.learning_rate, "
                    "or use precision bf16 or fp32 instead of fp16"
                )
        if self._bar is None or not logs or not ("loss" in logs or "eval_loss" in logs):
            return
        said = ", ".join(f"{name} {value:.4g}" for name, value in logs.items() if name not in _UNSAID)
        rates = self._meter.rates(args.world_size)
        if self._bar.disable:
            left = (state.max_steps - state.global_step) * self._seconds_a_step(state.global_step)
            logger.info(
                "step %d/%d: %s; %.1f clips/s, %.0f tokens/s, %.0f s left",
                state.global_step, state.max_steps, said, rates["clips_per_second"], rates["tokens_per_second"], left,
            )  # fmt: skip
        else:
            self._bar.write(f"step {state.global_step}: {said}")

    def _seconds_a_step(self, step: int) -> float:
        return (time.monotonic() - self._began) / max(step - self._first, 1)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()


class MetricsFile(TrainerCallback):  # type: ignore[misc]
    """Every logged metric as one JSON line; after a resume the file is what an uninterrupted run would have written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Write what the checkpoint remembers; lines of steps that a killed run made after it are gone."""
        if state.is_world_process_zero:
            make_parent(self._path)
            write_text(self._path, "".join(map(_line, state.log_history)))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Add one line."""
        if state.is_world_process_zero and logs and "train_runtime" not in logs:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line({**logs, "step": state.global_step}))


def _line(entry: Mapping[str, Any]) -> str:
    # In the order that a checkpoint keeps them in, which the order of logging is not.
    return json.dumps({"step": entry["step"], **dict(sorted(entry.items()))}) + "\n"
