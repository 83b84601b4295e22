from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from vtune import audio
from vtune.audio.file_kinds import HEAD_BYTES, disguised_kind, file_kind, other_kind
from vtune.dataset.sources.recordings import Recordings
from vtune.errors import DataError

FORMATS = {
    "WAV": "WAV",
    "FLAC": "FLAC",
    "OGG": "Ogg",
    "MP3": "MP3",
    "AIFF": "AIFF",
    "AU": "AU",
    "CAF": "CAF",
    "W64": "W64",
}


@pytest.mark.parametrize("form", FORMATS)
def test_a_kind_is_told_by_its_first_bytes(tmp_path: Path, form: str) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(0).normal(0, 0.1, 24_000), 24_000, format=form)
    assert file_kind(file.getvalue()[:16]) == FORMATS[form]
    right, wrong = tmp_path / f"a.{form.lower()}", tmp_path / ("a.flac" if form != "FLAC" else "a.wav")
    for path in (right, wrong):
        path.write_bytes(file.getvalue())
    assert disguised_kind(right) is None
    assert disguised_kind(wrong) == FORMATS[form]


@pytest.mark.parametrize("beginning", [b"", b"\xff", b"nothing of the kind", bytes(16)])
def test_what_says_nothing_is_not_accused(tmp_path: Path, beginning: bytes) -> None:
    assert file_kind(beginning) is None


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a pointer of Git LFS; .*git lfs pull"),
        (b"<!doctype HTML><title>404</title>", "a web page"),
        (b"\xef\xbb\xbf\r\n<!-- cached -->\n<html lang=en>", "a web page"),
        (b'<?xml version="1.0"?><html xmlns="x">', "a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied", "an XML file that starts with .*AccessDenied"),
        (b'{"error": "not found"}', "JSON text that starts with .*not found"),
        (b"Hello, this is a note.", "a text file that starts with 'Hello, this is a note.'"),
        ("Grüße, ".encode() * 200, "a text file"),
        ("Hallo, dies ist Text.".encode("utf-16"), "a text file that starts with 'Hallo"),
        (b"PK\x03\x04 and so on", "a ZIP archive; unpack it"),
        (b"\x1f\x8b\x08 and so on", "a gzip archive"),
        (bytes(257) + b"ustar", "a tar archive"),
        (b"%PDF-1.7", "a PDF document"),
        (bytes(4_096), "a file that starts with zeros only"),
        (b" \n", "a file of white space"),
        (b"", "an empty file"),
    ],
)
@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.m4a", "a.opus"])
def test_what_is_no_recording_is_named(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for read in (audio.seconds_of, audio.recorded):
        with pytest.raises(DataError, match=f"{name} is {kind}") as caught:
            read(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=kind):
        audio.seconds_in(io.BytesIO(content), name)


def test_bytes_without_a_header_are_not_given_another_name() -> None:
    assert other_kind(np.random.default_rng(0).bytes(HEAD_BYTES)) is None


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes_have_a_kind_or_none(content: bytes) -> None:
    kind = other_kind(content)
    assert kind is None or "\n" not in kind


def test_an_unfinished_download_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "a.wav.part").write_bytes(b"RIFF")
    (tmp_path / "b.mp3.crdownload").write_bytes(b"ID3")
    with pytest.raises(DataError, match=r"empty file.*a\.wav\.part beside it is an unfinished download"):
        audio.seconds_of(tmp_path / "a.wav")
    with pytest.raises(DataError, match=r"does not exist.*b\.mp3\.crdownload"):
        audio.seconds_of(tmp_path / "b.mp3")
    rest = {Path(path).name: problem for path, problem in Recordings(tmp_path).rest()}
    assert rest["a.wav"] is None
    assert "b.mp3.crdownload is an unfinished download" in (rest["b.mp3.crdownload"] or "")


def test_samples_that_no_recording_has_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(24_000, 1e30, np.float32), 24_000, subtype="FLOAT")
    with pytest.raises(DataError, match="full scale is 1"):
        audio.recorded(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.linspace(-32768, 32767, 24_000), 24_000, subtype="FLOAT")
    assert np.abs(audio.recorded(tmp_path / "b.wav")[0]).max() == 1


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    assert disguised_kind(tmp_path / "a.wav") is None
