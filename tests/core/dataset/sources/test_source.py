"""The recordings of a table are found by name, and each recording that is not found has a reason."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vtune.dataset import Row, Source, open_source
from vtune.errors import DataError
from vtune.recipe import SourceRecipe

Folder = Callable[..., Path]


def source_of(source: Path | str, **asked: Any) -> Source:
    return open_source(SourceRecipe(source=str(source), **asked), Path())


def found(root: Path, **asked: Any) -> dict[str | int, str]:
    """Return the recording or the problem of each row, by its line; recordings that no row names stand under their own
    name.
    """
    rows = list(source_of(root, **asked).rows())
    resolved = {
        (Path(row.audio).name if row.line is None else row.line): row.problem or os.path.relpath(row.audio, root)
        for row in rows
    }
    assert len(resolved) == len(rows), "a row was listed twice"
    return resolved


def table(*names: str) -> str:
    return "".join(json.dumps({"audio": name, "text": f"words {index}"}) + "\n" for index, name in enumerate(names))


def test_a_row_whose_recording_is_not_there_is_listed(folder: Folder) -> None:
    resolved = found(
        folder("a.wav", **{"t.jsonl": table("a", "lost", "lost.wav", "sub/lost.wav", "..", ".", "/", "~")})
    )
    assert resolved[1] == "a.wav"
    assert all("has no such recording" in resolved[line] for line in range(2, 9))


def test_recordings_that_no_row_names_are_listed(folder: Folder) -> None:
    root = folder("a.wav", "b.flac", "deep/er/c.ogg", ".hidden/d.wav", "._a.wav", **{"t.csv": "file,text\na,x\n"})
    assert found(root) == {2: "a.wav", "b.flac": "no row of t.csv names it", "c.ogg": "no row of t.csv names it"}


def test_a_recording_is_listed_once_even_if_its_row_cannot_be_used(folder: Folder) -> None:
    """A second entry would say that no row names the recording, and its seconds would count twice."""
    root = folder("a.wav", "b.wav", "c.wav", **{"t.csv": 'file,text\na,\nb,one, two\nc,"open\n'})
    resolved = found(root)
    assert resolved.keys() == {2, 3, 4}
    assert resolved[2] == "no words"


@pytest.mark.parametrize("name", ["../wavs/a.wav", "../meta/../wavs/a.wav", "{root}/wavs/a.wav", "./../wavs/./a.wav"])
def test_a_recording_named_by_a_roundabout_path_is_listed_once(folder: Folder, tmp_path: Path, name: str) -> None:
    given = name.format(root=tmp_path / "source")
    root = folder("wavs/a.wav", "wavs/b.wav", **{"meta/t.jsonl": table(given)})
    assert found(root).keys() == {1, "b.wav"}


@pytest.mark.parametrize(
    "name",
    [
        "wavs/a.wav",
        "wavs/a",
        "a",
        "a.wav",
        "wavs\\a.wav",
        "C:\\data\\wavs\\a.wav",
        "/home/ann/data/wavs/a.wav",
        "a.mp3",
    ],
)
def test_a_recording_is_found_by_any_name_that_tables_give_it(folder: Folder, name: str) -> None:
    """A table may name a recording by a path of another machine, by its name before a conversion, or without its
    ending.
    """
    assert found(folder("wavs/a.wav", **{"t.jsonl": table(name)})) == {1: "wavs/a.wav"}


def test_a_stem_in_two_folders_is_ambiguous_unless_the_folder_is_named(folder: Folder) -> None:
    names = ("1", "ann/1", "bob/1", "ann/1.wav", "/old/machine/bob/1.wav")
    resolved = found(folder("ann/1.wav", "bob/1.wav", "0/2.wav", **{"t.jsonl": table(*names)}))
    assert "could be" in resolved[1]
    assert "ann/1.wav" in resolved[1]
    assert "bob/1.wav" in resolved[1]
    assert [resolved[line] for line in range(2, 6)] == ["ann/1.wav", "bob/1.wav", "ann/1.wav", "bob/1.wav"]


def test_a_stem_with_two_endings_is_ambiguous_unless_the_ending_is_named(folder: Folder) -> None:
    resolved = found(folder("a.wav", "a.flac", **{"t.jsonl": table("a", "a.flac")}))
    assert "could be" in resolved[1]
    assert resolved[2] == "a.flac"
    below = folder("wavs/a.wav", "wavs/a.flac", name="below", **{"t.jsonl": table("a", "a.flac", "a.wav", "wavs/a")})
    resolved = found(below)
    assert (resolved[2], resolved[3]) == ("wavs/a.flac", "wavs/a.wav")
    assert "could be" in resolved[1]
    assert "could be" in resolved[4]


def test_the_namesake_of_a_lost_recording_is_not_taken_for_it(folder: Folder) -> None:
    """Bob's words must not be trained with Ann's voice because Bob's file was deleted."""
    resolved = found(folder("ann/1.wav", "bob/2.wav", **{"t.jsonl": table("ann/1.wav", "bob/1.wav", "bob/1")}))
    assert resolved[1] == "ann/1.wav"
    assert "no such recording" in resolved[2]
    assert "no such recording" in resolved[3]


def test_a_namesake_in_the_tables_own_folder_comes_first(folder: Folder) -> None:
    assert found(folder("a.wav", "old/a.wav", **{"t.jsonl": table("a")}))[1] == "a.wav"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_written_together_or_apart_are_the_same_name(folder: Folder, form: str) -> None:
    on_disk, named = (
        unicodedata.normalize(f, "Café_é.wav") for f in (("NFC", "NFD") if form == "NFC" else ("NFD", "NFC"))
    )
    assert on_disk != named
    assert found(folder(on_disk, **{"t.jsonl": table(named)})) == {1: on_disk}


@pytest.mark.parametrize(
    "name",
    ["-rf.wav", "new\nline.wav", "tab\there.wav", "=1+1.wav", "two  blanks.wav", "a.b.c.wav", "a.wav.wav", "$(id).wav",
     "'quoted'.wav", "%00.wav", "*.wav", "ünï.WAV", "\u202etxt.wav"],
)  # fmt: skip
def test_odd_names_are_names(folder: Folder, name: str) -> None:
    root = folder(name, "other.wav", **{"t.jsonl": table(name, name.rsplit(".", 1)[0])})
    assert found(root) == {1: name, 2: name, "other.wav": "no row of t.jsonl names it"}


@pytest.mark.parametrize("name", ["\x00", "a\x00.wav", "x" * 5000 + ".wav", "\ud83d.wav", "a/" * 3000, "//"])
def test_impossible_names_are_problems_not_crashes(folder: Folder, name: str) -> None:
    resolved = found(folder("a.wav", **{"t.jsonl": table(name)}))
    assert "no recording is named" in resolved[1] or "NUL" in resolved[1] or "no such recording" in resolved[1]


def test_a_file_name_that_is_no_text_is_found_and_listed(folder: Folder) -> None:
    """Linux allows any bytes; the survey and the ledger must hold them."""
    root = folder("a.wav", "b.wav", **{"t.jsonl": table("caf\udce9")})
    (root / "a.wav").rename(os.fsdecode(os.fsencode(root) + b"/caf\xe9.wav"))
    (root / "b.wav").rename(os.fsdecode(os.fsencode(root) + b"/\xff.wav"))
    assert found(root) == {1: "caf\udce9.wav", "\udcff.wav": "no row of t.jsonl names it"}


@pytest.mark.usefixtures("hurried")
def test_links_are_followed_and_loops_end(folder: Folder, tmp_path: Path) -> None:
    elsewhere = folder("far.wav", name="elsewhere")
    folder("neighbour.wav", name="neighbour")
    root = folder("a.wav", "sub/b.wav", **{"t.jsonl": table("a", "b", "far", "linked/far")})
    (root / "linked").symlink_to(elsewhere)
    (root / "again").symlink_to(elsewhere)
    (root / "sub" / "loop").symlink_to(root)
    (root / "up").symlink_to(tmp_path)
    (root / "slash").symlink_to("/")
    (root / "self").symlink_to(root / "self")
    (root / "broken.wav").symlink_to(root / "nowhere")
    (root / "ring.wav").symlink_to(root / "ring.wav")
    resolved = found(root)
    assert resolved[1] == "a.wav"
    assert resolved[2] == "sub/b.wav"
    assert Path(resolved[3]).name == Path(resolved[4]).name == "far.wav"
    assert resolved.keys() == {1, 2, 3, 4, "broken.wav", "ring.wav"}, "each file once, and none of the neighbour's"


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "metadata.txt"])
def test_a_pipe_is_no_table(folder: Folder, name: str) -> None:
    root = folder("a.wav")
    os.mkfifo(root / name)
    with pytest.raises(DataError, match="name of a table, but is not a regular file"):
        source_of(root)
    with pytest.raises(DataError, match="has no table"):
        source_of(root, table=name)
    with pytest.raises(DataError, match="neither a folder nor a plain file"):
        source_of(root / name)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("place", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_source(place: str) -> None:
    with pytest.raises(DataError, match="neither a folder nor a plain file"):
        source_of(place)


def test_a_folder_that_cannot_be_entered_is_listed(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder("a.wav", "shut/b.wav", **{"t.jsonl": table("a.wav")})
    scan = os.scandir

    def refuse(path: Any) -> Any:
        if os.path.basename(path) == "shut":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert found(root) == {1: "a.wav", "shut": "the folder cannot be opened: Permission denied"}
    monkeypatch.setattr(os, "listdir", lambda path: refuse(root / "shut"))
    with pytest.raises(DataError, match="cannot be opened: Permission denied"):
        source_of(root)


def test_texts_beside_the_recordings_are_read(folder: Folder) -> None:
    root = folder(
        "a.wav", "b.flac", "c.wav", "d.wav", "deep/e.wav", "f.wav",
        **{"a.txt": "Hello\nthere.\n", "b.lab": "Grüße".encode("cp1252"), "c.txt": " \n", "deep/e.txt": "Deep.",
           "f.txt": "bell \x07", "metadata.wav.txt": "no table"},
    )  # fmt: skip
    source = source_of(root)
    assert source.description == ["a text file beside each recording"]
    rows = {Path(row.audio).name: row for row in source.rows()}
    assert {name: row.text for name, row in rows.items() if row.problem is None} == {
        "a.wav": "Hello there.", "b.flac": "Grüße", "e.wav": "Deep.",
    }  # fmt: skip
    assert (rows["a.wav"].file, rows["a.wav"].line) == (str(root / "a.txt"), 1)
    assert rows["c.wav"].problem == "no words"
    assert rows["d.wav"].problem == "no table names it and no .txt or .lab lies beside it"
    assert "U+0007" in (rows["f.wav"].problem or "")


def test_a_text_beside_a_recording_is_no_table(folder: Folder) -> None:
    root = folder("train.wav", "metadata.wav", **{"train.txt": "Choo choo.", "metadata.txt": "A dry word."})
    assert {row.text for row in source_of(root).rows()} == {"Choo choo.", "A dry word."}


def test_several_tables_ask_which(folder: Folder) -> None:
    root = folder("a.wav", "b.wav", **{"x.csv": "file,text\na,X\n", "y.csv": "file,text\nb,Y\n", "notes.txt": "hi"})
    with pytest.raises(DataError, match=r"several tables \(x\.csv, y\.csv\); say which with 'table:'"):
        source_of(root)
    assert found(root, table="y.csv") == {2: "b.wav", "a.wav": "no row of y.csv names it"}
    with pytest.raises(DataError, match=r"has no table 'z\.csv'"):
        source_of(root, table="z.csv")


def test_one_table_in_each_folder_is_read(folder: Folder) -> None:
    tables = {"ann/t.csv": "file,text\n1,Ann\n", "bob/t.csv": "file,text\n1.wav,Bob\nann/1.wav,Ann twice\n"}
    root = folder("ann/1.wav", "bob/1.wav", "cid/1.wav", **tables)
    rows = list(source_of(root).rows())
    assert [(row.text, os.path.relpath(row.audio, root), row.line) for row in rows] == [
        ("Ann", "ann/1.wav", 2), ("Bob", "bob/1.wav", 2), ("Ann twice", "ann/1.wav", 3), ("", "cid/1.wav", None),
    ]  # fmt: skip
    assert rows[3].problem == "no row of t.csv or t.csv names it"
    (root / "bob" / "u.csv").write_text("file,text\n1.wav,Bob\n")
    with pytest.raises(DataError, match=r"bob has several tables \(t\.csv, u\.csv\)"):
        source_of(root)


def test_a_split_of_an_audiofolder_is_taken_alone(folder: Folder) -> None:
    tables = {f"{split}/metadata.csv": f"file_name,text\n{split}.wav,{split}\n" for split in ("train", "test")}
    root = folder("train/train.wav", "test/test.wav", **tables)
    assert [row.text for row in source_of(root).rows()] == ["train"]
    assert [row.text for row in source_of(root, split="test").rows()] == ["test"]


EMPTY = {
    "an empty folder": ({}, r"has no recordings \(.*\.wav.*\) and no table"),
    "a folder of other things": ({"x.pdf": "x", "README.txt": "x"}, "has no recordings"),
    "no words": ({"a.wav": b"x"}, r"recordings but no words.*transcripts\.csv.*\.txt beside"),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_a_folder_without_clips_says_what_was_looked_for(folder: Folder, kind: str) -> None:
    files, message = EMPTY[kind]
    with pytest.raises(DataError, match=message) as caught:
        source_of(folder(**files))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere", "~nobody/x", "a\x00b", "x" * 300, "../" * 500])
def test_a_source_that_is_not_there_says_where_it_was_looked_for(tmp_path: Path, name: str) -> None:
    if name.startswith("../"):
        name += "nowhere"
    with pytest.raises(DataError, match="there is no source"):
        open_source(SourceRecipe(source=name), tmp_path)


def test_a_source_is_looked_up_from_the_recipe(folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = folder("a.wav", **{"t.csv": "file,text\na,Hello\n"})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (row,) = open_source(SourceRecipe(source=root.name), root.parent).rows()
    assert row.problem is None


def test_a_file_that_is_no_table_says_which_are(folder: Folder) -> None:
    with pytest.raises(
        DataError, match=r"a\.bin is not a table of clips \(.*\.csv.*\.parquet\); name a folder or a table"
    ):
        source_of(folder("a.wav", **{"a.bin": b"\0\1"}) / "a.bin")


@pytest.mark.parametrize("source", ["data", "data/m.jsonl", "data/lists/m.jsonl", "data/lists"])
@pytest.mark.parametrize("name", ["data/wavs/a.wav", "x/data/wavs/a.wav", "./data/wavs/a.wav", "a"])
def test_paths_from_the_folder_that_a_table_was_made_in_are_found(folder: Folder, source: str, name: str) -> None:
    table_name = "data/lists/m.jsonl" if "lists" in source else "data/m.jsonl"
    if source == "data/lists" and name == "a":
        pytest.skip("a bare name in a folder without recordings names none of them")
    root = folder("data/wavs/a.wav", **{f"x/{table_name}" if name.startswith("x/") else table_name: table(name)})
    if name.startswith("x/"):
        (root / "data/wavs").rename(root / "x/data/wavs")
        root = root / "x"
    rows = list(source_of(root / source).rows())
    assert [(os.path.relpath(row.audio, root), row.problem) for row in rows] == [("data/wavs/a.wav", None)]


def test_rows_can_be_asked_for_again(folder: Folder) -> None:
    root = folder("a.wav", "b.wav", **{"t.csv": "file,text\na,Hello\n"})
    source = source_of(root)
    first: list[Row] = list(source.rows())
    assert list(source.rows()) == first
    assert next(iter(source.rows())) == first[0]
    assert list(source.rows()) == first
    (root / "t.csv").write_text("file,text\nb,Hello\n")
    assert [Path(row.audio).name for row in source.rows()] == ["b.wav", "a.wav"]
