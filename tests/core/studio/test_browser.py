"""The whole way of a voice through the page alone, in a real browser, with the toy engine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vtune.studio.server import StudioServer
from vtune.studio.workshop import Workshop

pytestmark = pytest.mark.slow

LONG_MS = 600_000
"""A training of the toy takes seconds; a busy machine may be twenty times slower."""


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[StudioServer]:
    (tmp_path / "work").mkdir()
    workshop = Workshop(tmp_path / "work")
    with StudioServer(workshop) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()
    workshop.close()


@pytest.fixture
def page(browser: Any, studio: StudioServer) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    opened.on("request", lambda request: faults.append(request.url) if "127.0.0.1" not in request.url else None)
    opened.set_default_timeout(LONG_MS)
    opened.goto(studio.url)
    yield opened
    opened.close()
    assert faults == []


def test_from_recordings_to_a_voice_that_is_exported(
    page: Any, studio: StudioServer, speech: Callable[..., Path], tmp_path: Path
) -> None:
    work = studio.workshop.folder.path
    data = speech("tapes", count=8)
    page.get_by_label("Voice", exact=True).fill("jane")
    page.keyboard.press("Enter")
    # Recordings: dropped files, what they are, what is wrong with them.
    files = [str(path) for path in [*sorted((data / "clips").glob("*.wav")), data / "transcripts.csv"]]
    page.locator("#files").set_input_files(files)
    page.get_by_text("8 clips with words").wait_for()
    page.get_by_role("button", name="Examine them").click()
    page.locator("#findings p").first.wait_for()
    assert "clips can be used" in page.locator("#findings").inner_text()
    # Whose voice, which engine: the recipe is written and checked.
    page.get_by_label("Who speaks").fill("A tone")
    page.get_by_label("What the person agreed to").fill("Tones need not be asked.")
    toy = page.locator(".choice", has_text="toy, with its own defaults")
    toy.click()
    assert "Fits this machine" in toy.inner_text() or "gives no estimate" in toy.inner_text()
    page.get_by_role("button", name="Write the recipe").click()
    page.get_by_text("No problems.").wait_for()
    text = page.locator("#recipe-text").input_value()
    page.locator("#recipe-text").fill(
        text + "lora: {rank: 4, alpha: 8}\ntrain: {epochs: 2, batch_size: 2, validation: 0.2, learning_rate: 1e-2}\n"
        "evaluate: {metrics: [delivery], clips: 2, sentences: [hello there], checkpoint_sentences: 1}\n"
    )
    with page.expect_response("**/api/recipe-text"):
        page.get_by_role("button", name="Save and check").click()
    assert (work / "jane.yaml").read_text().endswith("checkpoint_sentences: 1}\n")
    # Plan and run, live.
    page.get_by_role("button", name="Make the plan").click()
    page.locator("#plan-lines dt", has_text="training").wait_for()
    page.get_by_role("button", name="Start", exact=True).click()
    page.locator("#curves figure").first.wait_for()
    assert "loss" in page.locator("#curves figcaption").first.inner_text()
    page.locator("#heard audio").first.wait_for(state="attached")
    page.get_by_text("The run is done.").wait_for()
    assert (work / "voices" / "jane" / "voice.json").is_file()
    # Listen, speak, export.
    page.locator("#samples audio").first.wait_for(state="attached")
    assert page.locator("#listen-link").is_visible()
    page.get_by_label("Text", exact=True).fill("hello there")
    page.get_by_role("button", name="Speak", exact=True).click()
    page.locator("#spoken audio").wait_for(state="attached")
    assert page.evaluate("document.querySelector('#spoken audio').src").startswith(
        f"http://127.0.0.1:{studio.server_port}"
    )
    page.get_by_label("into the new folder").fill("out")
    page.locator("#target").select_option("voice")
    page.get_by_role("button", name="Export", exact=True).click()
    page.locator("#jobs li", has_text="export").get_by_text("done").wait_for()
    assert json.loads((work / "out" / "export.json").read_text())["target"] == "voice"
    # The page is usable on a phone and without a mouse.
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert unlabelled(page) == []


def test_a_run_is_stopped_goes_on_and_the_queue_waits(
    page: Any, studio: StudioServer, speech: Callable[..., Path]
) -> None:
    work = studio.workshop.folder.path
    for name in ("ann", "bob"):
        (work / f"{name}.yaml").write_text(
            f"voice: {name}\nengine: toy\ndata: [{{source: {speech(name, count=8)}}}]\nlora: {{rank: 4, alpha: 8}}\n"
            f"train: {{epochs: {400 if name == 'ann' else 1}, batch_size: 2, learning_rate: 1e-3, validation: 0}}\n"
            "evaluate: {metrics: [delivery], train_sentences: 0, sentences: [hi], checkpoint_sentences: 0}\n"
        )
    for name in ("ann", "bob"):
        page.get_by_label("Voice", exact=True).fill(name)
        page.keyboard.press("Enter")
        page.locator("#recipe-file", has_text=f"{name}.yaml").wait_for()
        page.locator("#start-run").click()
    page.locator("#jobs li", has_text="bob.yaml").get_by_text("waiting").wait_for()
    page.get_by_label("Voice", exact=True).fill("ann")
    page.keyboard.press("Enter")
    page.locator("#curves figure").first.wait_for()
    page.get_by_role("button", name="Stop at a safe point").click()
    page.get_by_text("The run was stopped; start it to go on.").wait_for()
    page.get_by_role("button", name="Go on").wait_for()
    page.locator("#jobs li", has_text="bob.yaml").get_by_text("done").wait_for()
    assert any((work / "runs" / "ann" / "checkpoints").rglob("checkpoint-*"))


def unlabelled(page: Any) -> list[str]:
    """Return the controls that a screen reader has no name for."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('input, select, textarea, button, a')].filter((control) => {
          const labels = control.labels ? [...control.labels].map((label) => label.textContent.trim()).join('') : '';
          return !(labels || control.textContent.trim() || control.getAttribute('aria-label'));
        }).map((control) => control.outerHTML.slice(0, 80))"""
    )
    return found
