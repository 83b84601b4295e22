"""Make a recipe independent of the folder of its file."""

from __future__ import annotations

import os
from pathlib import Path

from vtune.recipe.model import Recipe


def source_paths(source: str, folder: Path) -> tuple[Path, Path]:
    """Return the two paths at which a source is looked up: from the current folder, then from the recipe's folder."""
    return Path(os.path.expanduser(source)), folder / source


def missing_sources(recipe: Recipe) -> list[str]:
    """Return one line for each source of a recipe that is not on this machine: ``"data.0: there is no source ..."``."""
    named = {f"data.{index}": source.source for index, source in enumerate(recipe.data)}
    named |= {"evaluate.source": recipe.evaluate.source or "", "evaluate.impostors": recipe.evaluate.impostors or ""}
    return [
        f"{key}: {no_source(source, recipe.folder)}"
        for key, source in named.items()
        if source
        and not source.startswith("hub:")
        and not any(map(os.path.exists, source_paths(source, recipe.folder)))
    ]


def no_source(source: str, folder: Path) -> str:
    """Return the sentence that a source does not exist, with the two paths at which it was looked up."""
    tried = dict.fromkeys(str(path.absolute()) for path in source_paths(source, folder))
    return f"there is no source {source!r} (looked for {' and '.join(tried)})"


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
