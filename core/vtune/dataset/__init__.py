"""Sources to clips to features: surveyed, split, encoded once, and accounted for in the ledger."""

from vtune.dataset.features.build import TrainingData, best_clips, build
from vtune.dataset.features.encode import RankShard
from vtune.dataset.features.holdout import held_out, impostor_clips, trained_words
from vtune.dataset.features.ledger import LedgerWriter, Totals
from vtune.dataset.features.manifest import (
    SURVEY,
    ManifestEntry,
    clip_sample,
    in_validation,
    open_sources,
    read_survey,
    survey,
)
from vtune.dataset.features.rows import FeatureRows
from vtune.dataset.features.store import FeatureStore
from vtune.dataset.sources.detect import find_raw, open_source
from vtune.dataset.sources.source import Row, Source

__all__ = [
    "SURVEY",
    "FeatureRows",
    "FeatureStore",
    "LedgerWriter",
    "ManifestEntry",
    "RankShard",
    "Row",
    "Source",
    "Totals",
    "TrainingData",
    "best_clips",
    "build",
    "clip_sample",
    "find_raw",
    "held_out",
    "impostor_clips",
    "in_validation",
    "open_source",
    "open_sources",
    "read_survey",
    "survey",
    "trained_words",
]
