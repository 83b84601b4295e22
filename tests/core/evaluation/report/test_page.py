"""The page to listen to is read as HTML: its texts, its pictures and its sound."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from vtune.audio import speech_level
from vtune.evaluation import MetricSpec
from vtune.evaluation.report.spectrogram import PALETTE
from vtune.evaluation.report.table import verdict
from vtune.evaluation.report.transcript import marked
from vtune.evaluation.scores import Score

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)> & 'so' on\u202e"
RATE = 16_000
Pictures = Callable[[Path], list[np.ndarray]]


class Reader(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def having(self, **expected: str) -> list[dict[str, str | None]]:
        return [given for _, given in self.tags if all(given.get(key) == value for key, value in expected.items())]

    def addresses(self, tag: str) -> list[str]:
        return [str(given["src"]) for name, given in self.tags if name == tag]


def held(address: str) -> bytes:
    return base64.b64decode(address.partition(",")[2])


def tone(hertz: float, seconds: float = 1.0, level: float = 0.1) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


# --- what was heard


def bare(html: str) -> str:
    """Return the text that is visible, without the words that only screen readers read out."""
    return re.sub(r"<span class=unseen dir=ltr>[^<]*</span> ", "", html)


@pytest.mark.parametrize(
    ("text", "heard", "shown"),
    [
        ("Twenty-five small cats.", "25 small cats", "25 small cats"),
        ("the small cat sat", "the cat sat", "the <del>small</del> cat sat"),
        ("the cat sat", "the cat sat down now", "the cat sat <ins class=added>down now</ins>"),
        ("the cat sat", "the hat sat", "the <del>cat</del> <ins>hat</ins> sat"),
        ("the cat sat", "", "<del>the cat sat</del>"),
        ("the cat", "the cat the cat", "<ins class=added>the cat</ins> the cat"),
    ],
)
def test_differences_to_the_text_are_marked(text: str, heard: str, shown: str) -> None:
    assert bare(marked(text, heard, "en")) == shown


def test_marks_are_told_to_those_who_do_not_see_them() -> None:
    plain = re.sub(r"<[^>]*>", "", marked("the big cat sat", "the hat sat down", "en"))
    assert "left out: big" in plain or "left out: cat" in plain
    assert "instead of:" in plain
    assert "said: hat" in plain
    assert "added: down" in plain


def test_a_text_without_words_has_none_to_leave_out() -> None:
    assert bare(marked("...", "hello", None)) == "<ins class=added>hello</ins>"


def test_languages_without_blanks_are_compared_letter_by_letter() -> None:
    assert bare(marked("今日は", "今は", "ja")) == "今 <del>日</del> は"


# --- metrics


@pytest.mark.parametrize(
    ("better", "means", "interval", "expected"),
    [
        ("high", (3.0, 2.0), (0.5, 1.5), "better"),
        ("high", (1.0, 2.0), (-1.5, -0.5), "worse"),
        ("high", (3.0, 2.0), (-0.1, 2.1), None),
        ("high", (3.0, 2.0), (0.0, 2.0), None),
        ("low", (3.0, 2.0), (0.5, 1.5), "worse"),
        ("low", (1.0, 2.0), (-1.5, -0.5), "better"),
        ("one", (0.9, 0.7), (0.1, 0.3), "better"),
        ("one", (1.4, 1.1), (0.1, 0.5), "worse"),
        ("one", (1.2, 0.9), (0.1, 0.5), "differs"),  # on which side of 1 is no verdict
        ("neither", (3.0, 2.0), (0.5, 1.5), "differs"),
        ("high", (3.0, 2.0), None, None),
    ],
)
def test_an_interval_without_zero_is_marked_in_its_direction(
    better: Any, means: tuple[float, float], interval: tuple[float, float] | None, expected: str | None
) -> None:
    intervals = {} if interval is None else {"voice": interval}
    score = Score("g", MetricSpec("f", "f", better), dict(zip(("voice", "base"), means, strict=True)), intervals)
    assert verdict(score, "voice", "base") == expected
    assert verdict(score, "base", "base") is None


def test_the_table_holds_means_differences_marks_recordings_and_anchors(listen: Callable[..., Any]) -> None:
    texts = ("one and two", "three and four")
    result = {(system, text): ({"speaker_similarity": similarity}, text) for text in texts for system, similarity in
             {"voice": 0.9, "base": 0.6, "recording": 0.95}.items()}  # fmt: skip
    made = listen(texts, found=result)
    table = made.path.read_text().partition("<table>")[2].partition("</table>")[0]
    assert re.findall(r"<th scope=col>(\w+)", table) == ["voice", "base", "recording", "impostors"]
    (row,) = [row for row in table.split("<tr>") if "similarity to the recordings" in row]
    assert re.findall(r"<td>([\d.]+)", row) == ["0.90", "0.60", "0.95", "0.50"]
    assert "<small>+0.30 to +0.30</small><span class=better>✓ better</span>" in row
    assert "speaking rate" not in table  # no headline
    page_table = made.path.read_text().partition("<summary>every metric</summary>")[2].partition("</table>")[0]
    assert re.search(r"<tr class=group><th scope=rowgroup colspan=5>told", page_table)


# --- pictures and sound


@pytest.fixture
def pictures(read_png: Callable[[bytes], tuple[np.ndarray, np.ndarray]]) -> Callable[[Path], list[np.ndarray]]:
    """Return the pixels of each picture on a page."""

    def read(path: Path) -> list[np.ndarray]:
        result = [read_png(held(address)) for address in Reader(path).addresses("img")]
        assert all(np.array_equal(palette, PALETTE) for _, palette in result)
        return [pixels for pixels, _ in result]

    return read


@pytest.mark.parametrize("hertz", [440, 1_500, 5_000])
def test_a_tone_is_bright_where_its_frequency_lies(listen: Callable[..., Any], pictures: Pictures, hertz: int) -> None:
    made = listen(("hello there",), ("voice",), recordings=False, sound=lambda *_: tone(hertz))
    (pixels,) = pictures(made.path)
    rows, columns = pixels.shape
    mel = 2595 * np.log10(1 + hertz / 700) / (2595 * np.log10(1 + 12_000 / 700))  # share of the height, from below
    brightest = pixels[:, columns // 2].argmax()
    assert abs((rows - 1 - brightest) - int(mel * rows)) <= 1
    assert pixels[0, columns // 2] == 0  # 12 kHz: a sound of 16 kHz has nothing there


def test_pictures_of_a_text_have_one_scale_of_time(listen: Callable[..., Any], pictures: Pictures) -> None:
    lengths = {"voice": 2.0, "base": 1.0, "third": 1.6}
    made = listen(
        ("hello there",), tuple(lengths), recordings=False, sound=lambda _text, _seed, who: tone(300, lengths[who])
    )
    widths = [pixels.shape[1] for pixels in pictures(made.path)]
    assert widths == pytest.approx([360, 180, 288], abs=2)
    shown_pictures = Reader(made.path).having(**{"class": "picture"})
    shown = [float(re.findall(r"width:([\d.]+)%", str(attributes["style"]))[0]) for attributes in shown_pictures]
    assert shown == pytest.approx([100, 50, 80], abs=0.1)


def test_one_that_runs_away_leaves_room_to_the_others(listen: Callable[..., Any], pictures: Pictures) -> None:
    lengths = {"voice": 1.0, "third": 1.0, "base": 20.0}
    made = listen(
        ("hello there",), tuple(lengths), recordings=False, sound=lambda _text, _seed, who: tone(300, lengths[who])
    )
    first, _, last = (pixels.shape[1] for pixels in pictures(made.path))
    assert first == pytest.approx(360 / 1.5, abs=3)
    assert last == pytest.approx(20 * first, rel=0.02)


def test_what_is_played_has_one_level_and_says_by_how_much_it_was_changed(listen: Callable[..., Any]) -> None:
    levels = {"voice": 0.5, "base": 0.005}
    made = listen(
        ("hello there",), tuple(levels), recordings=False, sound=lambda _text, _seed, who: tone(300, 1, levels[who])
    )
    page = Reader(made.path)
    for address in page.addresses("audio"):
        sound, rate = soundfile.read(io.BytesIO(held(address)))
        assert speech_level(sound, rate) == pytest.approx(-20, abs=0.5)
    # A sine's level is 3 dB under its peak.
    assert ", -11 dB" in page.text
    assert ", +29 dB" in page.text
    assert "Metrics are those of the original sound" in page.text


def test_a_take_costs_about_ten_kilobytes_a_second(listen: Callable[..., Any]) -> None:
    """Noise is used, because it compresses worst."""
    seconds, draw = 4.0, np.random.default_rng(0)
    noise = draw.normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    sizes = [
        listen(recordings=False, sound=lambda *_, sound=sound: sound).path.stat().st_size
        for sound in (noise[:0], noise)
    ]
    assert (sizes[1] - sizes[0]) / (3 * 2) < seconds * 14_000


def test_nothing_said_is_shown_as_nothing(listen: Callable[..., Any], pictures: Pictures) -> None:
    result = {("voice", "hello there"): ({}, "")}
    sounds: Mapping[str, np.ndarray] = {"voice": np.zeros(0, np.float32), "base": np.zeros(RATE, np.float32)}
    made = listen(("hello there",), recordings=False, found=result, sound=lambda _text, _seed, who: sounds[who])
    page = Reader(made.path)
    assert "no sound" in page.text
    assert "heard nothing" in page.text
    assert len(page.addresses("audio")) == 1
    (pixels,) = pictures(made.path)
    assert not pixels.any()


# --- whole in itself


def test_hostile_words_and_names_stay_words(listen: Callable[..., Any]) -> None:
    result = {(HOSTILE, f"say {HOSTILE}"): ({"wer": 0.5}, HOSTILE)}
    made = listen((f"say {HOSTILE}", "and more"), (HOSTILE, "base"), found=result, title=HOSTILE)
    page = Reader(made.path)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses("img"))
    assert not [key for _, given in page.tags for key in given if key.startswith("on")]
    assert "alert(1)" in page.text
    assert "\u202e" not in made.path.read_text()
    # The script finds the same name in both places.
    (pair,) = [json.loads(str(given["data-pair"])) for _, given in page.tags if "data-pair" in given]
    assert pair[0] in {given.get("data-system") for _, given in page.tags}


def test_the_page_needs_nothing_else(listen: Callable[..., Any]) -> None:
    page = Reader(listen().path)
    addresses = [str(value) for _, given in page.tags for key, value in given.items() if key in {"src", "href"}]
    assert addresses
    assert all(address.startswith(("data:audio/mpeg;base64,", "data:image/png;base64,")) for address in addresses)


@pytest.mark.parametrize(
    ("systems", "pair"),
    [
        (("voice", "base"), ["voice", "base"]),
        (("a", "b", "c"), ["a", "c"]),  # the last is the baseline
        (("voice",), ["voice", "recording"]),
    ],
)
def test_the_first_and_the_baseline_are_compared_blind(
    listen: Callable[..., Any], systems: tuple[str, ...], pair: list[str]
) -> None:
    (given,) = [given for _, given in Reader(listen(systems=systems).path).tags if "data-pair" in given]
    assert json.loads(str(given["data-pair"])) == pair
