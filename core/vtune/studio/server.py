"""The server of the studio: its page, its data, sounds, and pages that verbs wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from vtune.errors import VtuneError
from vtune.export.targets import TARGETS
from vtune.runtime.paths import make_parent, new_file
from vtune.runtime.untrusted import FileRefused, read_bytes
from vtune.studio.api import ACTIONS, run_action
from vtune.studio.layout import checked_file
from vtune.studio.workshop import Workshop, comparison_page
from vtune.webpage.local_server import LocalHandler, LocalServer, Refusal

PAGE_FILES = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/dom.js": ("dom.js", "text/javascript"),
    "/recordings.js": ("recordings.js", "text/javascript"),
    "/recipe.js": ("recipe.js", "text/javascript"),
    "/training.js": ("training.js", "text/javascript"),
    "/voice.js": ("voice.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}

MAX_UPLOAD_BYTES = 8 << 30
"""Bytes of one recording that is dropped on the page."""

MAX_SOUND_BYTES = 200_000_000
MAX_PAGE_BYTES = 500_000_000

_BLOCK = 1 << 20

SANDBOX = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; media-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Policy of a page that a verb wrote. A voice may be a stranger's, and so may its page: it runs as if it came from
nowhere, without the studio's cookie."""


class StudioServer(LocalServer):
    """Serves one folder of work to a browser. :raises OSError: the port is in use."""

    def __init__(self, workshop: Workshop, host: str = "127.0.0.1", port: int = 0) -> None:
        self.workshop = workshop
        folder = files("vtune.studio") / "page"
        page = {path: ((folder / name).read_bytes(), kind) for path, (name, kind) in PAGE_FILES.items()}
        super().__init__("studio", page, _StudioHandler, (host, port))


class _StudioHandler(LocalHandler):
    server: StudioServer
    post_paths = frozenset({*(f"/api/{action}" for action in ACTIONS), "/api/upload"})

    def get(self, path: str, query: Mapping[str, list[str]]) -> None:
        workshop = self.server.workshop
        if path == "/api/state":
            self.send_data(200, workshop.state())
        elif path == "/api/choices":
            self.send_data(200, workshop.choices.data())
        elif path == "/api/targets":
            self.send_data(200, [[target.name, target.description] for target in TARGETS.values()])
        elif match := re.fullmatch(r"/api/project/([\w-]+)", path):
            self.send_data(200, workshop.project(match[1]))
        elif match := re.fullmatch(r"/api/log/(\d{1,9})", path):
            self.send_data(200, {"text": workshop.queue.log(int(match[1]))})
        elif path.startswith("/sound/"):
            self.send_sound(self._read(self._sound(path), MAX_SOUND_BYTES))
        elif match := re.fullmatch(r"/(listen|findings|comparison)/([\w-]+)", path):
            page = self._read(self._page(match[1], match[2]), MAX_PAGE_BYTES)
            self.send_bytes(200, page, "text/html; charset=utf-8", {"Content-Security-Policy": SANDBOX})
        else:
            super().get(path, query)

    def post(self, path: str, query: Mapping[str, list[str]]) -> None:
        if path == "/api/upload":
            self._upload(query.get("project", [""])[0], query.get("file", [""])[0])
            return
        self.send_data(200, run_action(self.server.workshop, path.removeprefix("/api/"), self.json_body()))

    def _sound(self, path: str) -> Path:
        folder = self.server.workshop.folder
        if match := re.fullmatch(r"/sound/spoken/(\d{1,9})", path):
            return folder.spoken(int(match[1]))
        if match := re.fullmatch(r"/sound/sample/([\w-]+)/(\w+\.wav)", path):
            return folder.voice(match[1]).samples / match[2]
        if match := re.fullmatch(r"/sound/heard/([\w-]+)/(\w+)/(step-\d+)/([\w-]+\.wav)", path):
            return folder.run(match[1]).logs / match[2] / "heard" / match[3] / match[4]
        raise Refusal(404, "this path does not exist")

    def _page(self, kind: str, project: str) -> Path:
        folder = self.server.workshop.folder
        if kind == "listen":
            return folder.voice(project).page
        if kind == "findings":
            return folder.findings(project, "html")
        page = comparison_page(folder.comparison(project))
        if page is None:
            raise Refusal(404, "this page does not exist yet")
        return page

    def _read(self, path: Path, most: int) -> bytes:
        try:
            return read_bytes(path, most)
        except FileNotFoundError as error:
            raise Refusal(404, "this file does not exist yet") from error
        except FileRefused as error:
            raise Refusal(422, str(error)) from error

    def _upload(self, project: str, name: str) -> None:
        """Write a dropped file beside the others of its voice: whole or not at all."""
        if self.headers.get_content_type() != "application/octet-stream":
            raise Refusal(415, "the content type must be application/octet-stream")
        left = self.body_length(MAX_UPLOAD_BYTES)
        path = self.server.workshop.folder.recordings(project) / checked_file(name)
        if path.exists():
            raise VtuneError(f"{path.name} is there already; nothing was changed")
        make_parent(path)
        with new_file(path) as aside, aside.open("wb") as file:
            while left:
                block = self.rfile.read(min(_BLOCK, left))
                if not block:
                    raise ConnectionAbortedError
                file.write(block)
                left -= len(block)
        self.body_was_read()
        self.send_data(200, {"source": self.server.workshop.folder.relative(path.parent)})
