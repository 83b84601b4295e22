"""The quickstart through the page alone: Kathleen's recordings are pushed into a browser, and a scored voice speaks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vtune.studio.server import StudioServer
from vtune.studio.workshop import Workshop

pytestmark = pytest.mark.proof

ROOT = Path(__file__).parents[3]
RUN_MS = 1_800_000
"""A run takes about four minutes on two idle cores."""


SECONDS_OF_SPEECH = """new Promise((done) => {
  const audio = document.querySelector("#spoken audio");
  audio.addEventListener("loadedmetadata", () => done(audio.duration));
  audio.preload = "metadata";
  audio.load();
})"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def page(browser: Any, work: Path, whisper_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pytest.importorskip("hibari")
    monkeypatch.setenv("VTUNE_WHISPER", str(whisper_weights))
    workshop = Workshop(work)
    with StudioServer(workshop) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.set_default_timeout(300_000)
        opened.goto(server.url)
        yield opened
        opened.close()
        server.shutdown()
    workshop.close()


def test_five_minutes_of_a_person_become_a_scored_voice(page: Any, work: Path) -> None:
    train = ROOT / "recipes" / "quickstart" / "train"
    clips = sorted((train / "clips").iterdir())
    page.get_by_label("Voice", exact=True).fill("kathleen")
    page.keyboard.press("Enter")
    page.locator("#files").set_input_files([str(path) for path in [*clips, train / "transcripts.csv"]])
    page.get_by_text(f"{len(clips)} clips with words").wait_for()
    page.get_by_role("button", name="Examine them").click()
    page.locator("#findings", has_text="clips can be used").wait_for()
    page.get_by_label("Who speaks").fill("Kathleen, who recorded the data set rhasspy/dataset-voice-kathleen")
    page.get_by_label("What the person agreed to").fill("She released these sentences for synthesis under CC0 1.0.")
    page.locator(".choice", has_text="hibari").first.click()
    page.get_by_role("button", name="Write the recipe").click()
    page.get_by_text("No problems.").wait_for()
    page.get_by_role("button", name="Make the plan").click()
    page.locator("#plan-lines dt", has_text="training").wait_for()
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_text("The run is done.").wait_for(timeout=RUN_MS)
    page.locator("#scores table", has_text="similarity to the speaker's recordings").wait_for()
    rows = [row.split("\t") for row in page.locator("#scores table").inner_text().splitlines()]
    scores = {title: cells for title, *cells in rows}
    assert float(scores["similarity to the speaker's recordings"][0]) > 0.74, scores  # the untuned base: 0.62 to 0.70
    assert float(scores["wrong words (WER)"][0].rstrip(" %")) < 10, scores
    page.locator("#text").fill("The voice was made in a browser.")
    page.get_by_role("button", name="Speak", exact=True).click()
    page.locator("#spoken audio").wait_for(state="attached")
    assert 1 < page.evaluate(SECONDS_OF_SPEECH) < 5
