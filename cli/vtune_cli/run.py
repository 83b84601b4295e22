"""``vtune run``."""

from __future__ import annotations

import click

from vtune_cli.arguments import recipe_argument
from vtune_cli.talking import echo


@click.command()
@recipe_argument
@click.option("--no-cache", is_flag=True, help="Encode every clip anew.")
@click.option("--launch", "processes", type=click.IntRange(min=1), help="Train in so many processes on this machine.")
def run(recipe: str, overrides: tuple[str, ...], no_cache: bool, processes: int | None) -> None:
    """Make the voices of RECIPE, from recordings to samples.

    RECIPE is a file, or the name of a built-in recipe. Stopped at any moment and run again, it goes on where it was.
    """
    from vtune import load_recipe

    if no_cache:
        overrides = (*overrides, "encode.cache=false")
    if processes is not None:
        from vtune.engines import engine_files
        from vtune.runtime.distributed.launch import launch

        load_recipe(recipe, overrides)  # its mistakes are told once, not by every process
        named = [f"--engine-file={file}" for file in engine_files()]
        launch(["run", *named, recipe, *overrides, f"train.world_size={processes}"], processes)
    checked = load_recipe(recipe, overrides)
    from vtune.pipeline import run as run_recipe
    from vtune.runtime.distributed.ranks import is_main_process

    for voice in run_recipe(checked):
        if is_main_process():
            echo(f"{voice.path}: vtune say {voice.name} 'Hello.' --out hello.wav")
