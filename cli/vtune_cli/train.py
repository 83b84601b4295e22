"""``vtune train``."""

from __future__ import annotations

import click

from vtune_cli.arguments import recipe_argument
from vtune_cli.talking import echo


@click.command()
@recipe_argument
def train(recipe: str, overrides: tuple[str, ...]) -> None:
    """Do RECIPE's steps up to the finished adapter; ``vtune run`` makes the voices of it."""
    from vtune import load_recipe

    checked = load_recipe(recipe, overrides)
    from vtune.pipeline import run

    run(checked, until_trained=True)
    echo(f"{checked.folders.runs / checked.voice}: trained; 'vtune run {recipe}' writes the voice")
