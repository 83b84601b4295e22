"""The YAML recipe: read with its line numbers, overridden, checked as a whole, typed."""

from vtune.recipe.builtin import about_recipe, builtin_recipes, find_recipe
from vtune.recipe.data_sections import AugmentRecipe, EncodeRecipe, PrepareRecipe, SourceRecipe, TranscribeRecipe
from vtune.recipe.diff import Difference, differences
from vtune.recipe.draft import Draft
from vtune.recipe.json_schema import as_yaml, recipe_schema
from vtune.recipe.model import ConsentRecipe, EvaluateRecipe, LoraRecipe, Recipe, TrainRecipe
from vtune.recipe.overrides import apply_overrides, override_texts
from vtune.recipe.parse import read_draft
from vtune.recipe.portable import missing_sources, no_source, portable_recipe, source_paths
from vtune.recipe.validate import ExtensionKeys, check_recipe

__all__ = [
    "AugmentRecipe",
    "ConsentRecipe",
    "Difference",
    "Draft",
    "EncodeRecipe",
    "EvaluateRecipe",
    "ExtensionKeys",
    "LoraRecipe",
    "PrepareRecipe",
    "Recipe",
    "SourceRecipe",
    "TrainRecipe",
    "TranscribeRecipe",
    "about_recipe",
    "apply_overrides",
    "as_yaml",
    "builtin_recipes",
    "check_recipe",
    "differences",
    "find_recipe",
    "missing_sources",
    "no_source",
    "override_texts",
    "portable_recipe",
    "read_draft",
    "recipe_schema",
    "source_paths",
]
