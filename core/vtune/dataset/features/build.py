"""Sources to a data set that can be trained on, and the ledger of what became of every clip."""

from __future__ import annotations

import logging
import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from heapq import nsmallest
from pathlib import Path
from typing import Any

from vtune.dataset.features.encode import RankShard, base_key, encode, item_key, load_clip, variants
from vtune.dataset.features.index import FeatureIndex
from vtune.dataset.features.ledger import LedgerWriter, Totals, kind_of
from vtune.dataset.features.manifest import SURVEY, open_sources, read_survey, survey, write_survey
from vtune.dataset.features.pairs import PairedRows, Partners
from vtune.dataset.features.store import FeatureStore
from vtune.engines import Engine
from vtune.errors import DataError
from vtune.recipe import Recipe
from vtune.runtime.distributed.ranks import is_main_process
from vtune.runtime.paths import RunFolder
from vtune.types import Clip

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Encoded clips, ready for the loop.

    :param train: rows in the order of the sources; ``validation`` likewise, None where there is none.
    :param weights: of each training row, from its source.
    :param lengths: of each training row, in the engine's tokens.
    :param fingerprint: of the base, as far as a voice needs it to speak.
    :param identity: hash of all rows in their order, with splits and weights.
    """

    train: PairedRows
    validation: PairedRows | None
    weights: list[float]
    lengths: list[int]
    totals: Totals
    fingerprint: dict[str, str]
    identity: str

    @property
    def voices(self) -> list[str]:
        """Every voice that has clips, the one with most first."""
        return [voice for voice, _ in self.totals.voices.most_common()]


def build(
    recipe: Recipe, engine: Engine, base: Any, run: RunFolder, share: RankShard, barrier: Callable[[], None]
) -> TrainingData:
    """Survey, encode what is new, and write the ledger; every rank calls this and gets the same data.

    :param share: which of how many ranks this is.
    :param barrier: waits for all ranks.
    :raises DataError: no clip can be trained on; says what became of them.
    """
    started = time.monotonic()
    sources = open_sources(recipe)
    listing = run.features / SURVEY
    if is_main_process():
        for place, source in enumerate(sources):
            for line in source.description:
                logger.info("data.%d: %s", place, line)
        store = FeatureStore(run.features)
        store.sweep() if recipe.encode.cache else store.clear()
        write_survey(listing, survey(recipe, sources))
    barrier()
    before = len(FeatureStore(run.features).known())
    barrier()
    encode(recipe, engine, base, sources, listing, run.features, share)
    barrier()
    known = FeatureStore(run.features).known()
    count = len(known) - before
    data = _gather(recipe, engine, base, run, listing, known)
    barrier()
    logger.info("%s", data.totals.describe())
    logger.info("features: %s encoded now, the others before; %.1f s", f"{count:,}", time.monotonic() - started)
    return data


def best_clips(recipe: Recipe, engine: Engine, base: Any, run: RunFolder, voice: str, count: int = 8) -> list[Clip]:
    """Read clips of one voice for its conditioning, best first: training clips, those nearest to 6 s in front.

    Those that could not be encoded are left out.
    """
    key, known = base_key(recipe, engine, base), FeatureStore(run.features).known()
    usable = (item for item in read_survey(run.features / SURVEY) if item.reason is None and item.voice == voice)
    items = (item for item in usable if known[item_key(key, item, recipe, 0)].reason is None)
    best = nsmallest(count, items, key=lambda item: (item.split != "train", abs(item.seconds - 6.0), item.digest))
    sources = open_sources(recipe)
    return [load_clip(recipe, engine, sources[item.source], item) for item in best]


def _gather(
    recipe: Recipe, engine: Engine, base: Any, run: RunFolder, listing: Path, known: FeatureIndex
) -> TrainingData:
    key = base_key(recipe, engine, base)
    rows = {"train": array("q"), "validation": array("q")}
    voices, clips = ({"train": array("q"), "validation": array("q")} for _ in range(2))
    numbers: dict[str, int] = {}
    weights: list[float] = []
    lengths: list[int] = []
    refused: Counter[str] = Counter()
    identity = sha256()
    with LedgerWriter(run.ledger if is_main_process() else None) as ledger:
        for number, item in enumerate(read_survey(listing)):
            keys = [item_key(key, item, recipe, number) for number in variants(recipe, item)] if not item.reason else []
            found = [known[one] for one in keys]
            # A clip counts as used when it is itself in the data; changed copies alone would be another clip.
            reason = item.reason or found[0].reason
            usable = [] if reason else [(one, its) for one, its in zip(found, keys, strict=True) if one.reason is None]
            refused.update(kind_of(one.reason) for one in found[1:] if one.reason and not reason)
            ledger.add(item, reason, max(0, len(usable) - 1), usable[0][0].length if usable else 0)
            weight = recipe.data[item.source].weight
            for one, its_key in usable:
                rows[item.split].append(one.row)
                voices[item.split].append(numbers.setdefault(item.voice, len(numbers)))
                clips[item.split].append(number)
                identity.update(f"{its_key} {item.split} {weight}\n".encode())
                if item.split == "train":
                    weights.append(weight)
                    lengths.append(one.length)
    if not rows["train"]:
        raise DataError(f"no clip is left to train on: {ledger.totals.describe()}; the ledger is {run.ledger}")
    if refused and is_main_process():
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in refused.most_common(3))
        logger.warning("augment: %s changed copies cannot be used: %s", f"{refused.total():,}", reasons)
    among = known.select(rows["train"])
    partners = Partners(voices["train"], clips["train"], recipe.train.seed)
    names = engine.info.paired_features
    validation = None
    if rows["validation"]:
        held_out = known.select(rows["validation"])
        validation = PairedRows(held_out, voices["validation"], clips["validation"], partners, among, names)
    return TrainingData(
        PairedRows(among, voices["train"], clips["train"], partners, among, names),
        validation,
        weights,
        lengths,
        ledger.totals,
        engine.fingerprint(base),
        identity.hexdigest(),
    )
