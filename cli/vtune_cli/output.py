"""Print results to stdout and messages to stderr; control characters are printed as their escapes.

Names, records and the errors that quote them come out of files. They may hold escape sequences that a terminal would
obey, and line breaks that would pass for lines of vtune. So every text is printed through this module.
"""

from __future__ import annotations

import click


def echo(line: str, *, err: bool = False) -> None:
    """Print one line; a character that a terminal would obey is printed as its escape."""
    from vtune.errors import printable

    click.echo(printable(line), err=err)


def echo_text(text: str) -> None:
    """Print a text of several lines whose line breaks are vtune's own, such as JSON."""
    for line in text.removesuffix("\n").split("\n"):
        echo(line)
