"""``vtune review``."""

from __future__ import annotations

import click

from vtune_cli.talking import echo


@click.command()
@click.argument("data")
@click.option("--port", type=click.IntRange(1, 65535), help="Where the page is served; a free one if left out.")
@click.option(
    "--host", default="127.0.0.1", show_default=True,
    help="Which address to serve at; another than this machine's own lets other machines in.",
)  # fmt: skip
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--flagged", is_flag=True, help="Begin with the clips that have red flags.")
def review(data: str, port: int | None, host: str, no_browser: bool, flagged: bool) -> None:
    """Listen to DATA in a browser; correct, split, drop and approve."""
    from vtune.curation.review.serve import serve

    def started(url: str) -> None:
        echo(url)
        echo("Ctrl-C ends it; every edit is saved as it is made")

    serve(data, host=host, port=port or 0, browser=not no_browser, flagged=flagged, started=started)
