"""A repaired copy has none of the faults that the repair removes, and the source is unchanged."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from vtune.curation.doctor import Examination, open_data, write_repaired_copy
from vtune.curation.doctor.repaired_copy import RECORD_NAME, TABLE_NAME
from vtune.curation.doctor.row_repair import clean_text, repair_sound, safe_name
from vtune.dataset.sources.plain_text import unfit_words
from vtune.errors import VtuneError
from vtune.recipe import SourceRecipe

RATE = 24_000
Clip = Callable[..., np.ndarray]
Folder = Callable[..., Path]
Examined = Callable[..., Examination]


def digests(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def repaired(data: Path, out: Path, examined: Examined) -> list[dict[str, object]]:
    source, has_words = open_data(SourceRecipe(source=str(data)), Path())
    write_repaired_copy(source, examined(data), out, apart_from=[data], processes=1, has_words=has_words)
    return [json.loads(line) for line in (out / RECORD_NAME).read_text().splitlines()]


def test_what_can_be_mended_is_gone_afterwards(clip: Clip, folder: Folder, examined: Examined, tmp_path: Path) -> None:
    faint = np.random.default_rng(0).normal(0, 10 ** (-75 / 20), 2 * RATE)
    rows = [(f"c{number}", clip(number), f"sentence number {'abcdefghijkl'[number]} of them") for number in range(12)]
    rows += [
        ("offset", clip(20) + 0.05, "this one has an offset"),
        ("silence", np.concatenate([faint, clip(21), faint]), "this one is silent at first"),
        ("quiet", clip(22, level=-50), "this one is rather quiet"),
        ("böse name?", clip(23), "cafe\u0301 with\u200b a\x07 bell and a garden"),
        ("none", np.zeros(RATE), "no speech at all"),
        ("again", clip(3), "sentence number d of them"),
        ("wordless", clip(24), ""),
        ("lost", clip(25), "a lost \ufffd character"),
        ("clipped", np.clip(clip(26) * 40, -1, 1), "this one was clipped badly"),
        ("gone", None, "this one is not there"),
    ]
    data = folder(rows)
    before = digests(data)
    record = repaired(data, tmp_path / "fixed", examined)
    assert digests(data) == before
    assert len(record) == len(rows)
    left_out = {Path(str(entry["audio"])).stem: entry["reason"] for entry in record if entry["status"] == "left out"}
    assert set(left_out) == {"none", "again", "wordless", "lost", "gone"}
    assert all(left_out.values())
    after = examined(tmp_path / "fixed")
    assert {finding.check for finding in after.findings} == {"clipping", "amount"}
    assert len(after.usable) == len(rows) - 5
    (clipped,) = [entry for entry in record if entry["clip"] == "clips/clipped.wav"]
    assert clipped["remaining"] == ["clipping"]
    with (tmp_path / "fixed" / TABLE_NAME).open(encoding="utf-8", newline="") as file:
        words = {row["filename"]: row["text"] for row in csv.DictReader(file)}
    assert words["bose_name"] == "café with a bell and a garden"
    for path in (tmp_path / "fixed" / "clips").iterdir():
        assert soundfile.info(path).subtype == "PCM_16"
        assert soundfile.info(path).samplerate == RATE


def test_repairing_a_repaired_copy_changes_no_sound(
    clip: Clip, folder: Folder, examined: Examined, tmp_path: Path
) -> None:
    data = folder([(f"c{number}", clip(number) + 0.02, f"sentence {'abc'[number]}") for number in range(3)])
    repaired(data, tmp_path / "once", examined)
    record = repaired(tmp_path / "once", tmp_path / "twice", examined)
    assert all(entry["repairs"] == [] for entry in record)
    for path in (tmp_path / "once" / "clips").iterdir():
        first, second = (
            soundfile.read(folder / "clips" / path.name)[0] for folder in (path.parents[1], tmp_path / "twice")
        )
        assert np.abs(first - second).max() < 1e-3


def test_recordings_without_words_are_mended_too(clip: Clip, tmp_path: Path, examined: Examined) -> None:
    (tmp_path / "raw").mkdir()
    soundfile.write(tmp_path / "raw" / "a.wav", clip(1) + 0.1, RATE)
    repaired(tmp_path / "raw", tmp_path / "fixed", examined)
    assert [path.name for path in (tmp_path / "fixed" / "clips").iterdir()] == ["a.wav"]
    assert not (tmp_path / "fixed" / TABLE_NAME).exists()
    assert "offset" not in {finding.check for finding in examined(tmp_path / "fixed").findings}


def test_no_folder_of_the_user_is_written_over(clip: Clip, folder: Folder, examined: Examined, tmp_path: Path) -> None:
    data = folder([("a", clip(1), "words")])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "link").symlink_to(data)
    for out in (data, data / "fixed", tmp_path / "full", tmp_path / "link", tmp_path / "link" / "fixed"):
        with pytest.raises(VtuneError, match=r"exists already|lies in the source"):
            repaired(data, out, examined)
    assert not (data / "fixed").exists()


@given(st.text(max_size=40), st.integers(1, 4))
def test_names_are_safe_and_never_meet(stem: str, times: int) -> None:
    taken: set[str] = set()
    names = [safe_name(stem, taken) for _ in range(times)]
    assert len({name.lower() for name in names}) == times
    for name in names:
        assert name.isascii()
        assert name.replace("_", "a").replace("-", "a").isalnum()
        assert not name.startswith("-")
        assert name.lower() not in {"con", "nul", "aux", "com1"}


@given(st.text())
def test_cleaned_words_are_clean_and_stay_so(text: str) -> None:
    once = clean_text(text)
    assert clean_text(once) == once
    assert "cannot be spoken" not in (unfit_words(once) or "")


@given(st.integers(0, 50), st.floats(-0.2, 0.2), st.floats(0, 2))
def test_mending_removes_offset_and_silence_but_no_speech(seed: int, offset: float, lead: float) -> None:
    times = np.arange(RATE) / RATE
    voice = 0.1 * np.sin(2 * np.pi * 220 * times) * (1 + np.sin(2 * np.pi * (3 + seed % 3) * times))
    sound = np.concatenate([np.zeros(int(lead * RATE)), voice, np.zeros(RATE // 2)]) + offset
    mended, _ = repair_sound(sound.astype(np.float32), RATE)
    assert abs(mended.mean()) < 0.01
    kept = np.square(mended).sum() / np.square(mended).max()
    assert kept == pytest.approx(np.square(voice).sum() / np.square(voice).max(), rel=0.05)
