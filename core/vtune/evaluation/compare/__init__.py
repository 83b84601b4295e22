"""Voices beside each other: their bases, their checkpoints, other voices; spoken, measured, and written out."""

from vtune.evaluation.compare.comparison import Comparison, compare, gather_test_set, recipe_of
from vtune.evaluation.compare.contestants import Contestant, checkpoint_names, contestants, first_voice

__all__ = [
    "Comparison",
    "Contestant",
    "checkpoint_names",
    "compare",
    "contestants",
    "first_voice",
    "gather_test_set",
    "recipe_of",
]
