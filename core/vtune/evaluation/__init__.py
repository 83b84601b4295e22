"""Measure voices beside their untuned base: word errors, similarity to the speaker, endings and more."""

from vtune.contract.metrics import (
    BASE,
    RECORDING,
    VOICE,
    Metric,
    MetricMaker,
    MetricResult,
    MetricSpec,
    MetricValues,
    Ratio,
    TestSet,
    Utterance,
)
from vtune.evaluation.checkpoint_metrics import load_checkpoint_metrics
from vtune.evaluation.evaluation_run import Evaluation, evaluate
from vtune.evaluation.metric_registry import may_read_numbers, metric_makers, metric_specs
from vtune.evaluation.read_scores import read_scores
from vtune.evaluation.scores import Score, Scores, score
from vtune.evaluation.selection import QUALITY, Selection, check_metrics, read_selection
from vtune.evaluation.synthesis import (
    System,
    synthesize_all,
    synthesize_train_sentences,
    system_of,
    tuned_and_base,
    with_numbers,
)
from vtune.evaluation.test_set import held_out_test_set, unique_texts

__all__ = [
    "BASE",
    "QUALITY",
    "RECORDING",
    "VOICE",
    "Evaluation",
    "Metric",
    "MetricMaker",
    "MetricResult",
    "MetricSpec",
    "MetricValues",
    "Ratio",
    "Score",
    "Scores",
    "Selection",
    "System",
    "TestSet",
    "Utterance",
    "check_metrics",
    "evaluate",
    "held_out_test_set",
    "load_checkpoint_metrics",
    "may_read_numbers",
    "metric_makers",
    "metric_specs",
    "read_scores",
    "read_selection",
    "score",
    "synthesize_all",
    "synthesize_train_sentences",
    "system_of",
    "tuned_and_base",
    "unique_texts",
    "with_numbers",
]
