"""Serve the review page, by default only on this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import ClassVar

from vtune.curation.review.api import REVIEW_ACTIONS, review_data, run_action
from vtune.curation.review.browser_audio import BrowserAudio
from vtune.curation.review.review import Review
from vtune.dataset.editing.edit import StaleError
from vtune.errors import DataError
from vtune.webpage.local_server import LocalHandler, LocalServer, Refusal

PAGE_FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}


class ReviewServer(LocalServer):
    """Serves one review to a browser.

    :param port: port of the server; 0 takes a free port.
    :raises OSError: the port is in use, or the host is not an address of this machine.
    """

    def __init__(self, review: Review, host: str = "127.0.0.1", port: int = 0, *, flagged: bool = False) -> None:
        self.review, self.flagged, self.sounds = review, flagged, BrowserAudio()
        folder = files("vtune.curation.review") / "page"
        page = {path: ((folder / name).read_bytes(), kind) for path, (name, kind) in PAGE_FILES.items()}
        super().__init__("review", page, _ReviewHandler, (host, port))


class _ReviewHandler(LocalHandler):
    server: ReviewServer
    post_paths = frozenset(f"/api/{action}" for action in REVIEW_ACTIONS)
    statuses: ClassVar[Mapping[type[Exception], int]] = {StaleError: 409}

    def get(self, path: str, query: Mapping[str, list[str]]) -> None:
        if path == "/api/clips":
            self.send_data(200, review_data(self.server.review, flagged=self.server.flagged))
        elif match := re.fullmatch(r"/(audio|api/peaks|api/spectrogram)/(\d{1,9})", path):
            recording = self._recording(int(match[2]))
            if match[1] == "audio":
                self.send_sound(self.server.sounds.wav(recording))
            elif match[1] == "api/peaks":
                self.send_data(200, self.server.sounds.peaks(recording))
            else:
                self.send_data(200, self.server.sounds.spectrogram(recording))
        else:
            super().get(path, query)

    def post(self, path: str, query: Mapping[str, list[str]]) -> None:
        self.send_data(200, run_action(self.server.review, path.removeprefix("/api/"), self.json_body()))

    def _recording(self, number: int) -> str:
        try:
            clip = self.server.review.clip(number)
        except DataError as error:
            raise Refusal(404, str(error)) from error
        if not clip.there:
            raise Refusal(404, f"this clip has no sound: {clip.problem}")
        return clip.audio
