"""``vtune tune``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.arguments import recipe_argument
from vtune_cli.logging_setup import log_only
from vtune_cli.output import echo


@click.command()
@recipe_argument
@click.option(
    "--search", "searches", multiple=True, metavar="KEY=VALUES",
    help="Recipe key and the values to try: 1e-5..1e-3:log, 2..8, 0..1:step=0.25, or 8,16,32. May be repeated.",
)  # fmt: skip
@click.option("--space", "file", type=click.Path(path_type=Path), help="YAML file with lines KEY: VALUES.")
@click.option("--trials", type=click.IntRange(min=1), default=20, show_default=True, help="Number of trials in all.")
@click.option(
    "--timeout", "minutes", type=click.FloatRange(min=0), metavar="MINUTES", help="Start no trial after this time."
)
@click.option("--study", "name", default="study", show_default=True, help="Name of the study and of its folder.")
@click.option(
    "--metric",
    default="quality",
    show_default=True,
    help="What the study improves: any metric of voices, or their quality.",
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
    """Search the settings of RECIPE that give the best voice (extra: tune).

    It can be stopped at any moment; the same command resumes it.
    """
    for search in searches:
        if "=" not in search:
            raise click.UsageError(f"--search takes KEY=VALUES, not {search!r}")
    if not searches and file is None:
        raise click.UsageError("name what to search: --search lora.rank=8,16,32 or --space FILE")
    from vtune.tune import check_space, read_space

    space = check_space(recipe, overrides, read_space(searches, file))
    from vtune.tune.search import tune as tune_recipe

    log_only("vtune.tune", "vtune.runtime.progress")
    study_result = tune_recipe(recipe, space, overrides, trials=trials, minutes=minutes, name=name, metric=metric)
    for line in study_result.lines():
        echo(line)
