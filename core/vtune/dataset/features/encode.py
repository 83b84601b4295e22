"""Encode the clips that the store does not hold yet, divided among ranks and worker processes.

While one clip is encoded, the next clips are read.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from vtune import audio
from vtune.audio.augment import Augmenter
from vtune.dataset.features.index import KEY_CHARACTERS, FeatureIndex
from vtune.dataset.features.manifest import ManifestEntry, open_sources, read_manifest
from vtune.dataset.features.store import EncodeResult, FeatureStore
from vtune.dataset.sources.source import Source
from vtune.engines import Engine, engine_files, import_engine_files, load_engine
from vtune.errors import DataError, SkipClip
from vtune.recipe import Recipe
from vtune.runtime import signals
from vtune.runtime.progress import track
from vtune.runtime.workers import WorkerPool
from vtune.types import Clip
from vtune.types.options import features_values

logger = logging.getLogger(__name__)

SHARD_CLIPS = 256
"""Clips per shard. A killed run has to encode at most this many clips again."""

READ_AHEAD_CLIPS = 2
"""Clips that are read ahead: at most this many waveforms wait in memory."""


@dataclass(frozen=True, slots=True)
class RankShard:
    """The clips that one rank or process encodes: number ``index``, ``index + count``, ``index + 2 count``, ..."""

    index: int
    count: int


def base_key(recipe: Recipe, engine: Engine, base: Any) -> str:
    """Return the hash of everything except the clip that its features depend on, 64 hexadecimal digits."""
    parts = {
        "engine": engine.name,
        "features_version": engine.info.features_version,
        "sample_rate": engine.info.sample_rate,
        "options": features_values(recipe.engine_options),
        "extensions": {name: features_values(options) for name, options in recipe.extensions.items()},
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


def encode(
    recipe: Recipe, engine: Engine, base: Any, sources: list[Source], manifest: Path, store: Path, shard: RankShard
) -> None:
    """Encode the clips of this rank's shard that the store does not hold yet.

    Memory: one clip at a time, whatever their number, and the keys of the store (about 100 bytes each).

    :raises RecipeError: a transform in ``augment`` does not exist or does not accept its arguments.
    :raises DataError: a worker process was killed.
    """
    Augmenter(recipe.augment)  # a mistake in the recipe is reported here, not in a worker
    key = base_key(recipe, engine, base)
    job = _EncodeJob(recipe, engine.name, key, manifest, store, shard)
    processes = recipe.encode.processes
    if processes == 1:
        _encode_shard(job, engine, base, sources)
        return
    first = shard.index * processes
    jobs = [
        _EncodeJob(recipe, engine.name, key, manifest, store, RankShard(first + process, shard.count * processes))
        for process in range(processes)
    ]
    try:
        with WorkerPool(processes, import_engine_files, engine_files()) as pool:
            list(pool.map(_encode_in_worker, jobs))
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
    manifest: Path
    store: Path
    shard: RankShard


def _encode_in_worker(job: _EncodeJob) -> None:
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // job.recipe.encode.processes))
    engine = load_engine(job.engine)
    base = engine.load_base(job.recipe.engine_options, torch.device("cpu"), torch.float32)
    _encode_shard(job, engine, base, open_sources(job.recipe))


def _encode_shard(job: _EncodeJob, engine: Engine, base: Any, sources: list[Source]) -> None:
    store = FeatureStore(job.store)
    index = store.index()
    augmenter = Augmenter(job.recipe.augment)
    pending: list[EncodeResult] = []
    pending_count = sum(1 for _ in _pending_clips(job, index))
    task = "encoding" if job.shard.count == 1 else f"encoding (process 1 of {job.shard.count})"
    clips = _read_ahead(job.recipe, engine, sources, _pending_clips(job, index))
    visible = job.shard.index == 0
    with signals.deferred():
        for entry, key, variant, clip in track(clips, task, pending_count, "clips", visible=visible):
            pending.append(_encode_one(engine, base, augmenter, clip, entry, key, variant))
            if len(pending) == SHARD_CLIPS or signals.requested():
                store.write(pending)
                pending = []
            signals.check()
        if pending:
            store.write(pending)


def _pending_clips(job: _EncodeJob, index: FeatureIndex) -> Iterator[tuple[ManifestEntry, str, int]]:
    usable = (entry for entry in read_manifest(job.manifest) if entry.reason is None)
    for ordinal, entry in enumerate(usable):
        if ordinal % job.shard.count != job.shard.index:
            continue
        for variant in variant_numbers(job.recipe, entry):
            key = clip_key(job.key, entry, job.recipe, variant)
            if key not in index:
                yield entry, key, variant


def _read_ahead(
    recipe: Recipe, engine: Engine, sources: list[Source], pending: Iterable[tuple[ManifestEntry, str, int]]
) -> Iterator[tuple[ManifestEntry, str, int, Future[Clip]]]:
    """Read clips in their order on another thread.

    Augmented copies are made on the main thread, because the transforms use global random generators.
    """
    waiting: deque[tuple[ManifestEntry, str, int, Future[Clip]]] = deque()
    with ThreadPoolExecutor(1, "reading") as reader:
        for entry, key, variant in pending:
            reading = reader.submit(load_clip, recipe, engine, sources[entry.source], entry)
            waiting.append((entry, key, variant, reading))
            if len(waiting) > READ_AHEAD_CLIPS:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()


def _encode_one(
    engine: Engine, base: Any, augmenter: Augmenter, reading: Future[Clip], entry: ManifestEntry, key: str, variant: int
) -> EncodeResult:
    try:
        clip = reading.result()
        if variant:
            changed = augmenter.variant(clip.waveform, clip.sample_rate, entry.digest, variant)
            clip = Clip(clip.id, clip.voice, clip.text, changed, clip.sample_rate)
        features = engine.prepare_sample(base, clip)
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
