"""The whole way of a voice through the page alone, in a real browser, with the toy engine and a Hub of the tests."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_hub import TOKEN, FakeHub, serving

from vtune.studio.server import StudioServer
from vtune.studio.workshop import Workshop

pytestmark = pytest.mark.slow

WAIT_MS = 120_000
"""For each thing that the page shows. The slowest, a run, takes 15 s, and a minute beside six other programs."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """Start a Hub for the commands that the studio starts, which inherit the environment and know the toy alone."""
    with serving(FakeHub()) as hub:
        for name, value in {
            "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1", "VTUNE_BLOCK_PLUGINS": "hibari,indextts2,orpheus,vits",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        yield hub
        assert hub.unknown == []


@pytest.fixture
def studio(tmp_path: Path, hub: FakeHub) -> Iterator[StudioServer]:
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
    opened.set_default_timeout(WAIT_MS)
    opened.goto(studio.url)
    yield opened
    opened.close()
    assert faults == []


@contextmanager
def telling_what_is_seen(page: Any, studio: StudioServer) -> Iterator[None]:
    """Add to a wait that failed what the page shows, and how the newest commands went."""
    from playwright.sync_api import TimeoutError as WaitedTooLong

    try:
        yield
    except WaitedTooLong as waited:
        queue = studio.workshop.queue
        logs = [f"{job['command']}: {job['state']}\n{queue.log(job['number'])[-1500:]}" for job in queue.data()[:3]]
        shown = page.locator("body").inner_text(timeout=5_000)
        raise AssertionError(f"{waited}\nThe page shows:\n{shown}\nNewest commands:\n" + "\n".join(logs)) from None


def open_voice(page: Any, name: str) -> None:
    page.get_by_label("Voice", exact=True).fill(name)
    page.keyboard.press("Enter")


def a_popup_says(page: Any, press: Callable[[], None], words: str) -> None:
    """Wait until the page that a control opens shows these words, which its scripts may fetch after it has opened."""
    with page.expect_popup() as opened:
        press()
    opened.value.get_by_text(words).first.wait_for()
    opened.value.close()


def test_from_recordings_to_a_voice_on_the_hub(
    page: Any, studio: StudioServer, hub: FakeHub, speech: Callable[..., Path]
) -> None:
    data = speech("tapes", count=6)
    with telling_what_is_seen(page, studio):
        recordings_are_examined(page, data)
        the_recipe_is_written(page, studio.workshop.folder.path)
        the_run_is_seen(page, studio.workshop.folder.path)
        the_voice_is_heard(page, studio)
        the_voice_is_shared(page, studio.workshop.folder.path, hub)
        # The page is usable on a phone and without a mouse.
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert unlabelled(page) == []


def recordings_are_examined(page: Any, data: Path) -> None:
    open_voice(page, "jane")
    files = [str(path) for path in [*sorted((data / "clips").glob("*.wav")), data / "transcripts.csv"]]
    page.locator("#files").set_input_files(files)
    page.get_by_text("6 clips with words").wait_for()
    page.get_by_role("button", name="Examine them").click()
    page.locator("#findings", has_text="clips can be used").wait_for()
    a_popup_says(page, page.get_by_role("link", name="All findings, with players").click, "clip_000")
    a_popup_says(page, page.get_by_role("button", name="Listen and correct").click, "clip_000")


def the_recipe_is_written(page: Any, work: Path) -> None:
    page.get_by_label("Who speaks").fill("A tone")
    page.get_by_label("What the person agreed to").fill("Tones need not be asked.")
    toy = page.locator(".choice", has_text="toy, with its own defaults")
    toy.click()
    toy.get_by_text(re.compile("Fits this machine|gives no estimate")).wait_for()
    page.get_by_role("button", name="Write the recipe").click()
    page.get_by_text("No problems.").wait_for()
    text = page.locator("#recipe-text").input_value()
    page.locator("#recipe-text").fill(
        text + "lora: {rank: 4, alpha: 8}\ntrain: {epochs: 2, batch_size: 2, validation: 0.3, learning_rate: 1e-2}\n"
        "evaluate: {metrics: [delivery], selection: [stop_rate], clips: 1, train_sentences: 0, sentences: [hello], "
        "checkpoint_sentences: 1}\n"
    )
    with page.expect_response("**/api/recipe-text"):
        page.get_by_role("button", name="Save and check").click()
    assert (work / "jane.yaml").read_text().endswith("checkpoint_sentences: 1}\n")


def the_run_is_seen(page: Any, work: Path) -> None:
    page.get_by_role("button", name="Make the plan").click()
    page.locator("#plan-lines dt", has_text="training").wait_for()
    page.get_by_role("button", name="Start", exact=True).click()
    page.locator("#curves figcaption", has_text="loss").first.wait_for()
    page.locator("#heard audio").first.wait_for(state="attached")
    page.get_by_text("The run is done.").wait_for()
    assert (work / "voices" / "jane" / "voice.json").is_file()


def the_voice_is_heard(page: Any, studio: StudioServer) -> None:
    page.locator("#samples audio").first.wait_for(state="attached")
    page.locator("#scores table", has_text="sentences that end by themselves").wait_for()
    a_popup_says(page, page.locator("#listen-link").click, "jane")
    page.get_by_role("button", name="Make a blind test against its base").click()
    page.locator("#text").fill("hello there")
    page.get_by_role("button", name="Speak", exact=True).click()
    page.locator("#spoken audio").wait_for(state="attached")
    assert page.evaluate("document.querySelector('#spoken audio').src").startswith(
        f"http://127.0.0.1:{studio.server_port}"
    )
    page.locator("#blind-link").wait_for()
    a_popup_says(page, page.locator("#blind-link").click, "blind")
    page.get_by_role("button", name="Serve all voices of this folder").click()
    page.locator("#server-link").wait_for()
    a_popup_says(page, page.locator("#server-link").click, "vtune")
    page.locator("#jobs li", has_text="vtune serve").get_by_role("button", name="Stop").click()


def the_voice_is_shared(page: Any, work: Path, hub: FakeHub) -> None:
    page.get_by_label("into the new folder").fill("out")
    page.locator("#target").select_option("voice")
    page.get_by_role("button", name="Export", exact=True).click()
    page.locator("#jobs li", has_text="vtune export jane out").get_by_text("done").wait_for()
    assert json.loads((work / "out" / "export.json").read_text())["target"] == "voice"
    page.get_by_label("Repository on the Hub").fill("maker/jane")
    page.get_by_role("button", name="Push", exact=True).click()
    page.locator("#jobs li", has_text="--push maker/jane").get_by_text("done").wait_for()
    assert hub.model("maker/jane").private
    assert "Tones need not be asked." in hub.model("maker/jane").files["README.md"].decode()


def test_a_run_is_stopped_goes_on_and_the_queue_waits(
    page: Any, studio: StudioServer, speech: Callable[..., Path]
) -> None:
    work = studio.workshop.folder.path
    for name, epochs in (("ann", 400), ("bob", 1)):
        (work / f"{name}.yaml").write_text(
            f"voice: {name}\nengine: toy\ndata: [{{source: {speech(name, count=6)}}}]\nlora: {{rank: 4, alpha: 8}}\n"
            f"train: {{epochs: {epochs}, batch_size: 2, learning_rate: 1e-3, validation: 0}}\n"
            "evaluate: {metrics: [delivery], train_sentences: 0, sentences: [hi], checkpoint_sentences: 0}\n"
        )
    with telling_what_is_seen(page, studio):
        for name in ("ann", "bob"):
            open_voice(page, name)
            page.locator("#recipe-file", has_text=f"{name}.yaml").wait_for()
            page.locator("#start-run").click()
        page.locator("#jobs li", has_text="bob.yaml").get_by_text("waiting").wait_for()
        open_voice(page, "ann")
        page.locator("#curves figure").first.wait_for()
        page.get_by_role("button", name="Stop at a safe point").click()
        page.get_by_text("The run was stopped; start it to go on.").wait_for()
        assert any((work / "runs" / "ann" / "checkpoints").rglob("checkpoint-*"))
        page.locator("#jobs li", has_text="bob.yaml").get_by_text("done").wait_for()
        page.get_by_role("button", name="Go on").click()
        page.locator("#log", has_text="resuming from").wait_for(state="attached")
        page.get_by_role("button", name="Stop at a safe point").click()
        page.get_by_text("The run was stopped; start it to go on.").wait_for()


def unlabelled(page: Any) -> list[str]:
    """Return the controls that a screen reader has no name for."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('input, select, textarea, button, a')].filter((control) => {
          const labels = control.labels ? [...control.labels].map((label) => label.textContent.trim()).join('') : '';
          return !(labels || control.textContent.trim() || control.getAttribute('aria-label'));
        }).map((control) => control.outerHTML.slice(0, 80))"""
    )
    return found
