"""A disk that cannot be written gives one line that names the folder, whichever library notices it."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
from killing import file_limit, small_disk
from safetensors import SafetensorError
from safetensors.torch import save_file

from vtune import audio, pipeline
from vtune.dataset.features.rows import write_rows
from vtune.errors import VtuneError
from vtune.recipe import Recipe
from vtune.runtime.disk import DiskError, disk_error, disk_error_text, errno_of, writing
from vtune.runtime.paths import new_folder, write_text
from vtune.types import Audio

NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)


@pytest.mark.parametrize("number", NUMBERS)
def test_each_reason_is_one_line_that_says_how_to_go_on(number: int) -> None:
    error = disk_error("/some/folder", number)
    assert str(error).startswith("/some/folder: ")
    assert "run the same command again" in str(error)
    assert os.strerror(number) in str(error)
    assert "\n" not in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), errno.ENOSPC),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), errno.EACCES),
        (SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"), errno.ENOSPC),
        (SafetensorError("Error while serializing: I/O error: File too large (os error 27)"), errno.EFBIG),
        (pyarrow.ArrowException("Error writing bytes to file. Detail: [errno 28] No space left on device"), 28),
        (sqlite3.OperationalError("database or disk is full"), errno.ENOSPC),
        (sqlite3.OperationalError("disk I/O error"), errno.EIO),
        (sqlite3.OperationalError("attempt to write a readonly database"), errno.EROFS),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"), None),
        (ValueError("no number"), None),
        (VtuneError("a line about (os error 28)"), None),
    ],
)
def test_the_reason_is_found_wherever_it_stands(error: Exception, number: int | None) -> None:
    assert errno_of(error) == number
    outer = RuntimeError("saving failed")
    outer.__cause__ = error
    assert errno_of(outer) == number
    assert (disk_error_text(outer) is None) == (number is None)


def test_what_was_looked_for_before_is_no_reason() -> None:
    error = ValueError("a mistake of another kind")
    error.__context__ = PermissionError(errno.EACCES, "Permission denied", "/a/setting")
    assert errno_of(error) is None
    error.__context__ = OSError(errno.ENOSPC, "No space left on device")
    assert errno_of(error) == errno.ENOSPC


def save_pickled(path: Path) -> None:
    torch.save({"state": torch.zeros(100_000)}, path)


def save_tensors(path: Path) -> None:
    save_file({"state": torch.zeros(100_000)}, str(path))


def save_sound(path: Path) -> None:
    audio.write_wav(path, [Audio(np.zeros(200_000, np.float32), 16_000)], 16_000)


def save_text(path: Path) -> None:
    write_text(path, "x" * 400_000)


def save_rows(path: Path) -> None:
    write_rows(path, [{"codes": np.zeros(100_000, np.int64)} for _ in range(4)])


WRITERS = [save_pickled, save_tensors, save_sound, save_text, save_rows]


@pytest.mark.parametrize("save", WRITERS)
@pytest.mark.parametrize("inside", ["a new folder", "a folder that stays"])
def test_a_file_that_may_not_grow_is_one_line(tmp_path: Path, save: Callable[[Path], None], inside: str) -> None:
    """torch and libsndfile report a failure without its reason; vtune finds the reason by writing a file itself."""
    folder = tmp_path / "place"

    def write() -> None:
        if inside == "a new folder":
            with new_folder(folder) as aside:
                save(aside / "file.wav")
        else:
            folder.mkdir()
            with writing(folder):
                save(folder / "file.wav")

    with file_limit(100_000), pytest.raises(DiskError, match=rf"^{folder}.*: a file would exceed the largest size"):
        write()
    if inside == "a new folder":
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("save", WRITERS)
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, save: Callable[[Path], None]) -> None:
    with small_disk(tmp_path / "small", 200) as disk:

        def write() -> None:
            with new_folder(disk / "ann") as aside:
                save(aside / "file.wav")

        with pytest.raises(DiskError, match=rf"^{disk / 'ann'}: the disk is full; free some space"):
            write()
        assert list(disk.iterdir()) == []


FILLING = """
from vtune.dataset.sources import scratch
scratch.CACHE_BYTES = 1 << 20  # a larger cache would hold the rows in memory
tables = scratch.scratch(scratch, "CREATE TABLE t (x BLOB)")
for _ in range(4):
    tables.executemany("INSERT INTO t VALUES (?)", [(b"x" * 4_000,)] * 1_000)
"""


def test_a_full_disk_of_temporary_files_is_named(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 40) as disk:
        # SQLite reads the setting once, when it is loaded.
        environment = {**os.environ, "SQLITE_TMPDIR": str(disk)}
        ended = subprocess.run(
            [sys.executable, "-c", FILLING], env=environment, capture_output=True, text=True, check=False
        )
    last = ended.stderr.splitlines()[-1]
    assert f"DiskError: {disk} (temporary files, see TMPDIR): the disk is full" in last


def test_errors_that_are_about_other_places_or_none_stay_what_they_are(tmp_path: Path) -> None:
    elsewhere = OSError(errno.EIO, "Input/output error", "/media/recording.wav")
    for error in (elsewhere, KeyError("a mistake of ours"), VtuneError("a line")):
        with pytest.raises(type(error)) as caught, writing(tmp_path / "a"):
            raise error
        assert caught.value is error


# The largest file that may be written: the encoded clips do not fit, or the random states of a checkpoint do not.
@pytest.mark.parametrize("limit", [pytest.param(3_000, marks=pytest.mark.proof), 12_000])
def test_a_run_that_found_no_room_goes_on_to_the_same_voice(
    toy: Callable[..., Recipe], tmp_path: Path, limit: int
) -> None:
    recipe = toy(prepare={"examine": False}, train={"report_to": [], "epochs": 1})

    def made() -> dict[str, bytes]:
        (voice,) = pipeline.run(recipe)
        return {path.name: path.read_bytes() for path in voice.path.glob("*.safetensors")}

    undisturbed = made()
    shutil.rmtree(tmp_path / "runs")
    shutil.rmtree(tmp_path / "voices")
    with file_limit(limit), pytest.raises(DiskError, match=r"/runs/.*: a file would exceed .* same command again"):
        pipeline.run(recipe)
    assert not (tmp_path / "voices").exists()
    assert made() == undisturbed
    assert not [path for path in tmp_path.rglob("*") if "partial" in path.name or "lock" in path.name]
