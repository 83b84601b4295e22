"""A recipe together with its engine: the check that needs both."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vtune.engines.answers import extension_models
from vtune.engines.facade import Engine, load_engine
from vtune.engines.finding import installed_engines
from vtune.engines.loading import extensions_alone
from vtune.errors import EngineError
from vtune.recipe import Recipe, apply_overrides, check_recipe, find_recipe, read_draft, recipe_schema
from vtune.types import EngineOptions


def load_recipe(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read, override and check a recipe; its engine's and extensions' options are typed.

    :param name: a path, or the name of a built-in recipe.
    :param overrides: ``key=value`` and ``~key``.
    :raises RecipeError: every problem at once, each with file and line.
    """
    draft = read_draft(find_recipe(str(name)))
    apply_overrides(draft, overrides)
    wanted = draft.data.get("engine")
    if not isinstance(wanted, str) or not wanted:
        return check_recipe(draft, "'engine' is missing", _extensions())
    beside = draft.folder / wanted
    if wanted.endswith(".py") and not os.path.isfile(wanted) and os.path.isfile(beside):
        draft.data["engine"] = wanted = str(beside)
    try:
        engine = load_engine(wanted)
        return check_recipe(draft, engine.info, engine.extension_options())
    except EngineError as error:
        return check_recipe(draft, str(error), _extensions())


def _extensions() -> dict[str, type[EngineOptions]] | None:
    try:
        return extension_models(extensions_alone())
    except EngineError:
        return None


def available_engines() -> dict[str, Engine | EngineError]:
    """Load every installed engine, each alone; a broken one stands there with its error."""
    found: dict[str, Engine | EngineError] = {}
    for name in sorted(installed_engines()):
        try:
            found[name] = load_engine(name)
        except EngineError as error:
            found[name] = error
    return found


def schema() -> dict[str, Any]:
    """Return the JSON schema of recipes with the options of every engine that loads."""
    engines = {name: engine for name, engine in available_engines().items() if isinstance(engine, Engine)}
    options = next(iter(engines.values())).extension_options() if engines else {}
    return recipe_schema({name: engine.info for name, engine in engines.items()}, options)
