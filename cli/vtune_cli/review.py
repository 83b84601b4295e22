"""``vtune review``."""

from __future__ import annotations

import click

from vtune_cli.output import echo


@click.command()
@click.argument("data")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the page; default: a free port.")
@click.option(
    "--host", default="127.0.0.1", show_default=True,
    help="Address to serve at. Any other address than the default lets other machines in.",
)  # fmt: skip
@click.option("--no-browser", is_flag=True, help="Print the address and open no browser.")
@click.option("--flagged", is_flag=True, help="Show the clips with red flags first.")
def review(data: str, port: int | None, host: str, no_browser: bool, flagged: bool) -> None:
    """Listen to the clips of DATA in a browser, and correct, split, drop or approve them."""
    from vtune.curation.review.serve import serve

    def started(url: str) -> None:
        echo(url)
        echo("Press Ctrl-C to end; every edit is saved at once")

    serve(data, host=host, port=port or 0, browser=not no_browser, flagged=flagged, started=started)
