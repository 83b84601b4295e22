"""``vtune tune``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.arguments import recipe_argument
from vtune_cli.talking import echo, steps_of


@click.command()
@recipe_argument
@click.option(
    "--search", "searches", multiple=True, metavar="KEY=VALUES",
    help="A key of the recipe and what to try: 1e-5..1e-3:log, 2..8, 0..1:step=0.25, or 8,16,32.",
)  # fmt: skip
@click.option("--space", "file", type=click.Path(path_type=Path), help="A YAML file of the same, KEY: VALUES.")
@click.option(
    "--trials", type=click.IntRange(min=1), default=20, show_default=True, help="How many there shall be in all."
)
@click.option(
    "--timeout", "minutes", type=click.FloatRange(min=0), metavar="MINUTES", help="Begin no trial after that."
)
@click.option("--study", "name", default="study", show_default=True, help="The name of its folder.")
@click.option(
    "--metric", default="quality", show_default=True, help="What to make better: a figure that voices are scored by."
)
def tune(
    recipe: str,
    overrides: tuple[str, ...],
    searches: tuple[str, ...],
    file: Path | None,
    trials: int,
    minutes: float | None,
    name: str,
    metric: str,
) -> None:
    """Try RECIPE with many settings, and name those whose voice scores best (extra: tune).

    Stopped at any moment and run again, it goes on where it was.
    """
    for search in searches:
        if "=" not in search:
            raise click.UsageError(f"--search takes KEY=VALUES, not {search!r}")
    if not searches and file is None:
        raise click.UsageError("name what to search: --search lora.rank=8,16,32 or --space FILE")
    from vtune.tune import check_space, read_space

    space = check_space(recipe, overrides, read_space(searches, file))
    from vtune.tune.search import tune as tune_recipe

    steps_of("vtune.tune")
    found = tune_recipe(recipe, space, overrides, trials=trials, minutes=minutes, name=name, metric=metric)
    for line in found.lines():
        echo(line)
