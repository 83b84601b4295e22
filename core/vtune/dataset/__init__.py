"""Turn sources into training data: list the clips, split them, encode each once, and record each in the ledger."""

from vtune.dataset.features.build import TrainingData, best_clips, build_training_data
from vtune.dataset.features.encode import RankShard
from vtune.dataset.features.entry import ManifestEntry
from vtune.dataset.features.holdout import held_out_clips, impostor_clips, training_texts
from vtune.dataset.features.ledger import ClipTotals, LedgerWriter
from vtune.dataset.features.manifest import (
    MANIFEST_NAME,
    clip_fingerprint_sample,
    in_validation,
    manifest_entries,
    open_numbered_source,
    open_sources,
    read_manifest,
)
from vtune.dataset.features.rows import FeatureRows
from vtune.dataset.features.store import FeatureStore
from vtune.dataset.sources.detect import dividing_folders, find_raw, folder_question, notes_on_words, open_source
from vtune.dataset.sources.source import Row, Source

__all__ = [
    "MANIFEST_NAME",
    "ClipTotals",
    "FeatureRows",
    "FeatureStore",
    "LedgerWriter",
    "ManifestEntry",
    "RankShard",
    "Row",
    "Source",
    "TrainingData",
    "best_clips",
    "build_training_data",
    "clip_fingerprint_sample",
    "dividing_folders",
    "find_raw",
    "folder_question",
    "held_out_clips",
    "impostor_clips",
    "in_validation",
    "manifest_entries",
    "notes_on_words",
    "open_numbered_source",
    "open_source",
    "open_sources",
    "read_manifest",
    "training_texts",
]
