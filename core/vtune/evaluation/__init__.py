"""Voices judged as people do: are the words there, is it the person, does it end; against the untuned base."""

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
from vtune.evaluation.checkpoints import listener
from vtune.evaluation.evaluate import Evaluation, evaluate
from vtune.evaluation.metrics.registry import judges
from vtune.evaluation.read_scores import read_scores
from vtune.evaluation.scores import Score, Scores, score
from vtune.evaluation.selection import quality
from vtune.evaluation.synthesis import System, speak_all, speak_trained, system_of, tuned_and_base
from vtune.evaluation.test_set import held_material, once_each

__all__ = [
    "BASE",
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
    "System",
    "TestSet",
    "Utterance",
    "evaluate",
    "held_material",
    "judges",
    "listener",
    "once_each",
    "quality",
    "read_scores",
    "score",
    "speak_all",
    "speak_trained",
    "system_of",
    "tuned_and_base",
]
