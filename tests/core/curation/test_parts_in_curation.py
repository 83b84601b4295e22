"""Clips that are parts of a long recording are examined, repaired, reviewed and checked as clips of their own."""

from __future__ import annotations

import http.client
import io
import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vtune import audio
from vtune.curation.doctor import examine
from vtune.curation.doctor.page import write_page
from vtune.curation.doctor.repaired_copy import write_repaired_copy
from vtune.curation.review import Review
from vtune.curation.review.server import ReviewServer
from vtune.dataset import Source, open_source
from vtune.errors import DataError
from vtune.recipe import SourceRecipe
from vtune.testing import made_clip
from vtune.webpage.access_guard import TOKEN_HEADER

RATE = 16_000
COUNT = 5


@pytest.fixture
def spans(tmp_path: Path) -> list[tuple[float, float]]:
    """Write ``talk.wav``, five made clips with half a second of quiet between them; return where each clip lies."""
    generator = np.random.default_rng(0)
    pieces, spans, second = [], [], 0.0
    for number in range(COUNT):
        waveform = made_clip(RATE, 1.5 + 0.1 * number, number).waveform
        pieces += [generator.normal(0, 1e-4, RATE // 2), waveform]
        spans.append((second + 0.5, second + 0.5 + len(waveform) / RATE))
        second = spans[-1][1]
    soundfile.write(tmp_path / "talk.wav", np.concatenate([*pieces, generator.normal(0, 1e-4, RATE // 2)]), RATE)
    return spans


@pytest.fixture
def subtitles(tmp_path: Path, spans: list[tuple[float, float]]) -> Path:
    lines = [f"00:{a:06.3f} --> 00:{b:06.3f}\nThis is sentence number {n}.\n" for n, (a, b) in enumerate(spans)]
    (tmp_path / "talk.vtt").write_text("WEBVTT\n\n" + "\n".join(lines))
    return tmp_path


@pytest.fixture
def kaldi(tmp_path: Path, spans: list[tuple[float, float]]) -> Path:
    """Return the same recording as a Kaldi folder, whose words can be edited."""
    (tmp_path / "wav.scp").write_text("talk talk.wav\n")
    (tmp_path / "text").write_text("".join(f"s{n} this is sentence number {n}\n" for n in range(COUNT)))
    (tmp_path / "segments").write_text("".join(f"s{n} talk {a} {b}\n" for n, (a, b) in enumerate(spans)))
    return tmp_path


def opened(folder: Path) -> Source:
    return open_source(SourceRecipe(source=str(folder)), Path())


def test_doctor_measures_each_part(subtitles: Path, spans: list[tuple[float, float]]) -> None:
    examination = examine(opened(subtitles), speakers=False, processes=1)
    assert [clip.seconds for clip in examination.clips] == pytest.approx([b - a for a, b in spans], abs=0.31)
    assert all(clip.usable for clip in examination.clips)
    assert not {"unreadable", "missing", "chopped", "same-sound"} & {finding.check for finding in examination.findings}


def test_a_repaired_copy_has_a_file_for_each_part(subtitles: Path, tmp_path: Path) -> None:
    source = opened(subtitles)
    out = tmp_path / "copy"
    write_repaired_copy(source, examine(source, speakers=False, processes=1), out, processes=1)
    copied = list(opened(out).rows())
    assert [row.text for row in copied] == [f"This is sentence number {n}." for n in range(COUNT)]
    assert len({row.audio for row in copied}) == COUNT
    assert all(Path(row.audio).name.startswith("talk_") and "#" not in row.audio for row in copied)


def test_the_page_of_doctor_plays_parts(subtitles: Path, tmp_path: Path) -> None:
    (subtitles / "talk.vtt").write_text((subtitles / "talk.vtt").read_text().replace("number 1.", "numb\u200ber 1."))
    source = opened(subtitles)
    examination = examine(source, speakers=False, processes=1)
    assert [finding.audio for finding in examination.findings if finding.check == "invisible"]
    write_page(tmp_path / "page.html", source, examination, processes=1)
    page = (tmp_path / "page.html").read_text()
    assert "talk.wav#t=" in page
    assert "data:audio/" in page


def test_a_cut_off_recording_is_a_finding_of_each_part(subtitles: Path) -> None:
    sound = (subtitles / "talk.wav").read_bytes()
    (subtitles / "talk.wav").write_bytes(sound[: len(sound) // 2])
    examination = examine(opened(subtitles), speakers=False, processes=1)
    assert [finding.check for finding in examination.findings if finding.severity == "error"].count(
        "truncated"
    ) == COUNT


def fetch(server: ReviewServer, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request("GET", path, headers={TOKEN_HEADER: server.guard.token})
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read()
    finally:
        connection.close()


def test_review_plays_the_part_and_nothing_else(subtitles: Path) -> None:
    server = ReviewServer(Review(str(subtitles)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        clips = json.loads(fetch(server, "/api/clips"))["clips"]
        assert len(clips) == COUNT
        assert clips[2]["name"].startswith("talk.wav#t=")
        sound, rate = soundfile.read(io.BytesIO(fetch(server, f"/audio/{clips[2]['n']}")), dtype="float32")
        source = opened(subtitles)
        expected = source.load(list(source.rows())[2].audio, rate)
        np.testing.assert_allclose(sound, expected, atol=1e-4)
        assert len(json.loads(fetch(server, f"/api/peaks/{clips[2]['n']}"))["peaks"]) > 0
        assert json.loads(fetch(server, f"/api/spectrogram/{clips[2]['n']}"))["columns"] > 0
    finally:
        server.shutdown()
        server.server_close()


def test_subtitles_are_reviewed_but_not_edited(subtitles: Path) -> None:
    before = (subtitles / "talk.vtt").read_bytes()
    review = Review(str(subtitles))
    review.approve(1)
    assert review.clip(1).approved
    for edit in (lambda: review.set_words(1, "Other words."), lambda: review.drop(1)):
        with pytest.raises(DataError, match="cannot edit tables of the format WebVTT subtitles; edit it by hand"):
            edit()
    assert (subtitles / "talk.vtt").read_bytes() == before
    assert Review(str(subtitles)).clip(1).approved


def test_parts_are_edited_dropped_and_brought_back(kaldi: Path) -> None:
    before = (kaldi / "text").read_bytes()
    review = Review(str(kaldi))
    review.approve(2)
    review.set_words(1, "other words")
    assert "s0 other words\n" in (kaldi / "text").read_text()
    review.drop(1)
    again = Review(str(kaldi))
    assert again.clip(2).approved, "an approval holds when a neighbouring row goes"
    assert [clip.state for clip in again.clips().listed].count("dropped") == 1
    with pytest.raises(DataError, match=r"this clip is a part of .*talk\.wav, so it cannot be split here"):
        again.split(2, 0.7, ("this is", "sentence"))
    for _ in range(3):
        again.undo()
    assert (kaldi / "text").read_bytes() == before


def test_sound_that_no_row_names_gets_no_words_here(kaldi: Path) -> None:
    text, segments = ((kaldi / name).read_text().splitlines(keepends=True) for name in ("text", "segments"))
    (kaldi / "text").write_text("".join(text[:2]))
    (kaldi / "segments").write_text("".join(segments[:2]))
    review = Review(str(kaldi))
    (rest,) = [clip for clip in review.clips().listed if clip.state == "unnamed"]
    assert rest.seconds == pytest.approx(audio.seconds_of(kaldi / "talk.wav") - float(segments[1].split()[3]), abs=0.01)
    with pytest.raises(DataError, match="that no row names, so it cannot get words here"):
        review.set_words(rest.number, "words")


@pytest.mark.parametrize("make", ["subtitles", "kaldi"])
def test_lengths_are_read_once_for_all_parts(
    make: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, spans: list
) -> None:
    folder: Path = request.getfixturevalue(make)
    hashed: list[Path] = []
    plain: Callable[[Path], str] = audio.blocks.digest_of
    monkeypatch.setattr("vtune.audio.parts.digest_of", lambda path: hashed.append(path) or plain(path))
    review = Review(str(folder))
    for number in range(1, COUNT + 1):
        review.approve(number)
    assert len(hashed) == 1
