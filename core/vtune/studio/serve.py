"""Serve the studio in a browser until its user ends it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from vtune.errors import VtuneError
from vtune.runtime.hostnames import is_loopback
from vtune.runtime.paths import exclusive_access
from vtune.runtime.signals import Stopped, handled
from vtune.studio.layout import StudioFolder
from vtune.studio.server import StudioServer
from vtune.studio.workshop import Workshop
from vtune.webpage.local_server import serve_until_interrupted


def serve(
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    browser: bool = True,
    started: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve the studio of a folder until a signal stops it (Ctrl-C, SIGTERM, a terminal that closes).

    Running commands are stopped at a safe point then; a second signal ends the studio at once.

    :param host: an address of this machine alone: whoever opens the page can run vtune's commands.
    :param port: port of the server; 0 takes a free port.
    :param started: called with the URL, which contains the token.
    :raises VtuneError: the folder does not exist, another studio is open for it, other machines can reach the host, or
        the port is not available.
    """
    if not folder.is_dir():
        raise VtuneError(f"there is no folder {folder}")
    if not is_loopback(host):
        raise VtuneError(
            f"other machines can reach {host}, and the studio runs commands: leave out --host, and use a tunnel from "
            f"another machine (ssh -L {port or 8080}:127.0.0.1:{port or 8080} ...)"
        )
    kept = StudioFolder(folder.resolve()).kept
    kept.mkdir(exist_ok=True)
    with (
        suppress(Stopped),
        handled(),
        exclusive_access(kept, "another studio is open for this folder", wait_seconds=0),
        closing(Workshop(folder)) as workshop,
    ):
        serve_until_interrupted(
            lambda: StudioServer(workshop, host, port), (host, port), browser=browser, started=started
        )
