"""``vtune studio``."""

from __future__ import annotations

from pathlib import Path

import click

from vtune_cli.output import echo


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the page; default: a free port.")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to serve at; it must be of this machine alone."
)
@click.option("--no-browser", is_flag=True, help="Print the address and open no browser.")
def studio(folder: Path, port: int | None, host: str, no_browser: bool) -> None:
    """Make voices on one local page: recordings, consent, engine, plan, training, listening, sharing.

    FOLDER holds recipes, runs and voices; default: the current folder. The page runs the other commands of vtune and
    shows each of them, so that you can go on in the terminal at any step.
    """
    from vtune.studio.serve import serve

    def started(url: str) -> None:
        echo(url)
        echo("Press Ctrl-C to end; a training stops at a safe point and can be continued")

    serve(folder, host=host, port=port or 0, browser=not no_browser, started=started)
