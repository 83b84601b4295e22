"""Voices judged as people do: are the words there, is it the person, does it end; against the untuned base."""

from vtune.evaluate.checkpoints import listener
from vtune.evaluate.evaluation import Evaluation, evaluate
from vtune.evaluate.judges import Figure, Judge, Judged, JudgeMaker, Judgement, Share
from vtune.evaluate.judging import judges
from vtune.evaluate.material import Material, held_material, once_each
from vtune.evaluate.quality import quality
from vtune.evaluate.reading import read_scores
from vtune.evaluate.scores import Score, Scores, score
from vtune.evaluate.takes import (
    BASE,
    RECORDING,
    VOICE,
    System,
    Take,
    speak_all,
    speak_trained,
    system_of,
    tuned_and_base,
)

__all__ = [
    "BASE",
    "RECORDING",
    "VOICE",
    "Evaluation",
    "Figure",
    "Judge",
    "JudgeMaker",
    "Judged",
    "Judgement",
    "Material",
    "Score",
    "Scores",
    "Share",
    "System",
    "Take",
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
