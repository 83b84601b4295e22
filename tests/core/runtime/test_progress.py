"""Progress of a long step: a bar on a terminal, a line from time to time elsewhere, and nothing on other ranks."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from vtune.runtime.progress import CountedSequence, ProgressBar, duration, logged_step, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def talkative(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, "vtune"):
        yield


def advance(clock: Clock, stream: io.StringIO, seconds: float, total: int = 40, done: int = 40) -> None:
    with ProgressBar("scoring", total, "sentences", stream=stream, clock=clock) as bar:
        for _ in range(done):
            clock.now += seconds
            bar.advance()


def test_without_a_terminal_a_line_comes_every_half_minute_with_the_time_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream = io.StringIO()
    advance(Clock(), stream, seconds=10, done=12)
    assert caplog.messages == [
        "scoring: 3 of 40 sentences, about 6 minutes left",
        "scoring: 6 of 40 sentences, about 6 minutes left",
        "scoring: 9 of 40 sentences, about 5 minutes left",
        "scoring: 12 of 40 sentences, about 5 minutes left",
    ]
    assert stream.getvalue() == ""


def test_a_short_step_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    advance(Clock(), io.StringIO(), seconds=0.5)
    assert caplog.messages == []


def test_the_last_line_names_no_time_left(caplog: pytest.LogCaptureFixture) -> None:
    advance(Clock(), io.StringIO(), seconds=31, total=2, done=2)
    assert caplog.messages == ["scoring: 1 of 2 sentences", "scoring: 2 of 2 sentences"]


def test_the_first_item_says_nothing_about_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """It may have waited for code that was compiled: two minutes for it and two seconds for each of the others."""
    clock = Clock()
    with ProgressBar("scoring pitch", 40, "sentences", stream=io.StringIO(), clock=clock) as bar:
        clock.now += 120
        bar.advance()
        for _ in range(15):
            clock.now += 2
            bar.advance()
    assert caplog.messages == [
        "scoring pitch: 1 of 40 sentences",
        "scoring pitch: 16 of 40 sentences, about 48 seconds left",
    ]


def test_a_terminal_gets_a_bar_and_no_lines(caplog: pytest.LogCaptureFixture) -> None:
    terminal = Terminal()
    advance(Clock(), terminal, seconds=60)
    assert "scoring" in terminal.getvalue()
    assert "sentences" in terminal.getvalue()
    assert caplog.messages == []


def test_other_ranks_show_nothing(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    terminal = Terminal()
    advance(Clock(), terminal, seconds=60)
    advance(Clock(), io.StringIO(), seconds=60)
    assert terminal.getvalue() == ""
    assert caplog.messages == []


def test_quiet_shows_nothing_and_a_program_without_logging_gets_bars(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.NOTSET, "vtune.runtime.progress")  # a command of an earlier test may have set it
    for level, shown in ((logging.WARNING, False), (logging.NOTSET, True)):
        caplog.set_level(level, "vtune")
        terminal = Terminal()
        advance(Clock(), terminal, seconds=60)
        assert bool(terminal.getvalue()) == shown


def test_track_yields_what_it_counts(caplog: pytest.LogCaptureFixture) -> None:
    assert list(track("abc", "reading", 3, "letters")) == ["a", "b", "c"]


def test_a_counted_sequence_counts_each_item_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with ProgressBar("scoring", 2, "sentences", stream=io.StringIO(), clock=clock) as bar:
        counted = CountedSequence(["a", "b"], bar)
        for _ in range(3):
            for _ in counted:
                clock.now += 40
        assert (list(counted), counted[1], len(counted)) == (["a", "b"], "b", 2)
    assert caplog.messages == ["scoring: 1 of 2 sentences", "scoring: 2 of 2 sentences"]


def test_a_step_without_parts_is_announced(caplog: pytest.LogCaptureFixture) -> None:
    with logged_step("Loading the voice"):
        assert caplog.messages == ["Loading the voice"]
    assert caplog.messages == ["Loading the voice"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 second"), (1, "1 second"), (89, "89 seconds"), (100, "2 minutes"), (7500, "2 h 5 min")],
)
def test_a_duration_reads_as_people_say_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text
