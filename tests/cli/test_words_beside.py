"""Every command names the files with words that lie beside recordings: those that it reads, and those that it does
not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    sound = np.random.default_rng(0).normal(0, 0.05, 8000).astype(np.float32)
    for name in ("a", "b"):
        soundfile.write(folder / f"{name}.wav", sound, 8000)
    return folder


def test_doctor_says_that_recordings_have_no_words(vtune, raw):
    (raw / "script.txt").write_text("The kettle sang at dawn.\nTwo boats came in.\n")
    lines = vtune("doctor", str(raw), "--processes", "1", "--no-speakers").stdout.splitlines()
    assert lines[0] == "recordings without words"
    assert lines[1] == "not read: script.txt (a text that may be the script)"
    assert "2 recordings" in lines[2]
    assert "can be used" not in lines[2]


@pytest.mark.parametrize("command", [["doctor", "{raw}"], ["plan", "{recipe}"], ["run", "{recipe}"]])
def test_words_that_are_not_understood_stop(vtune, raw, recipe, command):
    (raw / "a.docx").write_bytes(b"PK\x03\x04" + b"\0" * 300)
    recipe.write_text(f"voice: someone\nengine: toy\ndata: [{{source: {raw}}}]\n")
    result = vtune(*(part.format(raw=raw, recipe=recipe) for part in command))
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()[-1:]
    assert "a.docx (it is a text document)" in line
    assert "word_files: ignore" in line


def test_plan_prepare_and_transcribe_name_what_they_do_not_read(vtune, raw, recipe, tmp_path):
    (raw / "all.zip").write_bytes(b"PK\x03\x04" + b"\0" * 300)
    recipe.write_text(f"voice: someone\nengine: toy\ndata: [{{source: {raw}}}]\n")
    note = "not read: all.zip (it is an archive); to use it, unpack it"
    assert f"words       data.0: {note}" in vtune("plan", str(recipe)).stdout.splitlines()
    assert note in vtune("prepare", str(raw), str(tmp_path / "clips"), "--processes", "1").stderr.splitlines()
    assert note in vtune("transcribe", str(raw), "--model", "nowhere.pt").stderr.splitlines()


def test_prepare_names_folders_that_may_be_speakers(vtune, raw, tmp_path):
    for folder in ("ann", "ben"):
        (raw / folder).mkdir()
        for name in ("a", "b"):
            (raw / folder / f"{name}.wav").write_bytes((raw / f"{name}.wav").read_bytes())
    lines = vtune("prepare", str(raw), str(tmp_path / "clips"), "--processes", "1").stderr.splitlines()
    assert any(line.startswith("the folders ann (2), ben (2) may be speakers: cut each") for line in lines)
