"""What a recipe would do, need and take, from headers and configuration files alone."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vtune.dataset import Totals, open_sources, survey
from vtune.dataset.features.encode import variants
from vtune.engines import load_engine
from vtune.ingest.prepare.settings import LONGEST
from vtune.ingest.raw_sources import Uncut, pending_recordings, with_clips
from vtune.recipe import Recipe
from vtune.runtime.device import pick_device, pick_precision, weights_dtype
from vtune.runtime.paths import RunFolder
from vtune.training.memory_estimate import (
    GIB,
    Limit,
    Stage,
    footprint_of,
    host_limit,
    memory_of,
    needed,
    room_for_training,
    settle,
    stages,
)
from vtune.types import Footprint

# Share of a measured matrix rate that training reaches at these sizes; the rest goes into attention, norms, waiting.
_EFFICIENCY = 0.4
# Work with gradient checkpointing, for the layers go forward again: a half of what a frozen base takes, less its head.
_AGAIN = 1.4
# Of raw recordings: the share that is speech, and the seconds of a clip. Both are those of a reader (docs/prepare.md).
_SPOKEN, _CLIP = 0.8, 6.5


@dataclass(frozen=True, slots=True)
class Plan:
    """Numbers before a run. Memory and time are None where the engine gives no estimate."""

    recipe: Recipe
    totals: Totals
    rows: int
    steps: int
    footprint: Footprint | None
    have_bytes: float
    device: str
    precision: str
    raw: Sequence[Uncut] = ()
    tokens: float | None = None
    longest: float | None = None
    memory_bytes: float | None = None
    seconds: float | None = None
    stages: Sequence[Stage] = ()
    host: Limit | None = None

    def lines(self) -> list[str]:
        """Say it, a line a fact."""
        train = self.recipe.train
        said = [
            f"raw         data.{one.place}: {one.recordings:,} recordings, {one.seconds / 60:.1f} min, to be cut and "
            f"transcribed; counted as clips of {_CLIP:g} s"
            for one in self.raw
        ]
        said += [
            f"clips       {self.totals.describe()}",
            f"training    {self.rows:,} rows an epoch, {train.epochs:g} epochs, batch {train.batch_size} x "
            f"{train.gradient_accumulation} accumulated x {train.world_size or 1} process(es): {self.steps:,} steps",
        ]
        if self.footprint is None or self.tokens is None or self.memory_bytes is None or self.seconds is None:
            return [*said, f"estimates   engine {self.recipe.engine!r} gives none"]
        footprint = self.footprint
        share = 100 * footprint.trainable / footprint.parameters
        way = "with" if train.gradient_checkpointing else "without"
        fits = "fits" if self.memory_bytes < self.have_bytes else "DOES NOT FIT"
        return [
            *said,
            f"tokens      {self.tokens:,.0f} an epoch, the longest clip about {self.longest:,.0f}",
            f"parameters  {footprint.parameters:,}, trainable {footprint.trainable:,} ({share:.2f} %) "
            f"in {footprint.tensors:,} tensors",
            f"memory      about {self.memory_bytes / GIB:.2f} GiB of {self.have_bytes / GIB:.1f} on {self.device} "
            f"in {self.precision}, {way} gradient checkpointing: {fits}",
            *self._memory_lines(),
            f"time        about {_duration(self.seconds)} of training (rough: from a short measurement here)",
        ]

    def _memory_lines(self) -> list[str]:
        """Say what each stage takes of the host's memory, all of it."""
        if self.host is None:
            return []
        most = max(stage.host_bytes for stage in self.stages)
        told = ", ".join(f"{stage.name} {stage.host_bytes / GIB:.2f}" for stage in self.stages)
        fits = "fits" if most < self.host.size else "DOES NOT FIT"
        return [f"host        GiB of {self.host.size / GIB:.1f} ({self.host.whose}): {told}: {fits}"]


def make_plan(recipe: Recipe) -> Plan:
    """Count and estimate; reads headers of the recordings, loads no weights.

    :raises VtuneError: the sources or the checkpoint's configuration cannot be read.
    """
    engine = load_engine(recipe.engine)
    device = pick_device(recipe.train.device)
    precision = pick_precision(recipe.train.precision, device)
    footprint = footprint_of(engine, recipe, device)
    run = RunFolder(recipe.folders.runs / recipe.voice)
    raw = tuple(pending_recordings(recipe, run))
    totals, rows, seconds, longest = _count(with_clips(recipe, run), raw)
    have = memory_of(device)
    longest_tokens = longest * footprint.tokens_per_second + footprint.tokens_per_clip if footprint else 0.0
    processes = recipe.train.world_size or 1
    recipe = settle(recipe, footprint, longest_tokens, room_for_training(footprint, device, processes))
    train = recipe.train
    batch, checkpointing = int(train.batch_size), bool(train.gradient_checkpointing)
    per_step = batch * train.gradient_accumulation * (train.world_size or 1)
    steps = train.max_steps or math.ceil(train.epochs * math.ceil(rows / per_step))
    plan = Plan(recipe, totals, rows, steps, footprint, have, str(device), precision, raw)
    if footprint is None:
        return plan
    tokens = seconds * footprint.tokens_per_second + rows * footprint.tokens_per_clip
    memory = needed(footprint, batch * longest_tokens, checkpointing)
    work = tokens / rows * per_step * steps * footprint.token_flops * (_AGAIN if checkpointing else 1)
    took = work / (_EFFICIENCY * _measured_flops(device, precision) * (train.world_size or 1)) if rows else 0.0
    return replace(
        plan,
        tokens=tokens,
        longest=longest_tokens,
        memory_bytes=memory,
        seconds=took,
        stages=stages(footprint, recipe, batch * longest_tokens, longest, on_gpu=device.type == "cuda"),
        host=host_limit(),
    )


def _count(recipe: Recipe, raw: Sequence[Uncut]) -> tuple[Totals, int, float, float]:
    """Count clips as the ledger will, as far as headers tell: rows an epoch, their seconds, the longest.

    Raw recordings are counted as clips of the usual length; a plan cuts nothing.
    """
    totals, rows, seconds, longest = Totals(), Counter[float](), 0.0, 0.0
    for one in raw:
        weight = recipe.data[one.place].weight
        spoken = one.seconds * _SPOKEN * (1 - recipe.train.validation)
        rows[weight] += math.ceil(spoken / _CLIP)
        seconds += spoken * weight
        longest = recipe.prepare.max_seconds or LONGEST
    waiting = {one.place for one in raw}
    data = [source for place, source in enumerate(recipe.data) if place not in waiting]
    recipe = recipe.model_copy(update={"data": data})
    for item in survey(recipe, open_sources(recipe)):
        totals.add(item, item.reason)
        if item.reason is None and item.split == "train":
            weight = recipe.data[item.source].weight
            copies = len(variants(recipe, item))
            rows[weight] += copies
            seconds += item.seconds * copies * weight
            longest = max(longest, item.seconds)
    return totals, sum(max(1, round(weight * count)) for weight, count in rows.items()), seconds, longest


def _measured_flops(device: object, precision: str) -> float:
    """Operations a second of one matrix product, the best of a few; takes about a tenth of a second."""
    import torch

    where = torch.device(str(device))
    dtype = weights_dtype(precision, where, "lora")
    a = torch.randn(1024, 1024, device=where, dtype=dtype)
    best = math.inf
    for _ in range(4):
        started = time.perf_counter()
        a @ a
        if where.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * 1024**3 / best


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"
