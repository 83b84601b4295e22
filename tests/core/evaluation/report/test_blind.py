"""The blind comparison of the page, in a real browser: what it reveals and when, what it keeps, and how votes are
counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
TEXTS = tuple(f"sentence of {word}" for word in WORDS)
VOTES = "session.trials.filter((one) => one.vote).length"


def begin(page: Any) -> None:
    page.click("#blind-open")
    page.click("#blind-begin")


def side_of(page: Any, system: str) -> str:
    return "ab"[page.evaluate(f"session.trials[session.at].sides.findIndex((one) => one.system === {system!r})")]


def vote(page: Any, choice: str) -> None:
    """Vote by keyboard, for a system or for no difference."""
    for key in ("1", "2", choice if choice == "=" else side_of(page, choice)):
        page.keyboard.press(key)


def test_votes_come_to_what_scipy_says_and_are_downloaded(
    visit: Callable[..., Any], listen: Callable[..., Any], tmp_path: Path
) -> None:
    made = listen(TEXTS)
    page = visit(made.path)
    page.click("#blind-open")
    assert page.locator("#blind-first").input_value() == "voice"
    assert page.locator("#blind-second").input_value() == "base"
    page.fill("#blind-listener", "Ada <b>")
    page.click("#blind-begin")
    choices = ["voice"] * 9 + ["base"] * 1 + ["="] * 2
    expected: dict[str, str] = {}
    for choice in choices:
        assert not page.locator("#blind-result").is_visible()
        expected[page.locator("#blind-text").inner_text()] = choice
        vote(page, choice)
    assert set(expected) == set(TEXTS)
    test = binomtest(9, 10)
    assert page.locator("#blind-headline").inner_text() == "voice preferred in 9 of 10 decided votes (90 %)"
    assert page.locator("#blind-counts").inner_text().split("\n") == ["voice: 9", "no difference: 2", "base: 1"]
    verdict = page.locator("#blind-verdict").inner_text()
    assert verdict == f"This is significant at 5 % (two-sided exact sign test, p = {test.pvalue:.3f})."
    low, high = test.proportion_ci(method="exact")
    assert f"95 % interval: {100 * low:.0f} % to {100 * high:.0f} %" in page.locator("#blind-test").inner_text()

    with page.expect_download() as started:
        page.click("#blind-download")
    assert started.value.suggested_filename == "votes_someone_voice_base_Ada-b-.json"
    started.value.save_as(tmp_path / "votes.json")
    kept = json.loads((tmp_path / "votes.json").read_text())
    assert (kept["listener"], kept["systems"], kept["planned"]) == ("Ada <b>", ["voice", "base"], 12)
    assert kept["question"] == "Which one do you prefer?"
    assert kept["started"] < kept["ended"]
    for entry in kept["votes"]:
        assert {entry["a"]["system"], entry["b"]["system"]} == {"voice", "base"}
        assert (entry["a"]["seed"], entry["b"]["seed"]) == (0, 0)
        assert entry["plays"] == {"a": 1, "b": 1, "recording": 0}
        meant = {"a": entry["a"]["system"], "b": entry["b"]["system"], "=": None}[entry["vote"]]
        assert entry["preferred"] == meant == (None if expected[entry["text"]] == "=" else expected[entry["text"]])
    assert kept["result"]["preferred"] == [{"system": "voice", "count": 9}, {"system": "base", "count": 1}]
    assert (kept["result"]["ties"], kept["result"]["decided"], kept["result"]["significant"]) == (2, 10, True)
    assert kept["result"]["p"] == pytest.approx(test.pvalue, rel=1e-9)
    assert kept["result"]["interval"] == pytest.approx([low, high], rel=1e-6)


def test_what_may_be_chance_is_said_to_be(visit: Callable[..., Any], listen: Callable[..., Any]) -> None:
    page = visit(listen(TEXTS[:5]).path)
    page.click("#blind-open")
    assert "Fewer than 6 decided votes cannot be significant" in page.locator("#blind-amount").inner_text()
    page.click("#blind-begin")
    for _ in range(5):
        vote(page, "base")
    assert page.locator("#blind-headline").inner_text() == "base preferred in 5 of 5 decided votes (100 %)"
    verdict, _, p = page.locator("#blind-verdict").inner_text().partition("p = ")
    assert verdict == "This is not significant at 5 % (two-sided exact sign test, "
    assert float(p.rstrip(").")) == pytest.approx(binomtest(5, 5).pvalue, abs=0.0006)


def test_nobody_decided(visit: Callable[..., Any], listen: Callable[..., Any]) -> None:
    page = visit(listen(TEXTS[:2]).path)
    begin(page)
    vote(page, "=")
    vote(page, "=")
    assert page.locator("#blind-headline").inner_text() == "No vote for either"
    assert page.locator("#blind-verdict").inner_text() == "Nothing can be tested."


def test_the_p_value_is_that_of_the_exact_binomial_test(page: Any) -> None:
    counts = [(wins, votes) for votes in (1, 2, 5, 6, 17, 40, 101) for wins in range(votes + 1)] + [(950, 2000)]
    result = page.evaluate("(all) => all.map(([wins, votes]) => signTest(wins, votes))", counts)
    assert result == pytest.approx([binomtest(wins, votes).pvalue for wins, votes in counts], rel=1e-9)


def test_the_interval_is_that_of_clopper_and_pearson(page: Any) -> None:
    counts = [(wins, votes) for votes in (1, 2, 9, 40) for wins in range(votes + 1)] + [(950, 2000)]
    result = page.evaluate("(all) => all.map(([wins, votes]) => shareInterval(wins, votes))", counts)
    for (wins, votes), interval in zip(counts, result, strict=True):
        expected = binomtest(wins, votes).proportion_ci(method="exact")
        assert interval == pytest.approx([expected.low, expected.high], abs=1e-9)


def test_nothing_tells_who_is_who_before_the_end(visit: Callable[..., Any], listen: Callable[..., Any]) -> None:
    page = visit(listen(TEXTS[:3], ("tuned", "untuned")).path)
    page.set_viewport_size({"width": 1200, "height": 800})
    begin(page)
    for _ in range(3):
        page.keyboard.press("1")
        assert "tuned" not in page.locator("#blind").inner_text()
        assert page.locator("#blind img").count() == 0
        # The dialog covers the page, and nothing on it moves.
        corners = "[[1, 1], [innerWidth - 2, 1], [1, innerHeight - 2], [innerWidth / 2, innerHeight - 2]]"
        assert page.evaluate(f"{corners}.every(([x, y]) => dialog.contains(document.elementFromPoint(x, y)))")
        opaque = "getComputedStyle(dialog).backgroundColor"
        assert page.evaluate(opaque) == page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert page.locator(".utterance.on").count() == 0
        vote(page, "tuned")
    rows = page.locator("#blind-votes tr").all_inner_texts()
    assert len(rows) == 3
    assert all("tuned" in row for row in rows)


def test_order_and_sides_are_drawn_anew(visit: Callable[..., Any], listen: Callable[..., Any]) -> None:
    page = visit(listen(TEXTS).path)
    drawn = page.evaluate("""
        Array.from({ length: 300 }, () => begin(["voice", "base"], "prefer", "").trials
          .map((one) => [one.number, one.sides[0].system === "voice"]))
    """)
    assert all(sorted(number for number, _ in round_order) == list(range(1, 13)) for round_order in drawn)
    firsts = np.bincount([round_order[0][0] for round_order in drawn], minlength=13)[1:]
    assert firsts.min() > 5  # 25 are expected
    left = np.array([[first for _, first in round_order] for round_order in drawn])
    assert abs(left.mean() - 0.5) < 0.04
    assert len({tuple(row) for row in left.tolist()}) > 200


def test_seeds_go_together_and_every_sentence_comes_once_before_any_comes_again(
    visit: Callable[..., Any], listen: Callable[..., Any]
) -> None:
    page = visit(listen(TEXTS[:4], seeds=3).path)
    trials = page.evaluate('begin(["voice", "base"], "prefer", "").trials')
    assert len(trials) == 4 * 3
    assert all(trial["sides"][0]["seed"] == trial["sides"][1]["seed"] for trial in trials)
    assert len({(trial["number"], trial["sides"][0]["seed"]) for trial in trials}) == 12
    for round_ in range(3):
        assert {trial["number"] for trial in trials[4 * round_ : 4 * round_ + 4]} == {1, 2, 3, 4}
    against = page.evaluate('begin(["voice", "recording"], "prefer", "").trials')
    assert sorted({side["seed"] for trial in against for side in trial["sides"] if side["system"] == "voice"}) == [
        0,
        1,
        2,
    ]


def test_one_system_is_compared_with_the_recording(visit: Callable[..., Any], listen: Callable[..., Any]) -> None:
    page = visit(listen(TEXTS[:2], ("voice",)).path)
    begin(page)
    assert page.evaluate("session.systems") == ["voice", "recording"]
    vote(page, "recording")
    vote(page, "recording")
    assert page.locator("#blind-headline").inner_text() == "recording preferred in 2 of 2 decided votes (100 %)"


def test_one_system_without_recordings_is_not_compared(visit: Callable[..., Any], listen: Callable[..., Any]) -> None:
    page = visit(listen(TEXTS[:2], ("voice",), recordings=False).path)
    assert page.locator("#controls").is_visible()
    assert not page.locator("#blind-open").is_visible()


def test_likeness_is_asked_beside_the_recording(visit: Callable[..., Any], listen: Callable[..., Any]) -> None:
    page = visit(listen(TEXTS[:2]).path)
    page.click("#blind-open")
    page.select_option("#blind-question", "like")
    page.click("#blind-begin")
    assert page.locator("#blind-asked").inner_text() == "Which one sounds more like the recording?"
    page.keyboard.press("3")
    assert page.evaluate("current.address === sentences[session.trials[0].number - 1].utterances[0].track.address")
    vote(page, "voice")
    assert page.evaluate("session.trials[0].plays") == [1, 1, 1]
    page.keyboard.press("Escape")
    page.click("#blind-open")
    page.select_option("#blind-second", "recording")
    assert page.locator("#blind-question").input_value() == "prefer"
    assert page.locator("#blind-question option[value=like]").is_disabled()


def test_both_must_be_heard_before_a_vote(visit: Callable[..., Any], listen: Callable[..., Any]) -> None:
    page = visit(listen(TEXTS[:2]).path)
    begin(page)
    page.keyboard.press("1")
    page.keyboard.press("a")
    assert page.locator("#blind-said").inner_text() == "Listen to both first."
    assert page.evaluate(VOTES) == 0
    page.keyboard.press("2")
    page.keyboard.press("b")
    assert page.evaluate(VOTES) == 1


def test_buttons_do_what_keys_do_and_back_changes_a_vote(visit: Callable[..., Any], listen: Callable[..., Any]) -> None:
    page = visit(listen(TEXTS[:3]).path)
    begin(page)
    text = page.locator("#blind-text").inner_text()
    assert page.locator("#blind-back").is_disabled()
    page.locator(".side").nth(0).click()
    page.locator(".side").nth(1).click()
    page.locator("[data-vote=a]").click()
    page.locator("#blind-back").click()
    assert page.locator("#blind-text").inner_text() == text
    assert page.locator("[data-vote=a]").get_attribute("aria-pressed") == "true"
    page.mouse.click(5, 700)  # takes the focus away
    page.keyboard.press("b")
    assert page.evaluate("session.trials[0].vote") == "b"
    assert page.locator("#blind-count").inner_text() == "2 of 3"
    page.keyboard.press("Backspace")
    assert page.locator("#blind-count").inner_text() == "1 of 3"
    page.keyboard.press("=")
    vote(page, "voice")
    assert page.locator("#blind-count").inner_text() == "3 of 3"
    page.locator("#blind-end").click()
    assert "2 of 3 pairs were voted on" in page.locator("#blind-caution").inner_text()
    assert page.locator("#blind-counts").inner_text().split("\n") == ["voice: 1", "no difference: 1", "base: 0"]


def test_votes_outlive_a_reload(visit: Callable[..., Any], listen: Callable[..., Any]) -> None:
    page = visit(listen(TEXTS[:3]).path)
    begin(page)
    vote(page, "voice")
    trials = page.evaluate("session.trials.map((one) => [one.number, one.sides, one.vote])")
    page.reload()
    page.click("#blind-open")
    assert "You have voted on 1 of them." in page.locator("#blind-amount").inner_text()
    page.click("#blind-resume")
    assert page.evaluate("session.trials.map((one) => [one.number, one.sides, one.vote])") == trials
    assert page.locator("#blind-count").inner_text() == "2 of 3"
    vote(page, "voice")
    vote(page, "voice")
    page.reload()
    page.click("#blind-open")
    page.click("#blind-resume")
    assert page.locator("#blind-headline").inner_text().startswith("voice preferred in 3 of 3")
    page.click("#blind-again")
    page.once("dialog", lambda asked: asked.dismiss())
    page.click("#blind-begin")
    assert page.locator("#blind-setup").is_visible()
    page.once("dialog", lambda asked: asked.accept())
    page.click("#blind-begin")
    assert page.evaluate(VOTES) == 0


def test_votes_on_other_sounds_are_other_votes(visit: Callable[..., Any], listen: Callable[..., Any]) -> None:
    page = visit(listen(TEXTS[:2]).path)
    begin(page)
    vote(page, "voice")
    made = listen(TEXTS[:2], sound=lambda *_: np.full(8_000, 0.1, np.float32))
    page.goto(made.path.absolute().as_uri())
    page.click("#blind-open")
    assert page.locator("#blind-begin").inner_text() == "Begin"
    assert not page.locator("#blind-resume").is_visible()


FORBIDDEN = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('forbidden'); } });"


def test_a_browser_that_keeps_nothing_still_counts(visit: Callable[..., Any], listen: Callable[..., Any]) -> None:
    page = visit(listen(TEXTS[:2]).path, FORBIDDEN)
    begin(page)
    vote(page, "voice")
    page.keyboard.press("Escape")
    assert not page.locator("#blind").is_visible()
    page.click("#blind-open")
    page.click("#blind-resume")
    vote(page, "voice")
    assert page.locator("#blind-headline").inner_text() == "voice preferred in 2 of 2 decided votes (100 %)"
    page.reload()
    page.click("#blind-open")
    assert page.locator("#blind-begin").inner_text() == "Begin"
