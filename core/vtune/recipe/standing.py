"""A recipe that is kept elsewhere than where it was written."""

from __future__ import annotations

import os

from vtune.recipe.sections import Recipe


def standing_alone(recipe: Recipe) -> Recipe:
    """Return a recipe that is the same wherever its file lies: sources beside the file are named from here."""

    def moved(source: str | None) -> str | None:
        if source is None or os.path.exists(os.path.expanduser(source)) or not os.path.exists(recipe.folder / source):
            return source
        return os.path.relpath(recipe.folder / source)

    data = [source.model_copy(update={"source": moved(source.source)}) for source in recipe.data]
    heard = recipe.evaluate
    evaluate = heard.model_copy(update={"source": moved(heard.source), "others": moved(heard.others)})
    return recipe.model_copy(update={"data": data, "evaluate": evaluate})
