"""The page in a real browser, by keyboard alone: typing, listening, comparing, downloading."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

KEY = "0123456789abcdef"
SHOTS = os.environ.get("VTUNE_SCREENSHOTS")
"""A folder for screenshots of the page."""


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open the page of a server; the test fails if the page logs an error or asks another host."""
    contexts, wrong = [], []

    def make(url: str, width: int = 1200, height: int = 800, dark: bool = False) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: wrong.append(asked.url) if "127.0.0.1" not in asked.url else None)
        page.on("console", lambda entry: wrong.append(entry.text) if "Content Security Policy" in entry.text else None)
        page.goto(url)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not [entry for entry in wrong if not entry.startswith(("data:", "blob:http://127.0.0.1"))]


def wait(page: Any, true: str) -> None:
    # Not wait_for_function, which the page's own policy against eval stops.
    end = time.monotonic() + 60
    while not page.evaluate(true):
        assert time.monotonic() < end, f"never true: {true}"
        page.wait_for_timeout(20)


def ready(page: Any) -> None:
    wait(page, "!document.getElementById('main').hidden && document.querySelector('.voice select').options.length > 0")


def shot(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


COLOURS = """(() => {
  const canvas = document.querySelector('.voice canvas');
  const pixels = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  const often = {};
  for (const pixel of pixels) if (pixel) often[pixel] = (often[pixel] || 0) + 1;
  return Object.values(often).filter(count => count > 20).length;
})()"""
"""How many colours the picture of the first voice has: heard, to be heard, and not there yet."""


def state(number: int) -> str:
    return f"document.querySelectorAll('.state')[{number}].textContent"


def test_a_voice_is_heard_and_kept(open_page: Callable[..., Any], client: Any) -> None:
    page = open_page(client.url)
    ready(page)
    assert page.evaluate("document.activeElement.id") == "words"
    page.keyboard.type("hello there")
    page.fill("#seed", "1")
    page.keyboard.press("Control+Enter")
    wait(page, "document.querySelector('.voice').classList.contains('speaking')")
    wait(page, "document.querySelector('.bar').getAttribute('aria-valuenow') > 20")
    shot(page, "speaking")
    assert page.evaluate(COLOURS) >= 3
    wait(page, "!document.querySelector('.download').hidden")
    wait(page, "!document.querySelector('.voice').classList.contains('speaking')")
    seconds = f"{len(client.said()) / 24_000:.1f}"
    assert page.evaluate(state(0)).startswith(f"{seconds} s, first sound after ")
    assert page.evaluate(state(0)).endswith("seed 1")
    with page.expect_download() as caught:
        page.click(".download")
    assert caught.value.suggested_filename == "anna-1.wav"
    sound, rate = soundfile.read(io.BytesIO(Path(caught.value.path()).read_bytes()), dtype="float32")
    assert rate == 24_000
    assert np.abs(sound - client.said()).max() < 1e-4


def test_two_voices_are_compared_one_after_the_other(open_page: Callable[..., Any], client: Any) -> None:
    page = open_page(client.url)
    ready(page)
    page.fill("#words", "hello there, you two")
    page.focus(".voice:nth-child(2) select")
    page.keyboard.press("b")
    assert page.evaluate("document.querySelectorAll('select')[1].value") == "ben"
    page.keyboard.press("Control+Enter")
    wait(page, "document.querySelectorAll('.speaking').length === 1")
    assert page.evaluate("document.querySelectorAll('.voice')[0].classList.contains('speaking')")
    wait(page, "document.querySelectorAll('.voice')[1].classList.contains('speaking')")
    assert not page.evaluate("document.querySelectorAll('.voice')[0].classList.contains('speaking')")
    wait(page, "document.querySelectorAll('.download:not([hidden])').length === 2")
    shot(page, "compared")
    wait(page, "!document.querySelector('.speaking')")
    seeds = [page.evaluate(state(number)).rpartition(" ")[2] for number in (0, 1)]
    assert seeds[0] == seeds[1]
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("2")
    wait(page, "document.querySelectorAll('.voice')[1].classList.contains('speaking')")
    page.keyboard.press("1")
    wait(page, "document.querySelectorAll('.voice')[0].classList.contains('speaking')")
    assert page.evaluate("document.querySelectorAll('.speaking').length") == 1


def test_escape_stops_the_sound_and_the_server(open_page: Callable[..., Any], client: Any) -> None:
    page = open_page(client.url)
    ready(page)
    page.fill("#words", "hello there " * 300)
    page.keyboard.press("Control+Enter")
    wait(page, "document.querySelector('.speaking')")
    page.keyboard.press("Escape")
    wait(page, "!document.querySelector('.speaking') && document.getElementById('stop').disabled")
    client.settled(lambda: client.backend.load().speaking == 0)
    page.fill("#words", "hello there")
    page.click("#speak")
    wait(page, "!document.querySelector('.download').hidden")


def test_a_key_is_asked_for_once(open_page: Callable[..., Any], start: Callable[..., Any], two_voices: Path) -> None:
    server = start(two_voices, keys=(KEY,))
    page = open_page(server.url)
    wait(page, "!document.getElementById('lock').hidden")
    shot(page, "locked")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    wait(page, "document.getElementById('locked').textContent === 'That key does not fit.'")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    ready(page)
    page.fill("#words", "hello")
    page.keyboard.press("Control+Enter")
    wait(page, "!document.querySelector('.download').hidden")
    page.reload()
    ready(page)


def test_mistakes_are_told_and_names_are_only_names(
    open_page: Callable[..., Any], start: Callable[..., Any], tmp_path: Path, make_voice: Callable[..., Any]
) -> None:
    folder = tmp_path / "voices"
    make_voice(folder / "<img src=x onerror=alert(1)>")
    server = start(folder)
    page = open_page(server.url)
    ready(page)
    assert page.locator("img").count() == 0
    page.fill("#words", "hello")
    for voice in folder.iterdir():
        voice.rename(tmp_path / "gone")
    page.keyboard.press("Control+Enter")
    wait(page, "document.getElementById('trouble').textContent.startsWith('no voice')")
    wait(page, "!document.querySelector('.speaking')")
    page.focus("select")
    wait(page, "document.getElementById('trouble').textContent.startsWith('There is no voice yet')")


def test_it_fits_a_phone(open_page: Callable[..., Any], client: Any) -> None:
    page = open_page(client.url, 375, 720, dark=True)
    ready(page)
    page.fill("#words", "hello there")
    page.select_option(".voice:nth-child(2) select", "ben")
    page.click("#speak")
    wait(page, "document.querySelectorAll('.download:not([hidden])').length === 2")
    shot(page, "phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    small = page.evaluate(
        """() => [...document.querySelectorAll('button, select, input, textarea, .download')]
        .filter(one => one.offsetParent && one.getBoundingClientRect().height < 44).map(one => one.outerHTML)"""
    )
    assert small == []
