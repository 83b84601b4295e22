"""Load a recipe and check it together with its engine and extensions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vtune.contract.recognisers import RecogniserBackend
from vtune.engines.blocking import blocked_names
from vtune.engines.contributions import contributions
from vtune.engines.discovery import installed_engines
from vtune.engines.engine import Engine, load_engine
from vtune.engines.plugin_manager import extensions_alone
from vtune.engines.single_file import came_with, is_engine_file, named_engine_file, use_engine_file
from vtune.engines.validation import loaded_extensions
from vtune.errors import EngineError, RecipeError, shown
from vtune.recipe import (
    Draft,
    ExtensionKeys,
    Recipe,
    apply_overrides,
    check_recipe,
    find_recipe,
    override_texts,
    read_draft,
    recipe_schema,
)


def load_recipe(name: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Recipe:
    """Read, override and check a recipe of the user's own; its engine's and extensions' options are typed.

    An engine file that it names (``engine: ./my_engine.py``) runs, unless the recipe or the file lies in a folder that
    may be somebody else's; see ``load_foreign_recipe``.

    :param name: a path, or the name of a built-in recipe.
    :param overrides: values by their keys (``{"train.epochs": 3}``), or texts as on the command line:
        ``train.epochs=3`` sets a value, ``~lora`` removes a key.
    :raises RecipeError: every problem at once, each with file and line.
    """
    draft = _draft(name, overrides)
    try:
        _use_own_engine_file(draft)
    except EngineError as error:
        return check_recipe(draft, str(error), _extension_keys_or_none())
    return _checked(draft)


def load_foreign_recipe(name: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Recipe:
    """Read, override and check a recipe that nobody answers for: the recipe of a voice, or a recipe that is only
    inspected.

    It runs only engine files that the user has named (``use_engine_file``). See ``load_recipe`` for the rest.
    """
    return _checked(_draft(name, overrides))


def find_users_recipe(name: str) -> Path:
    """Resolve what a user typed: a path, or the name of a recipe of vtune or of an installed engine.

    :raises RecipeError: neither exists; suggests the nearest.
    """
    return find_recipe(name, lambda: {recipe: path for recipe, (path, _) in engine_recipes().items()})


def _draft(name: str | Path, overrides: Sequence[str] | Mapping[str, Any]) -> Draft:
    draft = read_draft(find_users_recipe(str(name)))
    apply_overrides(draft, override_texts(overrides))
    return draft


def _use_own_engine_file(draft: Draft) -> None:
    """Allow the engine file of a draft to run, because the user named the recipe or typed the override.

    :raises EngineError: the file does not exist.
    """
    name, writer = draft.data.get("engine"), draft.writers.get("engine")
    if not isinstance(name, str) or not is_engine_file(name):
        return
    # A file beside the recipe goes first: the current folder may be anybody's. What was typed was typed here.
    folders = (writer.parent, Path()) if writer else (Path(), draft.folder)
    paths = [folder / name for folder in folders if os.path.isfile(folder / name)]
    if not paths:
        raise EngineError(
            f"no engine file {shown(name)}; it is looked up from the recipe's folder, then from the current one"
        )
    somebody_elses = came_with(paths[0]) or (writer and came_with(writer))
    if somebody_elses:
        try:
            named_engine_file(name)
        except EngineError as error:
            raise EngineError(f"{error} (it comes with {somebody_elses}, which somebody else may have made)") from None
        return
    use_engine_file(paths[0])
    if not os.path.isfile(name) or not os.path.samefile(name, paths[0]):
        draft.data["engine"] = str(paths[0])


def _checked(draft: Draft) -> Recipe:
    name = draft.data.get("engine")
    if not isinstance(name, str) or not name:
        return check_recipe(draft, "'engine' is missing", _extension_keys_or_none())
    try:
        return check_recipe(draft, load_engine(name).info, _extension_keys())
    except EngineError as error:
        return check_recipe(draft, str(error), _extension_keys_or_none())


def _extension_keys() -> ExtensionKeys:
    manager = extensions_alone()
    infos = [item.info for item in loaded_extensions(manager) if item.info]
    recognisers = contributions(manager.hook, "recognisers", RecogniserBackend)
    return ExtensionKeys(
        {info.name: info.options for info in infos},
        {info.name for info in infos if info.opt_in},
        [item.entry.name for item in recognisers],
        blocked_names(),
    )


def _extension_keys_or_none() -> ExtensionKeys | None:
    try:
        return _extension_keys()
    except EngineError:
        return None


def engine_recipes() -> dict[str, tuple[Path, str]]:
    """Return the recipes that installed engines bring, by name: the file, and the engine that brings it.

    Engines that do not load bring none. A built-in recipe goes before one of the same name.

    :raises RecipeError: two engines bring a recipe of one name.
    """
    recipes: dict[str, tuple[Path, str]] = {}
    for engine_name, engine in available_engines().items():
        if isinstance(engine, EngineError) or engine.info.recipes is None:
            continue
        for path in sorted(engine.info.recipes.glob("*.yaml")):
            if path.stem in recipes:
                other = recipes[path.stem][1]
                raise RecipeError(
                    [f"engines {other!r} and {engine_name!r} both bring a recipe {path.stem!r}; name its file instead"]
                )
            recipes[path.stem] = (path, engine_name)
    return recipes


def engine_of(recipe: Recipe) -> Engine:
    """Load the engine of a recipe, with the options that the recipe gives to extensions."""
    return load_engine(recipe.engine).with_extensions(recipe.extensions)


def available_engines() -> dict[str, Engine | EngineError]:
    """Load every installed engine separately; return the engines, and the errors of broken engines, by name."""
    engines: dict[str, Engine | EngineError] = {}
    for name in sorted(installed_engines()):
        try:
            engines[name] = load_engine(name)
        except EngineError as error:
            engines[name] = error
    return engines


def schema() -> dict[str, Any]:
    """Return the JSON schema of recipes with the options of every engine that loads."""
    engines = {name: engine for name, engine in available_engines().items() if isinstance(engine, Engine)}
    options = next(iter(engines.values())).extension_options() if engines else {}
    return recipe_schema({name: engine.info for name, engine in engines.items()}, options)
