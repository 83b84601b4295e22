"""The state behind the page: one folder, its queue of commands, and what is read from the folder when somebody asks."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import Any

import yaml

from vtune.curation.doctor import open_data
from vtune.curation.review.review import Review
from vtune.curation.review.server import ReviewServer
from vtune.errors import VtuneError
from vtune.recipe import SourceRecipe
from vtune.recipe.field_types import VOICE_NAME
from vtune.runtime.paths import write_text
from vtune.runtime.untrusted import FileRefused, read_text
from vtune.studio import commands
from vtune.studio.choice_list import ChoiceList
from vtune.studio.jobs import Job, JobQueue
from vtune.studio.layout import StudioFolder
from vtune.studio.progress import findings_data, run_data, voice_data
from vtune.studio.recipe_writer import problems_of

MAX_LOOKED_ROWS = 20_000
"""Rows whose length is read from a header when the page asks what a folder is."""


class Workshop:
    """Everything that the page works with.

    :param folder: the folder of work; commands run in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = StudioFolder(folder.resolve())
        self.queue = JobQueue(self.folder.path, self.folder.kept)
        self.choices = ChoiceList(self.folder.path)
        self._reviews: dict[str, ReviewServer] = {}
        self._last_spoken = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Stop commands and reviews."""
        self.queue.close()
        self.choices.close()
        for server in self._reviews.values():
            server.shutdown()
            server.server_close()

    def state(self) -> dict[str, Any]:
        """Return what the page shows of the whole folder."""
        return {"folder": str(self.folder.path), "projects": self.projects(), "jobs": self.queue.data()}

    def projects(self) -> list[str]:
        """Return the names of voices that were begun here, in the page or in the terminal."""
        names = {path.stem for path in self.folder.path.glob("*.yaml") if _is_recipe(path)}
        for part in ("recordings", "runs", "voices"):
            try:
                names |= {path.name for path in (self.folder.path / part).iterdir() if path.is_dir()}
            except OSError:
                continue
        return sorted(name for name in names if re.fullmatch(VOICE_NAME, name))

    def project(self, name: str) -> dict[str, Any]:
        """Return everything about one voice, as the files say it now."""
        folder, recipe = self.folder, self.folder.recipe(name)
        settings = _settings(recipe)
        source = self._source(name, settings)
        mine = [job for job in self.queue.data() if job["project"] == name]
        return {
            "name": name,
            "source": source,
            "recipe": None if settings is None else self._recipe_data(recipe, settings),
            "findings": findings_data(folder.findings(name, "json")),
            "findings_page": folder.findings(name, "html").is_file(),
            "plan": self._plan(mine),
            "run": run_data(folder.run(name)),
            "voice": voice_data(folder.voice(name)),
            "comparison": comparison_page(folder.comparison(name)) is not None,
            "commands": {step: Job(0, w, name).command for step, w in commands.shown(folder, name, source).items()},
            "server": self._server_url(),
        }

    def look(self, source: str) -> dict[str, Any]:
        """Return what a source is, from headers alone. :raises VtuneError: it cannot be opened."""
        opened, has_words = open_data(SourceRecipe(source=source), self.folder.path)
        count, seconds, speakers, problems = 0, 0.0, set(), 0
        for row in opened.rows():
            count += 1
            speakers.add(row.speaker)
            problems += row.problem is not None if has_words else not row.there
            if row.there and count <= MAX_LOOKED_ROWS:
                seconds += _seconds(opened, row.audio)
        return {
            "source": source, "has_words": has_words, "rows": count, "seconds": seconds, "problems": problems,
            "speakers": sorted(speakers)[:20] if opened.has_speakers else [], "description": opened.description,
        }  # fmt: skip

    def review(self, source: str) -> str:
        """Open the review page of a source on a port of its own, and return its address with the token."""
        with self._lock:
            if source not in self._reviews:
                server = ReviewServer(Review(str(self.folder.path / source)))
                threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()
                self._reviews[source] = server
            return self._reviews[source].url

    def next_spoken(self) -> int:
        """Return the number of the next spoken text; no file has it."""
        with self._lock:
            numbers = [int(path.stem.partition("-")[2]) for path in self.folder.kept.glob("spoken-*.wav")]
            self._last_spoken = max([*numbers, self._last_spoken]) + 1
            return self._last_spoken

    def note(self, recipe: Path) -> None:
        """Remember a recipe as the page wrote it."""
        write_text(self._note_of(recipe), _digest(recipe))

    def wrote(self, recipe: Path) -> bool:
        """Tell whether a recipe is still as the page wrote it."""
        try:
            return self._note_of(recipe).read_text(encoding="utf-8") == _digest(recipe)
        except OSError:
            return False

    def _note_of(self, recipe: Path) -> Path:
        return self.folder.kept / f"{recipe.name}.written"

    def _source(self, name: str, settings: dict[str, Any] | None) -> str:
        data = (settings or {}).get("data")
        if isinstance(data, list) and data and isinstance(data[0], dict):
            return str(data[0].get("source", ""))
        for path in (self.folder.clips(name), self.folder.recordings(name)):
            if path.is_dir():
                return self.folder.relative(path)
        return ""

    def _recipe_data(self, path: Path, settings: dict[str, Any]) -> dict[str, Any]:
        text = read_text(path)
        consent = settings.get("consent")
        return {
            "file": path.name, "text": text, "engine": str(settings.get("engine", "")), "problems": problems_of(path),
            "consent": consent if isinstance(consent, dict) else None, "mine": self.wrote(path),
        }  # fmt: skip

    def _plan(self, jobs: list[dict[str, Any]]) -> list[str] | None:
        """Return the lines of the newest plan that has ended."""
        ended = [job for job in jobs if job["words"][0] == "plan" and job["state"] in ("done", "failed")]
        return self.queue.log(ended[0]["number"]).strip().splitlines() if ended else None

    def _server_url(self) -> str | None:
        running = [job for job in self.queue.data() if job["words"][0] == "serve" and job["state"] == "running"]
        address = re.search(r"^http://\S+", self.queue.log(running[0]["number"]), re.MULTILINE) if running else None
        return address[0] if address else None


def comparison_page(folder: Path) -> Path | None:
    """Return the page of a comparison, if there is one."""
    return next(iter(sorted(folder.glob("*.html"))), None)


def _settings(path: Path) -> dict[str, Any] | None:
    try:
        data = yaml.safe_load(read_text(path))
    except (OSError, FileRefused, yaml.YAMLError):
        return {} if path.is_file() else None
    return data if isinstance(data, dict) else {}


def _is_recipe(path: Path) -> bool:
    settings = _settings(path)
    return bool(settings and settings.keys() & {"voice", "extends"} and settings.keys() & {"engine", "extends"})


def _seconds(source: Any, name: str) -> float:
    try:
        return float(source.seconds(name))
    except VtuneError:
        return 0.0


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
