"""Messages that C libraries write to standard error while they decode are muted, and no other message is."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vtune import audio
from vtune.audio.c_stderr import _variables, muted_c_stderr
from vtune.errors import DataError

pytestmark = pytest.mark.skipif(_variables() is None, reason="only the GNU C library lets a program set stderr")


def write_from_c(text: bytes) -> None:
    program = ctypes.CDLL(None)
    stream = ctypes.c_void_p.in_dll(program, "stderr")
    program.fputs(text, stream)
    program.fflush(stream)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Write an MP3 with wrong bytes, about which libmpg123 complains."""
    path = tmp_path / "broken.mp3"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 72_000), 24_000)
    content = bytearray(path.read_bytes())
    for position in np.random.default_rng(1).integers(1_000, len(content), 80):
        content[position] ^= 0x55
    path.write_bytes(content)
    return path


def test_a_broken_mp3_is_read_without_noise(broken: Path, capfd: pytest.CaptureFixture[str]) -> None:
    soundfile.read(broken)
    assert capfd.readouterr().err.count("\n") > 2, "libsndfile alone makes noise"
    with suppress(DataError):
        audio.read(broken, 16_000)
    assert capfd.readouterr().err == ""


def test_python_and_later_c_code_are_heard(capfd: pytest.CaptureFixture[str]) -> None:
    with muted_c_stderr(), muted_c_stderr():
        write_from_c(b"muted\n")
        print("python", file=sys.stderr, flush=True)
        os.write(2, b"a crash\n")
    write_from_c(b"later\n")
    assert capfd.readouterr().err == "python\na crash\nlater\n"


def test_threads_that_decode_at_once_leave_standard_error_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    def decode() -> None:
        for _ in range(200):
            with muted_c_stderr():
                write_from_c(b"muted\n")

    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    write_from_c(b"later\n")
    assert capfd.readouterr().err == "later\n"
