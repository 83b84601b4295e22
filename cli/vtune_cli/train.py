"""``vtune train``."""

from __future__ import annotations

import click

from vtune_cli.arguments import launch_if_asked, launch_option, recipe_argument
from vtune_cli.output import echo


@click.command()
@recipe_argument
@launch_option
def train(recipe: str, overrides: tuple[str, ...], processes: int | None) -> None:
    """Do the steps of RECIPE up to the trained adapter; `vtune run` then writes the voices."""
    from vtune import load_recipe

    launch_if_asked("train", recipe, overrides, processes)
    checked = load_recipe(recipe, overrides)
    from vtune.pipeline import run
    from vtune.runtime.distributed.ranks import is_main_process

    run(checked, until_trained=True)
    if is_main_process():
        echo(f"{checked.folders.runs / checked.voice}: trained; 'vtune run {recipe}' writes the voice")
