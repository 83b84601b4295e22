"""Sources to clips to features: surveyed, split, encoded once, and accounted for in the ledger."""

from vtune.dataset.build import TrainingData, best_clips, build
from vtune.dataset.detecting import find_raw, open_source
from vtune.dataset.encoding import Share
from vtune.dataset.held import held_out, of_strangers, trained_words
from vtune.dataset.ledger import LedgerWriter, Totals
from vtune.dataset.rows import FeatureRows
from vtune.dataset.sources import Row, Source
from vtune.dataset.store import FeatureStore
from vtune.dataset.survey import SURVEY, Item, clip_sample, in_validation, open_sources, read_survey, survey

__all__ = [
    "SURVEY",
    "FeatureRows",
    "FeatureStore",
    "Item",
    "LedgerWriter",
    "Row",
    "Share",
    "Source",
    "Totals",
    "TrainingData",
    "best_clips",
    "build",
    "clip_sample",
    "find_raw",
    "held_out",
    "in_validation",
    "of_strangers",
    "open_source",
    "open_sources",
    "read_survey",
    "survey",
    "trained_words",
]
