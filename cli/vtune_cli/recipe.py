"""``vtune recipe list | copy | show | check | schema``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from vtune_cli.arguments import recipe_argument
from vtune_cli.output import echo, echo_text


@click.group()
def recipe() -> None:
    """List, copy, show and check recipes."""


@recipe.command("list")
def list_recipes() -> None:
    """List the recipes that come with vtune and with installed engines."""
    from vtune.engines import engine_recipes
    from vtune.recipe import builtin_recipes

    known = builtin_recipes()
    for name, path in known.items():
        echo(f"{name:24} {_title(path)}")
    for name, (path, engine) in engine_recipes().items():
        if name not in known:
            echo(f"{name:24} {_title(path)} (comes with engine {engine})")


@recipe.command()
@click.argument("name")
@click.argument("target", type=click.Path(path_type=Path), required=False)
def copy(name: str, target: Path | None) -> None:
    """Copy the built-in recipe NAME to TARGET, to be edited. Default: NAME.yaml in the current folder."""
    from vtune.engines import find_users_recipe
    from vtune.errors import RecipeError
    from vtune.runtime.paths import make_parent, write_text
    from vtune.runtime.untrusted import FileRefused, read_text, why

    source = find_users_recipe(name)
    target = target or Path(source.name)
    if os.path.isdir(target):
        target /= source.name
    if os.path.lexists(target):
        raise RecipeError([f"{target} exists already; name another file"])
    try:
        make_parent(target)
        write_text(target, read_text(source))
    except (OSError, FileRefused) as error:
        raise RecipeError([f"{source} cannot be copied to {target}: {why(error)}"]) from error
    echo(f"{target}: edit it, then 'vtune recipe check {target}'")


@recipe.command()
@recipe_argument
def show(recipe: str, overrides: tuple[str, ...]) -> None:
    """Print RECIPE as a run would use it, with every default written out.

    An engine that is a Python file is imported only if you name the file with --engine-file.
    """
    from vtune.engines import load_foreign_recipe
    from vtune.recipe import as_yaml

    echo_text(as_yaml(load_foreign_recipe(recipe, overrides)))


@recipe.command()
@recipe_argument
def check(recipe: str, overrides: tuple[str, ...]) -> None:
    """Check RECIPE and report every problem at once, also sources that are not there.

    An engine that is a Python file is imported only if you name the file with --engine-file.
    """
    from vtune.engines import load_foreign_recipe
    from vtune.errors import RecipeError
    from vtune.recipe import missing_sources

    checked = load_foreign_recipe(recipe, overrides)
    if missing := missing_sources(checked):
        raise RecipeError([f"{recipe}: {line}" for line in missing])
    echo(f"{recipe}: no problems; voice {checked.voice}, engine {checked.engine}")


@recipe.command()
def schema() -> None:
    """Print the JSON schema of recipes, for editors, with the options of every installed engine."""
    from vtune.engines import schema as make_schema

    echo_text(json.dumps(make_schema(), indent=2))


def _title(path: Path) -> str:
    from vtune.recipe import about_recipe

    return next(iter(about_recipe(path)), "")
