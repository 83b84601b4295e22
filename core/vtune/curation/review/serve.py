"""Serve a review in a browser until the listener ends it."""

from __future__ import annotations

from collections.abc import Callable

from vtune.curation.review.review import Review
from vtune.curation.review.server import ReviewServer
from vtune.webpage.local_server import serve_until_interrupted


def serve(
    data: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    browser: bool = True,
    flagged: bool = False,
    started: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve the review of a source until Ctrl-C.

    :param port: port of the server; 0 takes a free port.
    :param browser: open a browser if this machine has a screen.
    :param flagged: first show the clips with red flags.
    :param started: called with the URL, which contains the token.
    :raises VtuneError: the source cannot be edited, or the port is not available.
    """
    review = Review(data)

    def make() -> ReviewServer:
        return ReviewServer(review, host, port, flagged=flagged)

    serve_until_interrupted(make, (host, port), browser=browser, started=started)
