from __future__ import annotations

import threading
from pathlib import Path

import pytest

from vtune.errors import DataError
from vtune.runtime.distributed import shared_files
from vtune.runtime.distributed.shared_files import await_content, await_files, content_hash


def test_files_that_appear_late_are_awaited(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    second.write_text("old")
    writers = [threading.Timer(0.1, first.write_text, ["there"]), threading.Timer(0.3, second.write_text, ["new"])]
    for writer in writers:
        writer.start()
    await_files([first])
    assert first.exists()
    (tmp_path / "copy").write_text("new")
    await_content(second, content_hash(tmp_path / "copy"))
    assert second.read_text() == "new"


def test_a_folder_that_is_not_shared_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_files, "VISIBLE_SECONDS", 0.1)
    monkeypatch.setattr(shared_files, "POLL_SECONDS", 0.02)
    missing = tmp_path / "nowhere" / "clip.wav"
    with pytest.raises(
        DataError, match=r"clip\.wav was written or listed by another process .* must share this folder"
    ):
        await_files([missing])
    with pytest.raises(DataError, match="must share this folder"):
        await_content(missing, "0" * 64)
