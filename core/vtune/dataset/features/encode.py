"""Encode the clips that the store does not hold yet, divided among ranks and worker processes.

While one clip is encoded, the next clips are read.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from heapq import heapreplace
from pathlib import Path
from typing import Any

from vtune import audio
from vtune.audio.augment import Augmenter
from vtune.dataset.features.entry import ManifestEntry
from vtune.dataset.features.index import KEY_CHARACTERS, FeatureIndex
from vtune.dataset.features.manifest import open_sources, read_manifest
from vtune.dataset.features.rows import bytes_of
from vtune.dataset.features.store import EncodeResult, FeatureStore
from vtune.dataset.sources.source import Source
from vtune.engines import FEATURES_HOOKS, Engine, engine_files, engine_of, import_engine_files
from vtune.errors import DataError, EngineError, SkipClip
from vtune.recipe import Recipe
from vtune.runtime import signals
from vtune.runtime.distributed.shared_files import POLL_SECONDS, VISIBLE_SECONDS
from vtune.runtime.progress import track
from vtune.runtime.workers import WorkerPool
from vtune.types import Clip
from vtune.types.options import features_values

logger = logging.getLogger(__name__)

SHARD_CLIPS = 256
"""Largest number of clips of a shard. A killed run has to encode at most this many clips again."""

SHARD_BYTES = 64 << 20
"""Bytes after which a shard is written, which its clips take in memory until then: 35 spectrograms of ten seconds."""

READ_AHEAD_CLIPS = 2
"""Clips that are read ahead: at most this many waveforms wait in memory."""


@dataclass(frozen=True, slots=True)
class RankShard:
    """The clips that one rank or process encodes: share ``index`` of ``count`` shares with equal seconds.

    Each clip belongs to the share that has the fewest seconds so far. Every process computes the same shares.
    """

    index: int
    count: int


def base_key(recipe: Recipe, engine: Engine, base: Any) -> str:
    """Return the hash of everything except the clip that its features depend on, 64 hexadecimal digits."""
    parts = {
        "engine": engine.name,
        "features_version": engine.info.features_version,
        "sample_rate": engine.info.sample_rate,
        "options": features_values(recipe.engine_options),
        "extensions": engine.extension_identity(recipe.extensions, features_values, FEATURES_HOOKS),
        "fingerprint": engine.features_fingerprint(base),
        "loudness": recipe.prepare.target_loudness and [recipe.prepare.target_loudness, recipe.prepare.loudness],
    }
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def clip_key(base: str, entry: ManifestEntry, recipe: Recipe, variant: int) -> str:
    """Return the store key of one clip, or of one augmented copy of it: 32 hexadecimal digits.

    The key covers everything that the features depend on.

    :param variant: 0 for the clip itself, else the number of the copy.
    """
    augmentation = recipe.augment.model_dump_json(include={"seed", "transforms"}) if variant else ""
    content = f"{base}\n{entry.digest}\n{entry.voice}\n{entry.text}\n{variant}\n{augmentation}"
    return sha256(content.encode()).hexdigest()[:KEY_CHARACTERS]


def variant_numbers(recipe: Recipe, entry: ManifestEntry) -> range:
    """Return the numbers of a clip's variants: 0 is the clip itself; only training clips have augmented copies."""
    return range(1 + (recipe.augment.variants if entry.split == "train" and recipe.augment.transforms else 0))


@dataclass(frozen=True, slots=True)
class StoredData:
    """What the encoding starts from; the same for all processes of a launch.

    :param manifest: the clips.
    :param store: folder of the features.
    :param shards: names of the complete shards of the store.
    """

    manifest: Path
    store: Path
    shards: list[str]


def encode(
    recipe: Recipe, engine: Engine, base: Any, sources: list[Source], stored: StoredData, shard: RankShard
) -> list[str]:
    """Encode the clips of this rank's shard that the store does not hold yet, and return the new shards of the store.

    Memory: one clip at a time, whatever their number, and the keys of the store (about 100 bytes each).

    :raises RecipeError: a transform in ``augment`` does not exist or does not accept its arguments.
    :raises DataError: a worker process was killed.
    """
    Augmenter(recipe.augment)  # a mistake in the recipe is reported here, not in a worker
    key = base_key(recipe, engine, base)
    processes = recipe.encode.processes
    if processes == 1:
        return _encode_shard(_EncodeJob(recipe, engine.name, key, stored, shard), engine, base, sources)
    first = shard.index * processes
    shards = [RankShard(first + process, shard.count * processes) for process in range(processes)]
    jobs = [_EncodeJob(recipe, engine.name, key, stored, each) for each in shards]
    try:
        with WorkerPool(processes, import_engine_files, engine_files()) as pool:
            return [name for names in pool.map(_encode_in_worker, jobs) for name in names]
    except BrokenProcessPool as error:
        raise DataError(
            f"one of {processes} encoding processes was killed, most likely because memory ran out; "
            "run again with fewer encode.processes (encoded clips are kept)"
        ) from error


@dataclass(frozen=True, slots=True)
class _EncodeJob:
    recipe: Recipe
    engine: str
    key: str
    stored: StoredData
    shard: RankShard


def _encode_in_worker(job: _EncodeJob) -> list[str]:
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // job.recipe.encode.processes))
    engine = engine_of(job.recipe)
    base = engine.load_base(job.recipe.engine_options, torch.device("cpu"), torch.float32)
    return _encode_shard(job, engine, base, open_sources(job.recipe))


def _encode_shard(job: _EncodeJob, engine: Engine, base: Any, sources: list[Source]) -> list[str]:
    store, written = FeatureStore(job.stored.store), list[str]()
    index = store.index(job.stored.shards)
    augmenter = Augmenter(job.recipe.augment)
    pending: list[EncodeResult] = []
    pending_bytes = 0
    pending_count = sum(1 for _ in _pending_clips(job, index))
    task = "encoding" if job.shard.count == 1 else f"encoding (process 1 of {job.shard.count})"
    clips = _read_ahead(job, engine, sources, _pending_clips(job, index))
    visible = job.shard.index == 0
    with signals.deferred():
        for entry, key, variant, clip in track(clips, task, pending_count, "clips", visible=visible):
            reading = partial(_variant, augmenter, clip, entry, variant)
            result = _encode_one(job.recipe, engine, base, reading, key)
            pending.append(result)
            pending_bytes += bytes_of(result.features or {})
            if len(pending) == SHARD_CLIPS or pending_bytes >= SHARD_BYTES or signals.requested():
                written.append(_write(store, pending, engine))
                pending, pending_bytes = [], 0
            signals.check()
        if pending:
            written.append(_write(store, pending, engine))
    return written


def _write(store: FeatureStore, results: list[EncodeResult], engine: Engine) -> str:
    try:
        return store.write(results)
    except EngineError as error:
        raise EngineError(f"{engine.title('prepare_sample')} {error}") from error


def _pending_clips(job: _EncodeJob, index: FeatureIndex) -> Iterator[tuple[ManifestEntry, str, int]]:
    # A heap of (seconds so far, share): a killed rank's clips are divided anew among all ranks at the next start.
    shares = [(0.0, share) for share in range(job.shard.count)]
    usable = (entry for entry in read_manifest(job.stored.manifest) if entry.reason is None)
    for entry in usable:
        for variant in variant_numbers(job.recipe, entry):
            key = clip_key(job.key, entry, job.recipe, variant)
            if key in index:
                continue
            seconds, share = shares[0]
            heapreplace(shares, (seconds + entry.seconds, share))
            if share == job.shard.index:
                yield entry, key, variant


def _read_ahead(
    job: _EncodeJob, engine: Engine, sources: list[Source], pending: Iterable[tuple[ManifestEntry, str, int]]
) -> Iterator[tuple[ManifestEntry, str, int, Future[Clip]]]:
    """Read clips in their order on another thread.

    Augmented copies are made on the main thread, because the transforms use global random generators.
    """
    waiting: deque[tuple[ManifestEntry, str, int, Future[Clip]]] = deque()
    # The main process has seen every clip of the manifest; a shared folder may show a clip to another rank later.
    deadline = time.monotonic() + (VISIBLE_SECONDS if job.shard.index else 0.0)
    with ThreadPoolExecutor(1, "reading") as reader:
        for entry, key, variant in pending:
            reading = reader.submit(_load_until, deadline, job.recipe, engine, sources[entry.source], entry)
            waiting.append((entry, key, variant, reading))
            if len(waiting) > READ_AHEAD_CLIPS:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()


def _load_until(deadline: float, recipe: Recipe, engine: Engine, source: Source, entry: ManifestEntry) -> Clip:
    """Read one clip; if that fails, try again until the deadline."""
    while True:
        try:
            return load_clip(recipe, engine, source, entry)
        except DataError:
            if time.monotonic() + POLL_SECONDS > deadline:
                raise
            time.sleep(POLL_SECONDS)


def _variant(augmenter: Augmenter, reading: Future[Clip], entry: ManifestEntry, variant: int) -> Clip:
    clip = reading.result()
    if not variant:
        return clip
    return replace(clip, waveform=augmenter.variant(clip.waveform, clip.sample_rate, entry.digest, variant))


def _encode_one(recipe: Recipe, engine: Engine, base: Any, read_clip: Callable[[], Clip], key: str) -> EncodeResult:
    try:
        features = engine.prepare_sample(base, read_clip(), recipe.engine_options)
    except SkipClip as reason:
        return EncodeResult(key, None, 0, str(reason))
    except DataError as error:
        return EncodeResult(key, None, 0, str(error), retry=True)
    return EncodeResult(key, features, len(features[engine.info.length_feature]))


def load_clip(recipe: Recipe, engine: Engine, source: Source, entry: ManifestEntry) -> Clip:
    """Read one clip at the engine's sample rate and the recipe's loudness.

    :raises DataError: the recording cannot be read.
    """
    try:
        rate = source.rate(entry.audio) if engine.info.clips_as_recorded else engine.info.sample_rate
        waveform = source.load(entry.audio, rate)
    except OSError as error:
        raise DataError(f"{entry.audio} cannot be read: {error.strerror}") from error
    if recipe.prepare.target_loudness is not None:
        waveform = audio.bring_to(waveform, rate, recipe.prepare.target_loudness, recipe.prepare.loudness)
    return Clip(entry.digest[:16], entry.voice, entry.text, waveform, rate)
