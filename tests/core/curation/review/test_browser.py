"""The page is operated in a real browser by keyboard alone, and the files are checked afterwards."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vtune.curation.review import Review
from vtune.curation.review.server import ReviewServer


@pytest.fixture
def folder(spoken: Callable[..., Path]) -> Path:
    return spoken(count=6, clip_1="low probability; repeats itself")


@pytest.fixture
def server(folder: Path) -> Iterator[ReviewServer]:
    with ReviewServer(Review(str(folder))) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture
def page(browser: Any, server: ReviewServer) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    context.add_init_script("localStorage.setItem('vtune-autoplay', 'no')")
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda asked: wrong.append(asked.url) if "127.0.0.1" not in asked.url else None)
    opened.on("console", lambda entry: wrong.append(entry.text) if "Content Security Policy" in entry.text else None)
    opened.goto(server.url)
    wait(opened, "document.querySelectorAll('.row').length > 0 && !document.getElementById('audio').seeking")
    yield opened
    context.close()
    assert not [entry for entry in wrong if not entry.startswith("data:")]


def wait(page: Any, true: str) -> None:
    # Not wait_for_function, which the page's own policy against eval stops.
    end = time.monotonic() + 60
    while not page.evaluate(true):
        assert time.monotonic() < end, f"never true: {true}"
        page.wait_for_timeout(20)


def saved(page: Any) -> None:
    wait(page, "document.getElementById('state').textContent === 'All edits saved'")


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def at_clip(page: Any, name: str) -> None:
    wait(page, f"document.getElementById('name').textContent === '{name}'")


def text_of(page: Any, name: str) -> str:
    return str(page.text_content(f"#{name}"))


def texts(folder: Path, table: Callable[[Path], list[list[str]]]) -> dict[str, str]:
    return {row[0]: row[1] for row in table(folder)}


def test_listening(page):
    assert page.url.endswith("/")  # the token is not left in the address
    at_clip(page, "clip_0.wav")
    wait(page, "document.getElementById('audio').readyState === 4")
    assert page.evaluate("document.getElementById('audio').duration") == pytest.approx(1, abs=0.01)
    press(page, "Space")
    wait(page, "document.getElementById('audio').currentTime > 0.1")
    press(page, "Space")
    wait(page, "document.getElementById('audio').paused")
    box = page.locator("#wave").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    wait(page, "Math.abs(document.getElementById('audio').currentTime - 0.5) < 0.02")
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 20, steps=4)
    page.mouse.up()
    wait(page, "document.getElementById('time').textContent.includes('0.40 s selected')")
    wait(page, "document.getElementById('audio').paused && document.getElementById('audio').currentTime < 0.25")
    press(page, "w")
    wait(page, "document.getElementById('spectrogram').width > 400")
    drawn = "id => new Set(document.getElementById(id).getContext('2d').getImageData(0, 0, 400, 80).data).size"
    assert page.evaluate(drawn, "wave") > 4
    wait(
        page, "new Set(document.getElementById('spectrogram').getContext('2d').getImageData(0,0,400,80).data).size > 20"
    )


def test_an_hour_of_work_in_a_minute(page, folder, table):
    start = (folder / "transcript.csv").read_bytes()
    press(page, "j")
    at_clip(page, "clip_1.wav")
    assert text_of(page, "flags") == "low probabilityrepeats itself"
    press(page, "e", "End")
    page.keyboard.type(" <laugh>& more")
    press(page, "Control+Enter")
    at_clip(page, "clip_2.wav")
    saved(page)
    assert texts(folder, table)["clip_1"] == "first 1 then second <laugh>& more"
    press(page, "k")
    at_clip(page, "clip_1.wav")
    press(page, "a")  # approve, next
    at_clip(page, "clip_2.wav")
    saved(page)
    assert table(folder)[1] == ["clip_1", "first 1 then second <laugh>& more", ""]
    assert "1 / 6 clips approved" in text_of(page, "count")
    press(page, "d")
    wait(page, "document.getElementById('badges').textContent.includes('dropped')")
    assert "clip_2" not in texts(folder, table)
    press(page, "d")
    wait(page, "!document.getElementById('badges').textContent.includes('dropped')")
    assert list(texts(folder, table)) == [f"clip_{n}" for n in range(6)]
    press(page, "d", "j")
    at_clip(page, "clip_3.wav")
    wait(page, "document.getElementById('audio').readyState === 4")
    page.evaluate("document.getElementById('audio').pause()")
    page.evaluate("document.getElementById('audio').currentTime = 0.5")
    press(page, "e", "Home", *["ArrowRight"] * 7, "Escape", "s")
    assert page.input_value("#first") == "first 3"
    assert page.input_value("#second") == "then second"
    press(page, "Control+Enter")
    at_clip(page, "clip_3_a.wav")
    saved(page)
    rows = texts(folder, table)
    assert (rows["clip_3_a"], rows["clip_3_b"]) == ("first 3", "then second")
    assert "clip_3" not in rows
    assert (folder / "clip_3_a.wav").exists()
    press(page, "u")
    at_clip(page, "clip_3.wav")
    saved(page)
    assert not (folder / "clip_3_a.wav").exists()
    for _ in range(5):  # drop, put back, drop, approve, words; one by one
        page.keyboard.press("u")
        saved(page)
    wait(page, "document.getElementById('undo').disabled")
    assert (folder / "transcript.csv").read_bytes() == start
    actions = [json.loads(line)["action"] for line in (folder / "review.jsonl").read_text().splitlines()]
    assert actions[:6] == ["words", "approve", "drop", "restore", "drop", "split"]
    assert actions[6:] == ["undo"] * 6


def test_search_filter_and_help(page):
    press(page, "/")
    page.keyboard.type("clip_4")
    press(page, "Enter")
    at_clip(page, "clip_4.wav")
    assert page.locator(".row").count() == 1
    press(page, "/", "Escape", "2")
    at_clip(page, "clip_1.wav")
    assert page.locator(".row").count() == 1
    press(page, "?")
    assert page.locator("#keys").is_visible()
    press(page, "a", "d", "Escape")
    assert not page.locator("#keys").is_visible()
    assert "0 / 6 clips approved" in text_of(page, "count")


def test_what_was_typed_is_not_lost(page, folder, table, server):
    path = folder / "transcript.csv"
    path.write_bytes(path.read_bytes().replace(b"first 5", b"theirs 5"))
    press(page, "e")
    page.keyboard.press("Control+a")
    page.keyboard.type("typed words")
    press(page, "Escape")
    wait(page, "document.getElementById('saved').textContent.startsWith('Not saved')")
    wait(page, "document.getElementById('error').textContent.includes('another program')")
    wait(page, "document.getElementById('state').textContent.includes('1 edits not saved')")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.close(run_before_unload=True)
    for _ in range(600):
        if asked:
            break
        page.wait_for_timeout(100)
    assert asked == ["beforeunload"]
    press(page, "j", "k")
    at_clip(page, "clip_0.wav")
    page.click("#again")
    wait(page, "document.getElementById('banner').hidden")
    assert page.input_value("#words") == "typed words"
    press(page, "e", "Enter")
    saved(page)
    assert list(texts(folder, table).values())[::5] == ["typed words", "theirs 5 then second"]
    press(page, "e", "Control+a", "Delete", "Escape")
    wait(page, "document.getElementById('saved').textContent.includes('there are no words')")
    page.click("#revert")
    saved(page)
    assert page.input_value("#words") == "typed words"


def test_words_that_look_like_a_page_are_words(page, server, monkeypatch):
    from vtune.curation.review import api as answers

    nasty = "<img src=x onerror=alert(1)> </script>"
    clip = {**answers.clip_data(server.review, server.review.clip(1)), "text": nasty}
    monkeypatch.setattr(
        "vtune.curation.review.server.review_data",
        lambda review, flagged: {"title": "x", "description": [], "flagged": flagged, "clips": [clip], "undo": None},
    )
    page.reload()
    wait(page, "document.querySelectorAll('.row').length > 0")
    assert page.input_value("#words") == nasty
    assert page.locator(".row .text").first.text_content() == nasty
    assert page.locator("img").count() == 0


def test_five_thousand_clips_are_a_window_of_rows(page, server, monkeypatch):
    from vtune.curation.review import api as answers

    clip_data = answers.clip_data(server.review, server.review.clip(1))
    many = [
        {**clip_data, "n": n, "name": f"clip_{n}.wav", "text": f"words {n}", "there": False} for n in range(1, 5001)
    ]
    monkeypatch.setattr(
        "vtune.curation.review.server.review_data",
        lambda review, flagged: {"title": "x", "description": [], "flagged": flagged, "clips": many, "undo": None},
    )
    page.reload()
    wait(page, "document.querySelectorAll('.row').length > 0")
    page.evaluate("document.getElementById('list').scrollTop = 54 * 3000")
    wait(page, "[...document.querySelectorAll('.row')].some(row => row.textContent.includes('words 3005'))")
    assert page.locator(".row").count() < 60
    took = page.evaluate(
        """() => { const start = performance.now();
        for (let n = 0; n < 50; n++) document.dispatchEvent(new KeyboardEvent('keydown', {key: 'j'}));
        return (performance.now() - start) / 50; }"""
    )
    assert took < 50  # milliseconds a key


def test_the_direction_of_a_text_is_that_of_its_letters(page, folder, table):
    at_clip(page, "clip_0.wav")
    press(page, "e")
    page.fill("#words", "שלום עולם, hello")
    press(page, "Escape")
    saved(page)
    direction = "getComputedStyle(document.querySelector('{}')).direction"
    assert page.evaluate(direction.format("#words")) == "rtl"
    assert page.evaluate(direction.format(".row .text")) == "rtl"
    press(page, "j")
    at_clip(page, "clip_1.wav")
    assert page.evaluate(direction.format("#words")) == "ltr"


def test_a_search_without_a_match_says_so(page):
    press(page, "/")
    page.keyboard.type("xylophone")
    assert "No clip has “xylophone”" in text_of(page, "empty")
    assert page.is_visible("#empty")
    page.click("#show-all")
    assert not page.is_visible("#empty")
    assert page.evaluate("document.querySelectorAll('.row').length") == 6


def test_nothing_is_cut_off_at_400_pixels(page):
    page.set_viewport_size({"width": 400, "height": 800})
    press(page, "/")
    page.keyboard.type("clip")
    press(page, "Enter")
    outside = """[...document.querySelectorAll('button, input, textarea, select, canvas, h1, h2, #count, .row')]
        .filter((node) => node.offsetParent && !node.closest('dialog'))
        .filter((node) => node.getBoundingClientRect().left < 0 || node.getBoundingClientRect().right > innerWidth + 1)
        .map((node) => node.id || node.className)"""
    assert page.evaluate(outside) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.evaluate("document.getElementById('words').getBoundingClientRect().width") > 300
    press(page, "?")
    assert page.evaluate("document.getElementById('keys').scrollWidth") <= 400
