"""Files and folders are whole or not there, whatever happens in between."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vtune import folders
from vtune.errors import VtuneError
from vtune.folders import RunFolder, VoiceFolder, new_folder, settle, sweep, sync_folder, write_json, write_text


class Killed(BaseException):
    pass


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def fill(folder: Path, text: str) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text(text)
    return folder


def test_a_text_is_written_whole_with_the_folders_above_it(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "c.txt", "Grüße\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "Grüße\n".encode()
    write_text(tmp_path / "a" / "b" / "c.txt", "shorter")
    assert content(tmp_path) == {"a/b/c.txt": "shorter"}


def test_a_text_that_cannot_be_written_leaves_the_former_one_and_nothing_beside(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "former")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "half \ud800")
    assert content(tmp_path) == {"a.txt": "former"}


def test_a_text_is_on_disk_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut an empty file under the right name would pass for a finished one."""
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
    """Something that stands in the way."""
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


@pytest.mark.parametrize("former", ["folder"], indirect=True)
@pytest.mark.parametrize("step", ["rename the former", "rename the new", "remove the former"])
def test_killed_while_settling_one_of_both_stands_after_sweeping(
    former: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Between two renames neither has the name; sweeping must not remove the only one."""
    aside = former.with_name(f".ann.{os.getpid()}.partial")
    aside.mkdir()
    (aside / "one").write_text("new")
    steps = ["rename the former", "rename the new", "remove the former"]
    left = steps.index(step)
    rename, remove = Path.rename, folders._remove

    def count_down() -> None:
        nonlocal left
        if left == 0:
            raise Killed
        left -= 1

    def killed_rename(self: Path, target: Path) -> Path:
        count_down()
        return rename(self, target)

    def killed_remove(path: Path) -> None:
        if path.exists():
            count_down()
        remove(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed_rename)
        patch.setattr(folders, "_remove", killed_remove)
        with pytest.raises(Killed):
            settle(aside, former)
    sweep(former.parent)
    assert content(former) == ({"one": "new"} if step == "remove the former" else {"deep/file": "former"})
    assert [path.name for path in former.parent.iterdir()] == ["ann"]


def test_sweeping_removes_what_was_left_and_nothing_else(tmp_path: Path) -> None:
    fill(tmp_path / ".ann.1.partial", "half")
    fill(tmp_path / ".ann.1.former", "old")
    fill(tmp_path / "ann", "whole")
    fill(tmp_path / ".git", "not ours")
    (tmp_path / ".a.wav.partial").write_text("half")
    (tmp_path / ".lock").write_text("")
    (tmp_path / "x.partial").write_text("somebody's")
    sweep(tmp_path)
    assert content(tmp_path) == {
        "ann/deep/file": "whole", ".git/deep/file": "not ours", ".lock": "", "x.partial": "somebody's",
    }  # fmt: skip
    sweep(tmp_path / "nowhere")


def test_names_with_dots_are_put_back_under_their_own_name(tmp_path: Path) -> None:
    fill(tmp_path / ".checkpoint-1.5.b.77.former", "old")
    sweep(tmp_path)
    assert content(tmp_path) == {"checkpoint-1.5.b/deep/file": "old"}


@pytest.mark.parametrize("odd", ["fifo", "broken link"])
def test_syncing_passes_over_what_is_no_file(tmp_path: Path, odd: str) -> None:
    fill(tmp_path / "a", "x")
    os.mkfifo(tmp_path / "a" / "pipe") if odd == "fifo" else (tmp_path / "a" / "link").symlink_to("nowhere")
    sync_folder(tmp_path / "a")


def test_a_second_run_of_the_same_voice_is_kept_out(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "runs" / "ann")
    with run.locked():
        with pytest.raises(VtuneError, match=r"runs/ann: another run of this voice is going on"), run.locked():
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
