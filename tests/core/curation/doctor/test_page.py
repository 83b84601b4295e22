"""The page is complete in one file, and no text from a source becomes markup of the page."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile

from vtune.curation.doctor import Examination, open_data, page, write_page
from vtune.recipe import SourceRecipe

RATE = 24_000
Clip = Callable[..., np.ndarray]
Folder = Callable[..., Path]
Examined = Callable[..., Examination]
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>\u202e'


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


@pytest.fixture
def shown(examined: Examined) -> Callable[[Path, Path], Reader]:
    def show(data: Path, out: Path) -> Reader:
        source, _ = open_data(SourceRecipe(source=str(data)), Path())
        write_page(out, source, examined(data), 1)
        return read(out)

    return show


def test_hostile_words_and_names_stay_words(
    clip: Clip, folder: Folder, shown: Callable[[Path, Path], Reader], tmp_path: Path
) -> None:
    name = '"><script>alert(3)<'
    data = folder([(name, clip(1) + 0.05, HOSTILE)], "a'b\"<c>")
    (data / os.fsdecode(b"bad\xff.wav")).write_bytes((data / "clips" / f"{name}.wav").read_bytes())
    reader = shown(data, tmp_path / "page.html")
    assert [tag for tag, _ in reader.tags].count("script") == 1
    assert "img" not in {tag for tag, _ in reader.tags}
    assert not [key for _, attributes in reader.tags for key in attributes if key.startswith("on")]
    assert "alert(1)" in reader.text
    assert "\u202e" not in (tmp_path / "page.html").read_text()


def test_the_page_needs_nothing_else_and_runs_its_own_script_only(
    clip: Clip, folder: Folder, shown: Callable[[Path, Path], Reader], tmp_path: Path
) -> None:
    reader = shown(folder([("a", clip(1) + 0.05, "words of one kind")]), tmp_path / "page.html")
    addresses = [value for _, given in reader.tags for key, value in given.items() if key in {"src", "href"}]
    assert all(address and address.startswith("data:audio/") for address in addresses)
    text = (tmp_path / "page.html").read_text()
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL)
    assert script
    allowed = base64.b64encode(sha256(script[1].encode()).digest()).decode()
    (policy,) = [given["content"] for tag, given in reader.tags if given.get("http-equiv") == "Content-Security-Policy"]
    assert policy
    assert f"script-src 'sha256-{allowed}'" in policy
    assert policy.startswith("default-src 'none'")


def test_the_sound_in_the_page_is_that_of_the_clip(
    clip: Clip, folder: Folder, shown: Callable[[Path, Path], Reader], tmp_path: Path
) -> None:
    reader = shown(folder([("a", clip(1) + 0.05, "words of one kind")]), tmp_path / "page.html")
    (address,) = [given["src"] for tag, given in reader.tags if tag == "audio"]
    assert address
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    assert rate == RATE
    assert len(sound) / rate == pytest.approx(len(clip(1)) / RATE, abs=0.1)
    assert "svg" in {tag for tag, _ in reader.tags}


def test_beyond_the_budget_clips_are_linked_to(
    clip: Clip, folder: Folder, shown: Callable[[Path, Path], Reader], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MAX_EMBEDDED_SECONDS", 0.0)
    data = folder([("a #1?%41", clip(1) + 0.05, "words of one kind")])
    reader = shown(data, tmp_path / "deep" / "page.html")
    (address,) = [given["src"] for tag, given in reader.tags if tag == "audio"]
    assert address
    assert (tmp_path / "deep" / unquote(address)).resolve() == (data / "clips" / "a #1?%41.wav").resolve()


def test_a_page_without_findings_says_so(
    clip: Clip, folder: Folder, shown: Callable[[Path, Path], Reader], tmp_path: Path
) -> None:
    reader = shown(folder([("a", clip(1), "words that fit a clip of this length")]), tmp_path / "page.html")
    assert "There are no findings" in reader.text
    assert "form" not in {tag for tag, _ in reader.tags}


def test_a_group_shows_its_other_clips_with_players(
    clip: Clip, folder: Folder, shown: Callable[[Path, Path], Reader], tmp_path: Path
) -> None:
    rows = [(f"copy{number}", clip(1), f"words number {['one', 'two', 'three'][number % 3]}") for number in range(11)]
    reader = shown(folder(rows), tmp_path / "page.html")
    (finding,) = [given for _, given in reader.tags if given.get("data-check") == "two-texts"]
    assert finding["class"] == "error"
    for name in ("copy1.wav", "copy2.wav"):
        assert name in reader.text
    assert [tag for tag, _ in reader.tags].count("audio") > len([tag for tag, _ in reader.tags if tag == "article"]), (
        "the other clips of a group are played as well"
    )
