"""Files and folders are complete or absent, whatever happens while they are written."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from killing import every_kill

from vtune.errors import VtuneError
from vtune.runtime.paths import (
    RunFolder,
    VoiceFolder,
    make_parent,
    new_folder,
    sweep,
    sync_folder,
    write_json,
    write_text,
)


class Killed(BaseException):
    pass


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def fill(folder: Path, text: str) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text(text)
    return folder


def test_a_text_is_written_whole_into_a_folder_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    with pytest.raises(FileNotFoundError):
        write_text(path, "a folder that is gone does not come back")
    make_parent(path)
    write_text(path, "Grüße\n")
    assert path.read_bytes() == "Grüße\n".encode()
    write_text(path, "shorter")
    assert content(tmp_path) == {"a/b/c.txt": "shorter"}


def test_a_text_that_cannot_be_written_leaves_the_former_one_and_nothing_beside(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "former")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "half \ud800")
    assert content(tmp_path) == {"a.txt": "former"}


def test_a_text_is_on_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut, an empty file under the right name would look like a finished file."""
    done = []
    monkeypatch.setattr(os, "fsync", lambda file: done.append((tmp_path / "a.txt").exists()))
    write_text(tmp_path / "a.txt", "x")
    assert done == [False]


def test_json_is_for_people_as_well(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "Zoë", "where": Path("x")})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"name": "Zoë", "where": "x"}
    assert "Zoë" in text
    assert text.endswith("}\n")


def test_names_of_files_that_are_no_text_come_back_from_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xc3\xa9.wav")
    write_json(tmp_path / "names.json", {"file": name})
    assert json.loads((tmp_path / "names.json").read_bytes()) == {"file": name}


def test_a_folder_appears_when_it_is_full(tmp_path: Path) -> None:
    with new_folder(tmp_path / "voices" / "ann") as aside:
        (aside / "one").write_text("1")
        assert not (tmp_path / "voices" / "ann").exists()
    assert content(tmp_path) == {"voices/ann/one": "1"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Killed])
@pytest.mark.parametrize("former", [False, True])
def test_a_folder_that_fails_leaves_what_was_there(tmp_path: Path, error: type[BaseException], former: bool) -> None:
    if former:
        fill(tmp_path / "ann", "former")
    with pytest.raises(error):
        _failing(tmp_path / "ann", error)
    assert content(tmp_path) == ({"ann/deep/file": "former"} if former else {})
    assert len(list(tmp_path.iterdir())) == former


def _failing(path: Path, error: type[BaseException]) -> None:
    with new_folder(path) as aside:
        fill(aside / "new", "half")
        raise error


@pytest.fixture(params=["folder", "file", "link to a folder", "broken link"])
def former(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Return something that already exists at the path."""
    path = tmp_path / "ann"
    match request.param:
        case "folder":
            fill(path, "former")
        case "file":
            path.write_text("former")
        case "link to a folder":
            path.symlink_to(fill(tmp_path / "elsewhere", "not ours"))
        case "broken link":
            path.symlink_to(tmp_path / "nowhere")
    yield path
    if request.param == "link to a folder":
        assert content(tmp_path / "elsewhere") == {"deep/file": "not ours"}, "what a link points to is not ours"


def test_a_new_folder_replaces_whatever_stood_there(former: Path) -> None:
    for number in range(2):
        with new_folder(former) as aside:
            (aside / "one").write_text(str(number))
        assert content(former) == {"one": str(number)}
        assert not former.is_symlink()
    assert [path.name for path in former.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("keep", [False, True])
def test_killed_at_every_change_one_of_both_stands_after_sweeping(tmp_path: Path, keep: bool) -> None:
    """Between two renames, neither folder has the name; sweeping must not remove the only folder."""
    folder = tmp_path / "voices"
    outcomes = set()

    def work() -> None:
        with new_folder(folder / "ann", keep=lambda: keep) as aside:
            (aside / "deep").mkdir()
            (aside / "deep" / "file").write_text("new")

    fill(folder / "ann", "former")
    for _ in every_kill(folder, work, at_least=8):
        sweep(folder)
        standing = content(folder / "ann")["deep/file"]
        kept = [content(path)["deep/file"] for path in (folder / ".former").glob("*")]
        outcomes.add(standing)
        assert kept == (["former"] if keep and standing == "new" else []), "it is nowhere, or twice"
        assert {path.name for path in folder.iterdir()} <= {"ann", ".former"}, "something is left over"
        shutil.rmtree(folder)
        fill(folder / "ann", "former")
    assert outcomes == {"former", "new"}
    assert content(folder)["ann/deep/file"] == "new"


def test_killed_at_every_change_a_file_is_whole_and_the_next_write_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    write_text(folder / "a.txt", "former")
    for _ in every_kill(folder, lambda: write_text(folder / "a.txt", "new"), at_least=2):
        assert (folder / "a.txt").read_text() == "former"
        write_text(folder / "a.txt", "former")
        assert content(folder) == {"a.txt": "former"}
    assert content(folder) == {"a.txt": "new"}


def test_a_folder_that_a_living_process_fills_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process number proves nothing: it may belong to another process by now, or be a number of another container."""
    monkeypatch.setattr("vtune.runtime.atomic_files.SWEEP_SECONDS", 0.1)
    full, go_on = os.pipe(), os.pipe()
    writer = os.fork()
    if writer == 0:
        try:
            with new_folder(tmp_path / "ann") as aside:
                (aside / "one").write_text("1")
                os.write(full[1], b"x")
                os.read(go_on[0], 1)
                write_text(aside / "two", "2")
        finally:
            os._exit(0)
    os.read(full[0], 1)
    sweep(tmp_path)
    with (
        pytest.raises(VtuneError, match="ann: another process is writing it; wait until it ends, or stop it"),
        new_folder(tmp_path / "ann"),
    ):
        pytest.fail("two write it at once")
    os.write(go_on[1], b"x")
    os.waitpid(writer, 0)
    assert content(tmp_path) == {"ann/one": "1", "ann/two": "2"}


def test_a_lock_ends_with_its_process_though_a_child_of_it_lives(tmp_path: Path) -> None:
    """A forked worker has its parent's files open, and keeps their locks unless it closes the files."""
    ready, end = os.pipe(), os.pipe()
    parent = os.fork()
    if parent == 0:
        with new_folder(tmp_path / "ann"):
            if os.fork() == 0:
                os.write(ready[1], b"x")
                os.read(end[0], 1)
                os._exit(0)
            os.kill(os.getpid(), 9)
    os.waitpid(parent, 0)
    os.read(ready[0], 1)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
    os.write(end[1], b"x")


def test_a_folder_that_was_removed_while_it_was_written_does_not_come_back_half(tmp_path: Path) -> None:
    """A reader would take two files of ten for a complete voice."""

    def fill_after_it_was_removed(make: Callable[[Path], object]) -> None:
        with new_folder(tmp_path / "ann") as aside:
            shutil.rmtree(aside)
            make(aside)

    with pytest.raises(FileNotFoundError):
        fill_after_it_was_removed(lambda aside: write_text(aside / "voice.json", "{}"))
    with pytest.raises(VtuneError, match=r"its unfinished folder \.ann.* was removed from outside"):
        # As transformers and peft make the folder that they save to.
        fill_after_it_was_removed(lambda aside: (aside / "samples").mkdir(parents=True))
    assert list(tmp_path.iterdir()) == []


def test_sweeping_removes_what_was_left_and_nothing_else(tmp_path: Path) -> None:
    fill(tmp_path / ".ann.0123abcd.vtune-partial", "half")
    fill(tmp_path / ".ann.0123abce.vtune-former", "old")
    (tmp_path / ".ann.vtune-lock").touch()
    fill(tmp_path / "ann", "whole")
    (tmp_path / ".a.wav.vtune-partial").write_text("half")
    others = {
        ".git/deep/file": "not ours", ".lock": "", "x.partial": "somebody's", ".x.partial": "", ".x.lock": "",
        ".x.1.former": "", ".y.0123abcd.partial": "",
    }  # fmt: skip
    fill(tmp_path / ".git", "not ours")
    for name, text in others.items():
        if name != ".git/deep/file":
            (tmp_path / name).write_text(text)
    sweep(tmp_path)
    assert content(tmp_path) == {"ann/deep/file": "whole", **others}
    sweep(tmp_path / "nowhere")


def test_where_there_are_no_locks_nothing_is_swept_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path / ".ann.0123abcd.vtune-partial", "somebody's, perhaps")

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    sweep(tmp_path)
    with new_folder(tmp_path / "ann") as aside:
        (aside / "one").write_text("1")
    assert content(tmp_path) == {"ann/one": "1", ".ann.0123abcd.vtune-partial/deep/file": "somebody's, perhaps"}
    assert "the file system has no locks" in caplog.text


def test_names_with_dots_are_put_back_under_their_own_name(tmp_path: Path) -> None:
    fill(tmp_path / ".checkpoint-1.5.b.0123abcd.vtune-former", "old")
    sweep(tmp_path)
    assert content(tmp_path) == {"checkpoint-1.5.b/deep/file": "old"}


def test_what_is_kept_aside_never_takes_the_place_of_another(tmp_path: Path) -> None:
    for number in range(3):
        with new_folder(tmp_path / "ann", keep=lambda: True) as aside:
            (aside / "one").write_text(str(number))
        os.utime(tmp_path / "ann", (0, 0))
    kept = sorted((tmp_path / ".former").iterdir())
    assert [content(path)["one"] for path in kept] == ["0", "1"]
    assert re.fullmatch(r"ann-19(69|70)-\d\d-\d\dT\d{6}", kept[0].name)
    assert kept[1].name == f"{kept[0].name}-2"


@pytest.mark.parametrize("odd", ["fifo", "broken link"])
def test_syncing_passes_over_what_is_no_file(tmp_path: Path, odd: str) -> None:
    fill(tmp_path / "a", "x")
    os.mkfifo(tmp_path / "a" / "pipe") if odd == "fifo" else (tmp_path / "a" / "link").symlink_to("nowhere")
    sync_folder(tmp_path / "a")


def test_a_second_run_of_the_same_voice_is_kept_out(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "runs" / "ann")
    with run.locked():
        with (
            pytest.raises(VtuneError, match=r"runs/ann: another process is running a recipe for this voice"),
            run.locked(),
        ):
            pass
        with RunFolder(tmp_path / "runs" / "bob").locked():
            pass
    with run.locked():
        pass


def test_a_run_that_fails_lets_the_next_one_in(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "ann")
    with pytest.raises(Killed), run.locked():
        raise Killed
    with run.locked():
        pass


def test_paths_are_those_that_the_documentation_names(tmp_path: Path) -> None:
    run, voice = RunFolder(tmp_path / "runs" / "ann"), VoiceFolder(tmp_path / "voices" / "ann")
    inside = {path.relative_to(run.path).as_posix() for path in (run.features, run.checkpoints, run.logs, run.ledger)}
    assert inside == {"dataset", "checkpoints", "logs", "ledger.jsonl"}
    assert voice.name == "ann"
    assert voice.adapter_config.name == "adapter_config.json"
    assert voice.card.name == "README.md"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_weights_have_the_mode_of_other_files(tmp_path, umask, mode):
    from safetensors.numpy import save_file

    before = os.umask(umask)
    try:
        with new_folder(tmp_path / "voice") as folder:
            save_file({"a": np.zeros(1, np.float32)}, folder / "adapter_model.safetensors")
            (folder / "inner").mkdir()
            (folder / "inner" / "voice.json").write_text("{}")
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "voice").rglob("*") if path.is_file()]
    assert len(files) == 2
    assert [path.stat().st_mode & 0o777 for path in files] == [mode, mode]


def test_whoever_comes_next_to_a_place_removes_what_was_left_for_other_names(tmp_path: Path) -> None:
    """``vtune say`` and ``merge`` write into folders of the user, under another name each time."""
    (tmp_path / "notes.txt").write_text("the user's")

    def write_file() -> None:
        make_parent(tmp_path / "hello.wav")
        write_text(tmp_path / "hello.wav", "x")

    def write_folder() -> None:
        with new_folder(tmp_path / "merged") as aside:
            (aside / "model").write_text("x")

    for _ in every_kill(tmp_path, write_file):
        make_parent(tmp_path / "other.wav")
        assert set(content(tmp_path)) <= {"notes.txt", "hello.wav"}
    for _ in every_kill(tmp_path, write_folder):
        make_parent(tmp_path / "other.wav")
        assert set(content(tmp_path)) <= {"notes.txt", "hello.wav", "merged/model"}
    assert content(tmp_path) == {"notes.txt": "the user's", "hello.wav": "x", "merged/model": "x"}
    assert sorted(os.listdir(tmp_path)) == ["hello.wav", "merged", "notes.txt"]
