"""The page to listen to, opened from disk in a real browser."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vtune import pipeline
from vtune.folders import VoiceFolder
from vtune.recipe import Recipe


@pytest.fixture
def folder(toy: Callable[..., Recipe], speech: Callable[..., Path]) -> VoiceFolder:
    held = speech("held", count=3, first=50)
    (made,) = pipeline.run(toy(evaluate={"source": str(held), "clips": 3}))
    return made


@pytest.fixture
def page(browser: Any, folder: VoiceFolder) -> Iterator[Any]:
    """As on a phone; whatever it asks of another host, or its own policy forbids, is a failure."""
    context = browser.new_context(viewport={"width": 390, "height": 800})
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None
    )
    opened.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    opened.goto(folder.page.absolute().as_uri())
    yield opened
    context.close()
    assert not wrong


def wait(page: Any, true: str) -> None:
    # Not wait_for_function, which the page's own policy against eval stops.
    end = time.monotonic() + 60
    while not page.evaluate(true):
        assert time.monotonic() < end, f"never true: {true}"
        page.wait_for_timeout(20)


def test_every_player_has_its_sound(page: Any) -> None:
    wait(page, "[...document.querySelectorAll('audio')].every(one => one.duration > 0.1)")
    assert page.evaluate("document.querySelectorAll('audio').length") == 3 * 3


def test_one_plays_at_a_time(page: Any) -> None:
    page.evaluate("document.querySelectorAll('audio').forEach(one => { one.loop = true; one.muted = true; })")
    page.evaluate("document.querySelectorAll('audio')[0].play()")
    wait(page, "document.querySelectorAll('audio')[0].currentTime > 0")
    page.evaluate("document.querySelectorAll('audio')[4].play()")
    wait(page, "document.querySelectorAll('audio')[0].paused && !document.querySelectorAll('audio')[4].paused")


def test_nothing_stands_out_of_a_phone(page: Any) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("tbody tr").count() >= 2
