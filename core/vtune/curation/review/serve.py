"""Serve a review in a browser until the listener ends it."""

from __future__ import annotations

import logging
import os
import sys
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress

from vtune.curation.review.review import Review
from vtune.curation.review.server import ReviewServer
from vtune.errors import VtuneError

logger = logging.getLogger(__name__)


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
    try:
        server = ReviewServer(review, host, port, flagged=flagged)
    except (OSError, OverflowError) as error:
        where = f"{host} port {port}" if port else host
        reason = getattr(error, "strerror", None) or str(error)
        hint = "; leave out --port to take a free port" if port else ""
        raise VtuneError(f"cannot serve at {where}: {reason}{hint}") from error
    with server:
        if not server.guard.names.local:
            logger.warning(
                "warning: other machines can reach %s; everybody who knows the address can listen and edit, "
                "and the connection is not encrypted", host,
            )  # fmt: skip
        started(server.url)
        if browser and _has_screen():
            threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
        with suppress(KeyboardInterrupt):
            server.serve_forever(poll_interval=0.2)


def _has_screen() -> bool:
    # Without a screen, webbrowser would open a text browser in the terminal.
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
