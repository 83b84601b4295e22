"""A recipe that is kept elsewhere than where it was written."""

from __future__ import annotations

import os
from pathlib import Path

from vtune.recipe.model import Recipe


def source_paths(source: str, folder: Path) -> tuple[Path, Path]:
    """Return where a source is looked up: from the current folder, then from the recipe's."""
    return Path(os.path.expanduser(source)), folder / source


def portable_recipe(recipe: Recipe) -> Recipe:
    """Return a recipe that is the same wherever its file lies: sources beside the file are named from here."""

    def moved(source: str | None) -> str | None:
        if source is None:
            return None
        here, beside = source_paths(source, recipe.folder)
        return source if os.path.exists(here) or not os.path.exists(beside) else os.path.relpath(beside)

    data = [source.model_copy(update={"source": moved(source.source)}) for source in recipe.data]
    heard = recipe.evaluate
    evaluate = heard.model_copy(update={"source": moved(heard.source), "impostors": moved(heard.impostors)})
    return recipe.model_copy(update={"data": data, "evaluate": evaluate})
