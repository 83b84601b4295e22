"""Voices beside each other: their bases, their checkpoints, other voices; heard, scored, and written out."""

from vtune.evaluation.compare.compare import Comparison, compare, material_of, recipe_of
from vtune.evaluation.compare.contestants import Contestant, contestants, first_voice
from vtune.evaluation.compare.table import table

__all__ = [
    "Comparison",
    "Contestant",
    "compare",
    "contestants",
    "first_voice",
    "material_of",
    "recipe_of",
    "table",
]
