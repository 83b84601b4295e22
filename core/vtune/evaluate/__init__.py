"""Voices judged as people do: is it the person, are the words there, does it end; against the untuned base."""

from vtune.evaluate.evaluation import Evaluation, evaluate
from vtune.evaluate.scores import Score, Scores, score
from vtune.evaluate.takes import Take, speak_all

__all__ = ["Evaluation", "Score", "Scores", "Take", "evaluate", "score", "speak_all"]
