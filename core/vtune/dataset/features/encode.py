"""Clips to features, once: what is not in the store is encoded, spread over ranks and worker processes.

The next clips are read while one is encoded.
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
from vtune.dataset.features.index import KEY_LENGTH, FeatureIndex
from vtune.dataset.features.manifest import ManifestEntry, open_sources, read_survey
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

SHARD = 256
"""Clips a shard: what a killed run has to encode again, at most."""

AHEAD = 2
"""Clips that are read before their turn: so many waveforms wait in memory, at most."""


@dataclass(frozen=True, slots=True)
class RankShard:
    """Which part of the work is mine: clips ``index``, ``index + of``, ``index + 2 of``, ..."""

    index: int
    of: int


def base_key(recipe: Recipe, engine: Engine, base: Any) -> str:
    """Hash everything beside the clip that features depend on."""
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


def item_key(base: str, item: ManifestEntry, recipe: Recipe, variant: int) -> str:
    """Hash one clip, or one changed copy of it, with all that its features depend on."""
    changed = recipe.augment.model_dump_json(include={"seed", "transforms"}) if variant else ""
    return sha256(f"{base}\n{item.digest}\n{item.voice}\n{item.text}\n{variant}\n{changed}".encode()).hexdigest()[
        :KEY_LENGTH
    ]


def variants(recipe: Recipe, item: ManifestEntry) -> range:
    """Numbers of a clip's copies: 0 is the clip itself; only training clips have others."""
    return range(1 + (recipe.augment.variants if item.split == "train" and recipe.augment.transforms else 0))


def encode(
    recipe: Recipe, engine: Engine, base: Any, sources: list[Source], survey: Path, store: Path, share: RankShard
) -> None:
    """Encode this rank's share of what is not in the store yet.

    Time and memory: one clip at a time, whatever their number; the store's keys are held (about 60 bytes each).

    :raises RecipeError: a transform of ``augment`` does not exist or does not take its arguments.
    :raises DataError: a worker process was killed.
    """
    Augmenter(recipe.augment)  # a mistake there shall show here, not in a worker
    key = base_key(recipe, engine, base)
    work = _Work(recipe, engine.name, key, survey, store, share)
    processes = recipe.encode.processes
    if processes == 1:
        _encode_share(work, engine, base, sources)
        return
    parts = [
        _Work(recipe, engine.name, key, survey, store, RankShard(share.index * processes + p, share.of * processes))
        for p in range(processes)
    ]
    try:
        with WorkerPool(processes, import_engine_files, engine_files()) as pool:
            list(pool.map(_encode_in_worker, parts))
    except BrokenProcessPool as error:
        raise DataError(
            f"one of {processes} encoding processes was killed, most likely for memory; "
            "run again with fewer encode.processes (what is encoded is kept)"
        ) from error


@dataclass(frozen=True, slots=True)
class _Work:
    recipe: Recipe
    engine: str
    key: str
    survey: Path
    store: Path
    share: RankShard


def _encode_in_worker(work: _Work) -> None:
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // work.recipe.encode.processes))
    engine = load_engine(work.engine)
    base = engine.load_base(work.recipe.engine_options, torch.device("cpu"), torch.float32)
    _encode_share(work, engine, base, open_sources(work.recipe))


def _encode_share(work: _Work, engine: Engine, base: Any, sources: list[Source]) -> None:
    store = FeatureStore(work.store)
    known = store.known()
    augmenter = Augmenter(work.recipe.augment)
    pending: list[EncodeResult] = []
    todo = sum(1 for _ in _mine(work, known))
    task = "encoding" if work.share.of == 1 else f"encoding (process 1 of {work.share.of})"
    clips = _read_ahead(work.recipe, engine, sources, _mine(work, known))
    with signals.deferred():
        for item, key, number, clip in track(clips, task, todo, "clips", visible=work.share.index == 0):
            pending.append(_encode_one(engine, base, augmenter, clip, item, key, number))
            if len(pending) == SHARD or signals.requested():
                store.write(pending)
                pending = []
            signals.check()
        if pending:
            store.write(pending)


def _mine(work: _Work, known: FeatureIndex) -> Iterator[tuple[ManifestEntry, str, int]]:
    usable = (item for item in read_survey(work.survey) if item.reason is None)
    for ordinal, item in enumerate(usable):
        if ordinal % work.share.of != work.share.index:
            continue
        for number in variants(work.recipe, item):
            key = item_key(work.key, item, work.recipe, number)
            if key not in known:
                yield item, key, number


def _read_ahead(
    recipe: Recipe, engine: Engine, sources: list[Source], work: Iterable[tuple[ManifestEntry, str, int]]
) -> Iterator[tuple[ManifestEntry, str, int, Future[Clip]]]:
    """Read clips on one thread, in their order. Changed copies are not made there: they draw from global chance."""
    waiting: deque[tuple[ManifestEntry, str, int, Future[Clip]]] = deque()
    with ThreadPoolExecutor(1, "reading") as reader:
        for item, key, number in work:
            waiting.append((item, key, number, reader.submit(load_clip, recipe, engine, sources[item.source], item)))
            if len(waiting) > AHEAD:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()


def _encode_one(
    engine: Engine, base: Any, augmenter: Augmenter, read: Future[Clip], item: ManifestEntry, key: str, number: int
) -> EncodeResult:
    try:
        clip = read.result()
        if number:
            changed = augmenter.variant(clip.waveform, clip.sample_rate, item.digest, number)
            clip = Clip(clip.id, clip.voice, clip.text, changed, clip.sample_rate)
        features = engine.prepare_sample(base, clip)
    except SkipClip as reason:
        return EncodeResult(key, None, 0, str(reason))
    except DataError as error:
        return EncodeResult(key, None, 0, str(error), again=True)
    return EncodeResult(key, features, len(features[engine.info.length_feature]))


def load_clip(recipe: Recipe, engine: Engine, source: Source, item: ManifestEntry) -> Clip:
    """Read one clip of a survey as its engine wants it. :raises DataError: the recording cannot be read."""
    try:
        rate = source.rate(item.audio) if engine.info.clips_as_recorded else engine.info.sample_rate
        waveform = source.load(item.audio, rate)
    except OSError as error:
        raise DataError(f"{item.audio} cannot be read: {error.strerror}") from error
    if recipe.prepare.target_loudness is not None:
        waveform = audio.bring_to(waveform, rate, recipe.prepare.target_loudness, recipe.prepare.loudness)
    return Clip(item.digest[:16], item.voice, item.text, waveform, rate)
