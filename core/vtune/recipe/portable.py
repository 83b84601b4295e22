"""Make a recipe independent of the folder of its file."""

from __future__ import annotations

import os
from pathlib import Path

from vtune.recipe.model import Recipe


def source_paths(source: str, folder: Path) -> tuple[Path, Path]:
    """Return the two paths at which a source is looked up: from the current folder, then from the recipe's folder."""
    return Path(os.path.expanduser(source)), folder / source


def portable_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe with sources beside its file as paths from the current folder, so that the file can move."""

    def moved(source: str | None) -> str | None:
        if source is None:
            return None
        from_current, from_recipe = source_paths(source, recipe.folder)
        return (
            source if os.path.exists(from_current) or not os.path.exists(from_recipe) else os.path.relpath(from_recipe)
        )

    data = [source.model_copy(update={"source": moved(source.source)}) for source in recipe.data]
    evaluate = recipe.evaluate.model_copy(
        update={"source": moved(recipe.evaluate.source), "impostors": moved(recipe.evaluate.impostors)}
    )
    return recipe.model_copy(update={"data": data, "evaluate": evaluate})
