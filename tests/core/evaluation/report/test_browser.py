"""The page to listen to is opened from disk in a real browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

TEXTS = ("one and two", "three and four", "five and six")
RATE = 16_000


def wait(page: Any, true: str) -> None:
    # Not wait_for_function, which the page's own policy against eval stops.
    end = time.monotonic() + 60
    while not page.evaluate(true):
        assert time.monotonic() < end, f"never true: {true}"
        page.wait_for_timeout(20)


def long(*_: object) -> np.ndarray:
    return (0.1 * np.sin(np.arange(20 * RATE) / 10)).astype(np.float32)


def test_every_player_has_its_sound(page: Any) -> None:
    page.evaluate("""
        for (const utterance of sentences.flatMap((sentence) => sentence.utterances)) {
          const audio = new Audio(utterance.track.address);
          audio.onloadedmetadata = () => { utterance.lasts = audio.duration; };
        }
    """)
    wait(page, "sentences.flatMap((sentence) => sentence.utterances).every((utterance) => utterance.lasts)")
    lengths = page.evaluate("""
        sentences.flatMap((sentence) => sentence.utterances)
          .map((utterance) => [utterance.lasts, utterance.track.seconds])
    """)
    assert len(lengths) == 3 * 3
    for lasts, shown in lengths:
        assert shown == 0.5
        assert lasts == pytest.approx(shown, abs=0.12)  # MP3 has whole frames


def test_a_browser_without_scripts_has_players_of_its_own(
    visit: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    page = visit(listen().path, java_script_enabled=False)
    assert page.locator("audio").count() == 3 * 3
    assert page.locator("audio").first.is_visible()
    assert page.locator("img").first.is_visible()
    for control in (".play", "#controls", "#blind-open", "#blind"):
        assert not page.locator(control).first.is_visible()


def test_one_plays_at_a_time(visit: Callable[..., Any], listen: Callable[..., Any]) -> None:
    page = visit(listen(sound=long).path)
    buttons = page.locator(".play")
    buttons.nth(1).click()
    wait(page, "sound.currentTime > 0.1")
    assert page.locator(".utterance.on").get_attribute("data-system") == "voice"
    assert buttons.nth(1).get_attribute("aria-label") == "pause voice"
    buttons.nth(5).click()
    wait(page, "sound.currentTime > 0 && current === sentences[1].utterances[2].track")
    assert page.locator(".utterance.on").count() == 1
    assert page.locator(".utterance.on").get_attribute("data-system") == "base"
    assert page.evaluate("sentences[0].utterances[1].track.at") == 0
    buttons.nth(5).click()
    wait(page, "sound.paused && !document.querySelector('.utterance.on')")
    assert page.evaluate("document.querySelectorAll('audio').length") == 0


def test_the_playhead_follows_and_a_click_on_the_picture_seeks(
    visit: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    page = visit(listen(sound=long).path)
    picture, head = page.locator(".picture").nth(1), page.locator(".picture i").nth(1)
    assert not head.is_visible()
    box = picture.bounding_box()
    picture.click(position={"x": 0.5 * box["width"], "y": 5})
    wait(page, "sound.currentTime > 10.1")
    share = (head.bounding_box()["x"] - picture.bounding_box()["x"]) / box["width"]
    assert share == pytest.approx(page.evaluate("sound.currentTime") / 20, abs=0.03)
    page.keyboard.press("Home")
    wait(page, "sound.currentTime < 5 && !sound.paused")
    page.keyboard.press("Enter")
    wait(page, "sound.paused")
    page.keyboard.press("ArrowRight")
    before = float(picture.get_attribute("aria-valuenow"))
    page.keyboard.press("ArrowRight")
    assert float(picture.get_attribute("aria-valuenow")) == pytest.approx(before + 0.2, abs=0.011)
    assert picture.get_attribute("aria-valuetext").endswith(" of 20.0 s")


def test_the_picture_of_one_that_runs_away_moves_with_the_playhead(
    visit: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    lengths = {"voice": 1, "other": 1, "third": 1, "base": 20}
    made = listen(("hi",), tuple(lengths), recordings=False, sound=lambda _t, _s, who: long()[: lengths[who] * RATE])
    page = visit(made.path)
    wide = page.locator(".strip").nth(3)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    wide.scroll_into_view_if_needed()
    page.evaluate("start(sentences[0].utterances[3].track, 19)")
    wait(page, "document.querySelectorAll('.strip')[3].scrollLeft > 0 || sound.ended")
    assert page.evaluate("document.querySelectorAll('.strip')[3].scrollLeft") > 0


def test_keys_play_and_move(visit: Callable[..., Any], listen: Callable[..., Any]) -> None:
    page = visit(listen(sound=long).path)
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.id") == "sentence-2"
    page.keyboard.press("3")
    wait(page, "current === sentences[1].utterances[2].track && sound.currentTime > 0")
    page.keyboard.press("1")
    wait(page, "current === sentences[1].utterances[0].track && sound.currentTime > 0")
    page.keyboard.press(" ")
    wait(page, "sound.paused")
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.id") == "sentence-1"


def test_the_worst_come_first_and_systems_can_be_hidden(visit: Callable[..., Any], listen: Callable[..., Any]) -> None:
    result = {("voice", text): ({"wer": wrong, "speaker_similarity": similarity}, text) for text, wrong, similarity in
             zip(TEXTS, (0.1, 0.5, 0.3), (0.9, 0.8, 0.2), strict=True)}  # fmt: skip
    result["base", TEXTS[0]] = {"wer": 0.9}, "what"
    page = visit(listen(TEXTS, found=result).path)
    shown = "[...document.querySelectorAll('article .text')].map((one) => one.textContent)"
    assert page.evaluate(shown) == list(TEXTS)
    page.select_option("#order", "wer")
    assert page.evaluate(shown) == [TEXTS[1], TEXTS[2], TEXTS[0]]
    page.select_option("#order", "speaker_similarity")
    assert page.evaluate(shown) == [TEXTS[2], TEXTS[1], TEXTS[0]]
    page.select_option("#order", "wer")
    page.select_option("#whose", "base")
    assert page.evaluate(shown) == [TEXTS[0], TEXTS[1], TEXTS[2]]
    page.select_option("#order", "")
    assert page.evaluate(shown) == list(TEXTS)
    page.locator("#shown label", has_text="base").click()
    assert not page.locator(".utterance[data-system=base]").first.is_visible()
    assert page.locator(".utterance[data-system=voice]").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_out_of_a_phone(visit: Callable[..., Any], listen: Callable[..., Any], scheme: str) -> None:
    systems = ("voice", "checkpoint-400", "checkpoint-800", "a_voice_with_quite_a_long_name_for_a_phone", "base")
    page = visit(listen((*TEXTS, "w" * 90), systems, seeds=2).path, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    fits = "[document.documentElement, document.getElementById('blind')].every((one) => one.scrollWidth <= innerWidth)"
    assert page.evaluate(fits)
    page.click("#blind-open")
    assert page.evaluate(fits)
    page.click("#blind-begin")
    assert page.evaluate(fits)
    for _ in range(page.evaluate("session.trials.length")):
        page.keyboard.press("1")
        page.keyboard.press("2")
        page.keyboard.press("a")
    assert page.locator("#blind-result").is_visible()
    assert page.evaluate(fits)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(246, 246, 244)" if scheme == "light" else "rgb(21, 23, 26)"
    )
