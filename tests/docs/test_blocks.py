"""Every command, snippet and recipe in the pages works: each page is run in a separate small world."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from page_blocks import failures
from page_world import ROOT, World, make_template

from vtune.ingest.transcribe import Transcript

PAGES = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "decisions"),
]  # fmt: skip
WITH_CODE = [page for page in PAGES if "```" in page.read_text(encoding="utf-8")]


class Listener:
    """A recogniser that gives the same words for every sound."""

    batch = 4

    def transcribe(self, sounds: Sequence[Any]) -> list[Transcript]:
        return [Transcript("this is what was spoken", logprob=-0.2, no_speech=0.01) for _ in sounds]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages") / "world"
    make_template(folder)
    return folder


@pytest.fixture
def world(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a copy of the world; in it no sound is recognised, and no server runs longer than its start."""
    folder = tmp_path / "w"  # a socket's path may have no more than 107 characters
    shutil.copytree(template, folder, symlinks=True)
    for module in ("recognise_share", "check"):
        monkeypatch.setattr(f"vtune.ingest.transcribe.{module}.open_recogniser", lambda settings: Listener())
    monkeypatch.setattr("vtune.serve.uvicorn_server.StoppableServer.run", lambda *_, **__: None)
    monkeypatch.setattr("vtune.curation.review.server.ReviewServer.serve_forever", lambda *_, **__: None)
    return World(folder, {})


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_a_page_works(page: Path, world: World) -> None:
    problems = list(failures(page, world))
    assert not problems, "\n\n".join(problems)
