"""The YAML recipe: read with its line numbers, overridden, checked as a whole, typed."""

from vtune.recipe.builtin import builtin_recipes, find_recipe
from vtune.recipe.checking import check_recipe
from vtune.recipe.differing import Difference, differences
from vtune.recipe.draft import Draft
from vtune.recipe.overrides import apply_overrides
from vtune.recipe.reading import read_draft
from vtune.recipe.schema import as_yaml, recipe_schema
from vtune.recipe.sections import (
    AugmentRecipe,
    ConsentRecipe,
    EncodeRecipe,
    EvaluateRecipe,
    LoraRecipe,
    PrepareRecipe,
    Recipe,
    SourceRecipe,
    TrainRecipe,
    TranscribeRecipe,
)
from vtune.recipe.standing import source_paths, standing_alone

__all__ = [
    "AugmentRecipe",
    "ConsentRecipe",
    "Difference",
    "Draft",
    "EncodeRecipe",
    "EvaluateRecipe",
    "LoraRecipe",
    "PrepareRecipe",
    "Recipe",
    "SourceRecipe",
    "TrainRecipe",
    "TranscribeRecipe",
    "apply_overrides",
    "as_yaml",
    "builtin_recipes",
    "check_recipe",
    "differences",
    "find_recipe",
    "read_draft",
    "recipe_schema",
    "source_paths",
    "standing_alone",
]
