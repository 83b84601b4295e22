"""``vtune plan``."""

from __future__ import annotations

import click

from vtune_cli.arguments import recipe_argument
from vtune_cli.output import echo


@click.command()
@recipe_argument
def plan(recipe: str, overrides: tuple[str, ...]) -> None:
    """Estimate what RECIPE needs: clips, minutes, tokens, steps, parameters, memory and time.

    Only headers of recordings and configuration files are read; no weights are loaded.
    """
    from vtune import load_recipe
    from vtune.plan import make_plan

    for line in make_plan(load_recipe(recipe, overrides)).lines():
        echo(line)
