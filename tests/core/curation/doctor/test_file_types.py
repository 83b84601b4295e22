from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vtune.curation.doctor.file_types import disguised_kind, file_kind

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


def test_a_web_page_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("<!doctype HTML><title>404</title>")
    assert disguised_kind(tmp_path / "a.wav") == "a web page"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    assert disguised_kind(tmp_path / "a.wav") is None
