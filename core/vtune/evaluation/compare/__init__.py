"""Voices beside each other: their bases, their checkpoints, other voices; spoken, measured, and written out."""

from vtune.evaluation.compare.comparison import Comparison, compare, gather_test_set, recipe_of
from vtune.evaluation.compare.contestants import Contestant, contestants, first_voice

__all__ = [
    "Comparison",
    "Contestant",
    "compare",
    "contestants",
    "first_voice",
    "gather_test_set",
    "recipe_of",
]
