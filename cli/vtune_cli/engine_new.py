"""``vtune engine new``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.output import echo


@click.command()
@click.argument("name")
@click.option(
    "--template", default="language-model", show_default=True, metavar="TEMPLATE",
    help="language-model: a network that writes the tokens of a codec one by one. acoustic: a network that computes a "
    "whole spectrogram at once.",
)  # fmt: skip
@click.option(
    "--into", "parent", type=click.Path(file_okay=False, path_type=Path), default=Path(), show_default=True,
    metavar="FOLDER", help="Folder in which the new folder NAME is made.",
)  # fmt: skip
def new(name: str, template: str, parent: Path) -> None:
    """Write a new engine NAME into a new folder NAME: a distribution that installs, passes its tests and trains."""
    from vtune.scaffold import write_engine

    folder = write_engine(name, template, parent)
    echo(f"{folder}: an engine from the template {template}. What to do next:")
    for command in (f"pip install -e {folder} pytest", f"vtune engine check {name}", f"vtune run {name}"):
        echo(f"    {command}")
    echo(f"{folder / 'README.md'} says what is where, and how to put your own network into it")
