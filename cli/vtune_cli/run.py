"""``vtune run``."""

from __future__ import annotations

import click

from vtune_cli.arguments import launch_if_asked, launch_option, recipe_argument
from vtune_cli.output import echo


@click.command()
@recipe_argument
@click.option("--no-cache", is_flag=True, help="Encode every clip again instead of using stored features.")
@launch_option
def run(recipe: str, overrides: tuple[str, ...], no_cache: bool, processes: int | None) -> None:
    """Make the voices of RECIPE: prepare the recordings, encode them, train, and write voices with samples.

    RECIPE is a file or the name of a built-in recipe. A run can be stopped at any moment; the same command resumes it.
    """
    from vtune import load_recipe
    from vtune.engines import find_users_recipe

    if no_cache:
        overrides = (*overrides, "encode.cache=false")
    launch_if_asked("run", recipe, overrides, processes)
    checked = load_recipe(recipe, overrides)
    from vtune.pipeline import run as run_recipe
    from vtune.recipe import about_recipe, builtin_recipes
    from vtune.runtime.distributed.ranks import is_main_process

    if is_main_process() and (path := find_users_recipe(recipe)) in builtin_recipes().values():
        for line in about_recipe(path):
            echo(line, err=True)
    for voice in run_recipe(checked):
        if is_main_process():
            echo(f"{voice.path}: try it with: vtune say {voice.name} 'Hello.' --out hello.wav")
