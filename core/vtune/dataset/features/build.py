"""Build the training data of a run from its sources, and write the ledger."""

from __future__ import annotations

import logging
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from heapq import nsmallest
from pathlib import Path
from typing import Any

from vtune.dataset.features.encode import (
    RankShard,
    StoredData,
    base_key,
    clip_key,
    encode,
    load_clip,
    variant_numbers,
)
from vtune.dataset.features.index import FeatureIndex
from vtune.dataset.features.ledger import ClipTotals, LedgerWriter, describe_reasons, reason_kind
from vtune.dataset.features.manifest import MANIFEST_NAME, manifest_entries, open_sources, read_manifest, write_manifest
from vtune.dataset.features.pairs import PairedRows, PartnerSampler
from vtune.dataset.features.store import FeatureStore
from vtune.dataset.sources.source import Source
from vtune.engines import Engine
from vtune.errors import DataError
from vtune.recipe import Recipe
from vtune.runtime.distributed.rank_pool import ALONE, RankPool
from vtune.runtime.distributed.ranks import is_main_process
from vtune.runtime.distributed.shared_files import await_content, content_hash
from vtune.runtime.paths import RunFolder
from vtune.types import Clip

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Encoded clips, ready for training.

    :param train: training rows in the order of the sources.
    :param validation: validation rows in the same order; None if no clip is held out.
    :param weights: weight of each training row, from its source.
    :param lengths: length of each training row in the engine's tokens.
    :param fingerprint: identifies the base model that the voice needs to speak.
    :param identity: hash of all rows in their order, with their splits and weights.
    """

    train: PairedRows
    validation: PairedRows | None
    weights: list[float]
    lengths: list[int]
    totals: ClipTotals
    fingerprint: dict[str, str]
    identity: str

    @property
    def voices(self) -> list[str]:
        """The names of all voices with clips; the voice with the most clips comes first."""
        return [voice for voice, _ in self.totals.voices.most_common()]


def build_training_data(
    recipe: Recipe, engine: Engine, base: Any, run: RunFolder, pool: RankPool = ALONE
) -> TrainingData:
    """List the clips, encode the new ones, and write the ledger. Every rank calls this function and gets the same data.

    :param pool: the ranks that encode.
    :raises DataError: no clip can be trained on; the message counts the reasons.
    """
    started = time.monotonic()
    sources = open_sources(recipe)
    store = FeatureStore(run.features)
    manifest = run.features / MANIFEST_NAME
    shards, content = pool.from_main(lambda: _list_clips(recipe, sources, store, manifest))
    await_content(manifest, content)
    stored = StoredData(manifest, run.features, shards)
    written = encode(recipe, engine, base, sources, stored, RankShard(pool.rank, pool.world_size))
    shards = [*shards, *(name for names in pool.gather(written) for name in names)]
    feature_index = store.index(shards)
    encoded_count = len(feature_index) - len(store.index(stored.shards))
    data = _gather_rows(recipe, engine, base, run, manifest, feature_index)
    pool.wait()
    logger.info("%s", data.totals.describe())
    logger.info(
        "Features: %s of %s encoded in this run, the others were in the store (%.1f s)",
        f"{encoded_count:,}", f"{len(feature_index):,}", time.monotonic() - started,
    )  # fmt: skip
    return data


def _list_clips(
    recipe: Recipe, sources: Sequence[Source], store: FeatureStore, manifest: Path
) -> tuple[list[str], str]:
    """Write the manifest; return the complete shards of the store and the hash of the manifest."""
    for index, source in enumerate(sources):
        for line in source.description:
            logger.info("data.%d: %s", index, line)
    store.sweep() if recipe.encode.cache else store.clear()
    write_manifest(manifest, manifest_entries(recipe, sources))
    return store.shards(), content_hash(manifest)


def best_clips(recipe: Recipe, engine: Engine, base: Any, run: RunFolder, voice: str, count: int = 8) -> list[Clip]:
    """Read clips of one voice for its conditioning. Training clips with lengths nearest to 6 s come first.

    Clips that could not be encoded are left out.
    """
    key, feature_index = base_key(recipe, engine, base), FeatureStore(run.features).index()
    usable = (
        entry for entry in read_manifest(run.features / MANIFEST_NAME) if entry.reason is None and entry.voice == voice
    )
    entries = (entry for entry in usable if feature_index[clip_key(key, entry, recipe, 0)].reason is None)
    best = nsmallest(count, entries, key=lambda entry: (entry.split != "train", abs(entry.seconds - 6.0), entry.digest))
    sources = open_sources(recipe)
    return [load_clip(recipe, engine, sources[entry.source], entry) for entry in best]


def _gather_rows(
    recipe: Recipe, engine: Engine, base: Any, run: RunFolder, manifest: Path, feature_index: FeatureIndex
) -> TrainingData:
    key = base_key(recipe, engine, base)
    rows = {"train": array("q"), "validation": array("q")}
    voices, clips = ({"train": array("q"), "validation": array("q")} for _ in range(2))
    voice_numbers: dict[str, int] = {}
    weights: list[float] = []
    lengths: list[int] = []
    refused_variants: Counter[str] = Counter()
    refusals: dict[str, str] = {}
    identity = sha256()
    with LedgerWriter(run.ledger if is_main_process() else None) as ledger:
        for clip_number, entry in enumerate(read_manifest(manifest)):
            variants = () if entry.reason else variant_numbers(recipe, entry)
            keys = [clip_key(key, entry, recipe, variant) for variant in variants]
            results = [feature_index[variant_key] for variant_key in keys]
            # A clip counts as used if its own features are in the data; augmented copies alone do not count.
            reason = entry.reason or results[0].reason
            pairs = () if reason else zip(keys, results, strict=True)
            usable = [(variant_key, result) for variant_key, result in pairs if result.reason is None]
            for refusal in () if reason else filter(None, (result.reason for result in results[1:])):
                refused_variants[reason_kind(refusal)] += 1
                refusals.setdefault(reason_kind(refusal), refusal)
            ledger.add(entry, reason, max(0, len(usable) - 1), results[0].length if usable else 0)
            weight = recipe.data[entry.source].weight
            for variant_key, result in usable:
                rows[entry.split].append(result.row)
                voices[entry.split].append(voice_numbers.setdefault(entry.voice, len(voice_numbers)))
                clips[entry.split].append(clip_number)
                identity.update(f"{variant_key} {entry.split} {weight}\n".encode())
                if entry.split == "train":
                    weights.append(weight)
                    lengths.append(result.length)
    if not rows["train"]:
        raise DataError(f"no clip can be trained on: {ledger.totals.describe()}; {run.ledger} lists the reasons")
    if refused_variants and is_main_process():
        reasons = describe_reasons(refused_variants, refusals)
        logger.warning("augment: %s augmented copies cannot be used: %s", f"{refused_variants.total():,}", reasons)
    training_rows = feature_index.select(rows["train"])
    partners = PartnerSampler(voices["train"], clips["train"], recipe.train.seed)
    paired_names = engine.info.paired_features
    validation = None
    if rows["validation"]:
        held_out_rows = feature_index.select(rows["validation"])
        validation = PairedRows(
            held_out_rows, voices["validation"], clips["validation"], partners, training_rows, paired_names
        )
    return TrainingData(
        PairedRows(training_rows, voices["train"], clips["train"], partners, training_rows, paired_names),
        validation,
        weights,
        lengths,
        ledger.totals,
        engine.fingerprint(base),
        identity.hexdigest(),
    )
