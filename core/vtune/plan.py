"""Estimate what a run of a recipe needs, from headers and configuration files alone."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vtune.dataset import ClipTotals, Source, manifest_entries, open_numbered_source
from vtune.dataset.features.encode import variant_numbers
from vtune.dataset.features.manifest import MAX_SHOWN_VOICES
from vtune.engines import engine_of
from vtune.engines.memory import Stage
from vtune.errors import DataError
from vtune.ingest.raw_sources import PendingRecordings, pending_recordings, prepared_recipe
from vtune.recipe import Recipe
from vtune.recipe.data_sections import MAX_CUT_SECONDS
from vtune.runtime.device import has_own_memory, pick_device, pick_precision, weights_dtype
from vtune.runtime.memory import GIB, Limit, host_limit, memory_of
from vtune.runtime.paths import RunFolder
from vtune.training.memory_estimate import (
    footprint_of,
    memory_for_training,
    piece_count,
    resolve_auto,
    stages,
    training_bytes,
)
from vtune.types import Footprint

if TYPE_CHECKING:
    import torch

_TRAINING_EFFICIENCY = 0.4
"""Share of the measured matrix rate that training reaches; the rest goes into attention, norms and waiting."""

_HALF_PRECISION_GAIN = 2.0
"""Most that bf16 gains on a processor over float32, though a product alone may be ten times as fast: 2.1 times for the
vocoder of VITS, 1.6 times for its discriminators, forward and backward on one core."""

_CHECKPOINTING_FACTOR = 1.4
"""Work with gradient checkpointing over work without: the layers run forward again, half the work of a frozen base."""

_SPEECH_FRACTION = 0.8
"""Share of a raw recording that is speech, for somebody who reads aloud (docs/how-to/prepare.md)."""

_RAW_CLIP_SECONDS = 6.5
"""Mean length of the clips that raw recordings are cut into, for somebody who reads aloud (docs/how-to/prepare.md)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers of a run before it starts. Memory and time are None if the engine gives no estimate."""

    recipe: Recipe
    totals: ClipTotals
    rows: int
    steps: int
    footprint: Footprint | None
    have_bytes: float
    device: str
    precision: str
    raw: Sequence[PendingRecordings] = ()
    sources: Sequence[str] = ()
    tokens: float | None = None
    longest: float | None = None
    memory_bytes: float | None = None
    seconds: float | None = None
    stages: Sequence[Stage] = ()
    host: Limit | None = None
    counts_parts: bool = True

    def lines(self) -> list[str]:
        """Return the plan as text, one fact per line."""
        train = self.recipe.train
        lines = [
            f"raw         data.{source.index}: {source.recordings:,} recordings, {source.seconds / 60:.1f} min, "
            f"still to be cut and transcribed; counted as clips of {_RAW_CLIP_SECONDS:g} s"
            for source in self.raw
        ]
        lines += [f"words       data.{source.index}: {note}" for source in self.raw for note in source.notes]
        lines += [f"words       {line}" for line in self.sources]
        lines += [
            f"clips       {self.totals.describe()}",
            *self._voice_lines(),
            f"training    {self.rows:,} rows an epoch, {train.epochs:g} epochs, batch {train.batch_size} x "
            f"{train.gradient_accumulation} accumulated x {train.world_size or 1} process(es): {self.steps:,} steps",
        ]
        if self.footprint is None or self.tokens is None or self.memory_bytes is None or self.seconds is None:
            return [*lines, f"estimates   engine {self.recipe.engine!r} gives none"]
        footprint = self.footprint
        share = 100 * footprint.trainable / footprint.parameters
        way = "with" if train.gradient_checkpointing else "without"
        fits = "fits" if self.memory_bytes < self.have_bytes else "DOES NOT FIT"
        return [
            *lines,
            f"tokens      {self.tokens:,.0f} an epoch, the longest clip about {self.longest:,.0f}",
            f"parameters  {footprint.parameters:,}, trainable {footprint.trainable:,} ({share:.2f} %) "
            f"in {footprint.tensors:,} tensors{self._part_text()}",
            f"memory      about {self.memory_bytes / GIB:.2f} GiB of {self.have_bytes / GIB:.1f} on {self.device} "
            f"in {self.precision}, {way} gradient checkpointing{self._sharding_text()}: {fits}",
            *self._memory_lines(),
            f"time        about {_duration(self.seconds)} of training (rough: from a short measurement here)",
        ]

    def _sharding_text(self) -> str:
        """Return into how many pieces the network is divided, if the recipe divides it."""
        train = self.recipe.train
        if train.sharding == "none":
            return ""
        if train.world_size is None:
            return ", not divided: train.world_size does not say over how many processes"
        return f", divided over {train.world_size} processes"

    def _part_text(self) -> str:
        """Return what is said of the parts that are trained beside the adapter, if there are any."""
        if not self.counts_parts:
            return "; the engine does not say how large the parts are that it trains beside the adapter: not counted"
        parts = self.footprint.part_parameters if self.footprint else 0
        return f"; {parts:,} in parts beside the adapter" if parts else ""

    def _voice_lines(self) -> list[str]:
        """Return the line with the clips of each voice, if there are several."""
        voices = self.totals.voices.most_common(MAX_SHOWN_VOICES)
        hidden = len(self.totals.voices) - len(voices)
        shown = [f"{voice} {clips:,} clips" for voice, clips in voices] + ([f"and {hidden:,} more"] if hidden else [])
        return [f"voices      {', '.join(shown)}"] if len(shown) > 1 else []

    def _memory_lines(self) -> list[str]:
        """Return the line with the host memory of each stage."""
        if self.host is None:
            return []
        most = max(stage.host_bytes for stage in self.stages)
        shown = ", ".join(f"{stage.name} {stage.host_bytes / GIB:.2f}" for stage in self.stages)
        fits = "fits" if most < self.host.size else "DOES NOT FIT"
        return [f"host        GiB of {self.host.size / GIB:.1f} ({self.host.whose}): {shown}: {fits}"]


def make_plan(recipe: Recipe) -> Plan:
    """Count clips and steps, and estimate memory and time; read only headers of recordings, and load no weights.

    :raises VtuneError: no clip can be trained on, or the checkpoint's configuration cannot be read.
    """
    engine = engine_of(recipe)
    device = pick_device(recipe.train.device)
    precision = pick_precision(recipe.train.precision, device)
    footprint = footprint_of(engine, recipe, device)
    run = RunFolder(recipe.folders.runs / recipe.voice)
    raw = tuple(pending_recordings(recipe, run))
    prepared, waiting = prepared_recipe(recipe, run), {source.index for source in raw}
    sources = [None if i in waiting else open_numbered_source(prepared, i) for i in range(len(prepared.data))]
    totals, rows, seconds, longest = _count(prepared, sources, raw)
    described = [
        f"data.{index}: {line}" for index, source in enumerate(sources) if source for line in source.description
    ]
    have = memory_of(device)
    longest_tokens = longest * footprint.tokens_per_second + footprint.tokens_per_clip if footprint else 0.0
    processes = recipe.train.world_size or 1
    recipe = resolve_auto(
        recipe, footprint, longest_tokens, memory_for_training(footprint, device, processes), processes
    )
    train = recipe.train
    batch, checkpointing = int(train.batch_size), bool(train.gradient_checkpointing)
    per_step = batch * train.gradient_accumulation * (train.world_size or 1)
    steps = train.max_steps or math.ceil(train.epochs * math.ceil(rows / per_step))
    plan = Plan(recipe, totals, rows, steps, footprint, have, str(device), precision, raw, described)
    if footprint is None:
        return plan
    tokens = seconds * footprint.tokens_per_second + rows * footprint.tokens_per_clip
    memory = training_bytes(footprint, batch * longest_tokens, checkpointing, piece_count(recipe, processes))
    work = tokens / rows * per_step * steps * footprint.token_flops * (_CHECKPOINTING_FACTOR if checkpointing else 1)
    took = work / (_TRAINING_EFFICIENCY * _measured_flops(device, precision) * (train.world_size or 1)) if rows else 0.0
    return replace(
        plan,
        tokens=tokens,
        longest=longest_tokens,
        memory_bytes=memory,
        seconds=took,
        stages=stages(
            footprint,
            recipe,
            batch * longest_tokens,
            longest,
            on_gpu=has_own_memory(device),
            processes=processes,
        ),
        host=host_limit(),
        counts_parts=footprint.part_parameters > 0 or not engine.trains_parts,
    )


def _count(
    recipe: Recipe, sources: Sequence[Source | None], raw: Sequence[PendingRecordings]
) -> tuple[ClipTotals, int, float, float]:
    """Count clips as far as headers tell: their totals, the rows of an epoch, their seconds, the longest clip.

    Raw recordings are counted as clips of the mean length; a plan cuts nothing.

    :param sources: the sources that have words; None in the place of each other source.
    """
    totals, rows, seconds, longest = ClipTotals(), Counter[float](), 0.0, 0.0
    for source in raw:
        weight = recipe.data[source.index].weight
        spoken = source.seconds * _SPEECH_FRACTION * (1 - recipe.held_out_share(source.index))
        rows[weight] += math.ceil(spoken / _RAW_CLIP_SECONDS)
        seconds += spoken * weight
        longest = recipe.prepare.max_seconds or MAX_CUT_SECONDS
    for item in manifest_entries(recipe, sources):
        totals.add(item, item.reason)
        if item.reason is None and item.split == "train":
            weight = recipe.data[item.source].weight
            copies = len(variant_numbers(recipe, item))
            rows[weight] += copies
            seconds += item.seconds * copies * weight
            longest = max(longest, item.seconds)
    if not sum(rows.values()):
        unread = f"{sum(source.recordings for source in raw):,} recordings have no readable sound; " if raw else ""
        held = "; lower train.validation" if totals.clips["validation"] else ""
        raise DataError(f"no clip can be trained on: {unread}{totals.describe()}{held}")
    return totals, sum(max(1, round(weight * count)) for weight, count in rows.items()), seconds, longest


def _measured_flops(device: object, precision: str) -> float:
    """Measure the operations per second of a training's matrix products; it takes about 0.1 s."""
    import torch

    torch_device = torch.device(str(device))
    dtype = weights_dtype(precision, torch_device, "lora")
    rate = _product_flops(torch_device, dtype)
    if torch_device.type == "cpu" and dtype != torch.float32:
        rate = min(rate, _HALF_PRECISION_GAIN * _product_flops(torch_device, torch.float32))
    return rate


def _product_flops(torch_device: torch.device, dtype: torch.dtype) -> float:
    """Measure the operations per second of a matrix product, the best of four."""
    import torch

    a = torch.randn(1024, 1024, device=torch_device, dtype=dtype)
    best = math.inf
    for _ in range(4):
        started = time.perf_counter()
        a @ a
        if torch_device.type != "cpu":
            torch.get_device_module(torch_device).synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * 1024**3 / best


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min {rest % 60} s"
