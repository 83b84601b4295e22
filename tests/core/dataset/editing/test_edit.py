"""An edit changes the intended row and nothing else, in every form of table, and can be undone byte for byte."""

from __future__ import annotations

import codecs
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.dataset.editing.edit import Change, EditableTable, StaleError
from vtune.dataset.editing.sidecars import EditableSidecar
from vtune.dataset.editing.text_file import sweep
from vtune.dataset.sources.plain_text import unfit_words
from vtune.dataset.sources.tables import open_table
from vtune.errors import DataError

Said = list[tuple[str, str, str, str, "str | None"]]

LETTERS = st.characters(codec="utf-8", exclude_characters="|")
WORDS = st.text(LETTERS, min_size=1, max_size=20).map(lambda text: " ".join(text.split()))
SPOKEN = WORDS.filter(lambda words: unfit_words(words) is None)
EDITS = st.tuples(st.sampled_from(["words", "drop", "split", "add"]), st.integers(0, 9), SPOKEN)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])


def said(path: Path) -> Said:
    return [(r.audio, r.text, r.speaker, r.red_flags, r.problem) for r in open_table(path).records()]


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@st.composite
def json_tables(draw: st.DrawFn, texts: list[str]) -> tuple[str, bytes]:
    """Generate lines of objects, a list of objects, or an object of names and words."""
    form = draw(st.sampled_from(["lines", "list", "pairs"]))
    looks: dict[str, Any] = {"ensure_ascii": draw(st.booleans())}
    objects: list[Any] = [
        {"note": [1, {"text": 2}], "file": f"r{n}.wav", "text": text, "red_flags": "x"} for n, text in enumerate(texts)
    ]
    if form == "lines":
        end = draw(st.sampled_from(["\n", "\r\n"]))
        last = draw(st.sampled_from([end, "", end * 3]))
        return "t.jsonl", (end.join(json.dumps(item, **looks) for item in objects) + last).encode()
    looks["indent"] = draw(st.sampled_from([None, 2]))
    if form == "list":
        return "t.json", json.dumps(objects, **looks).encode()
    return "t.json", json.dumps({f"r{n}": text for n, text in enumerate(texts)}, **looks).encode()


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, bytes, bool]:
    """Generate a table in one of the forms: its name, its bytes, and whether every edit must be possible."""
    texts = draw(st.lists(st.text("abc ,;\"'\té=@+-“ß", max_size=14), min_size=1, max_size=6))
    if draw(st.booleans()):
        return *draw(json_tables(texts)), True
    mark, end, quoted = draw(st.sampled_from(",\t;|")), draw(ENDS), draw(st.booleans())

    def cell(value: str) -> str:
        if mark == "|" or not (quoted or set(value) & {mark, '"'}):
            return value
        return '"' + value.replace('"', '""') + '"'

    header = mark in ",;" or draw(st.booleans())
    rows = [mark.join(["x", "filename", "text", "red_flags", "speaker"])] if header else []
    for number, text in enumerate(texts):
        cells = ["", f"r{number}", text, "why", "ann"] if header else [f"r{number}", text or "w"]
        rows += [mark.join(map(cell, cells)), *[""] * draw(st.integers(0, 1))]
    last = draw(st.sampled_from([end, "", end * 3]))
    name = "t.tsv" if mark == "\t" else "t.csv"
    return name, (end.join(rows) + last).encode(draw(ENCODINGS)), header


def edit(table: EditableTable, what: str, row: int, words: str) -> Change:
    if what == "words":
        return table.set_words(row, words)
    if what == "split":
        return table.replace(row, [("new_a", words), ("new_b.wav", "two")])
    return table.add("added.wav", words) if what == "add" else table.drop(row)


@settings(max_examples=200, deadline=None)
@given(tables(), EDITS)
def test_an_edit_reaches_its_row_only_and_is_undone_to_the_byte(
    made: tuple[str, bytes, bool], wanted: tuple[str, int, str]
) -> None:
    name, data, always = made
    with TemporaryDirectory() as folder:
        path = write(Path(folder), name, data)
        try:
            table, before = EditableTable(path), said(path)
        except DataError:
            assert not always  # words of a first row without a header can look like another form
            return
        what, number, words = wanted
        row = number % len(before)
        try:
            change = edit(table, what, row, words)
        except DataError:
            assert not always or (what == "drop" and len(before) == 1)
            assert path.read_bytes() == data
            return
        after = said(path)
        if what == "words":
            assert after[row] == (before[row][0], words, *before[row][2:4], None)
            assert after[:row] + after[row + 1 :] == before[:row] + before[row + 1 :]
        elif what == "drop":
            assert after == before[:row] + before[row + 1 :]
        elif what == "split":
            assert [entry[:2] for entry in after[row : row + 2]] == [("new_a", words), ("new_b.wav", "two")]
            assert {entry[2:4] for entry in after[row : row + 2]} == {before[row][2:4]}
            assert after[:row] + after[row + 2 :] == before[:row] + before[row + 1 :]
        else:
            assert after[-1][:2] == ("added.wav", words)
            assert after[:-1] == before
        again = EditableTable(path)
        undone = again.undo(change)
        assert path.read_bytes() == data
        again.undo(undone)
        assert said(path) == after
        assert os.listdir(folder) == [name]


@settings(max_examples=100, deadline=None)
@given(tables(), st.lists(EDITS, max_size=6))
def test_many_edits_are_undone_one_by_one(made: tuple[str, bytes, bool], edits: list[tuple[str, int, str]]) -> None:
    with TemporaryDirectory() as folder:
        path = write(Path(folder), *made[:2])
        try:
            table = EditableTable(path)
        except DataError:
            return
        stack = []
        for what, row, words in edits:
            content = path.read_bytes()
            if not table.records:
                break
            try:
                stack.append((content, edit(table, what, row % len(table.records), words)))
            except DataError:
                assert path.read_bytes() == content
        for content, change in reversed(stack):
            EditableTable(path).undo(change)
            assert path.read_bytes() == content


@settings(max_examples=100, deadline=None)
@given(tables(), st.integers(0, 9), st.integers(0, 9))
def test_dropped_rows_go_back_in_any_order(made: tuple[str, bytes, bool], first: int, second: int) -> None:
    with TemporaryDirectory() as folder:
        path = write(Path(folder), *made[:2])
        try:
            table, before = EditableTable(path), said(path)
            first, second = first % len(before), second % max(1, len(before) - 1)
            dropped = table.drop(first)
            other = table.drop(second)
        except (DataError, IndexError):
            return
        content = path.read_bytes()
        try:
            table.put_back(first if first <= second else first - 1, dropped)
            content = path.read_bytes()
            table.put_back(second if second < first else second + 1, other)
        except DataError:
            # Without a header the first row says which form the table has, so not every row can be the first.
            assert not made[2]
            assert path.read_bytes() == content
            return
        assert said(path) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"filename,text\r\na,one\r\nb,two\r\n", b"filename,text\r\na,one\r\nb,W\r\n"),
        (b'filename,text\n"a","one"\n"b","two"', b'filename,text\n"a","one"\n"b","W"'),
        (b"text;n;filename\n one ;1; a \ntwo;2;b;;\n", b"text;n;filename\n one ;1; a \nW;2;b;;\n"),
        (b"a|1|one\nb|2|two\n\n", b"a|1|one\nb|2|W\n\n"),
        (b"\n\nfilename\ttext\n\na\tone\n  \nb\ttwo\n", b"\n\nfilename\ttext\n\na\tone\n  \nb\tW\n"),
        (b'filename,text\na,"one\n\nmore"\nb,two\n', b'filename,text\na,"one\n\nmore"\nb,W\n'),
        (b'filename,text\na,"open\nb,two\n', b'filename,text\na,"open\nb,W\n'),
        (codecs.BOM_UTF8 + b"filename,text\na,\xc3\xa9\nb,two", codecs.BOM_UTF8 + b"filename,text\na,\xc3\xa9\nb,W"),
        (b"filename;text\na;caf\xe9\nb;two\n", b"filename;text\na;caf\xe9\nb;W\n"),
        (b"filename,text\na,\xc3\xa9\xc3\xa9 \xff\nb,two\n", b"filename,text\na,\xc3\xa9\xc3\xa9 \xff\nb,W\n"),
    ],
)
def test_what_is_not_edited_stays_byte_for_byte(tmp_path, old, new):
    path = write(tmp_path, "t.csv", old)
    table = EditableTable(path)
    assert table.records[1].audio == "b"
    table.set_words(1, "W")
    assert path.read_bytes() == new


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("t.jsonl", '{"text":"x","file":"a"}\n\n{"a":1.50,"text" : "\\u00e9","file":"b"}', '"text" : "W ß",'),
        ("t.json", '[ {"file":"a","text":"x"} ,\n\t{"text":"é","file":"b", "n":1e5} ]\n', '"W ß","file":"b", "n":1e5}'),
        ("t.json", '{"a":"x" ,  "b" :"y"}', '"a":"x" ,  "b" :"W ß"'),
        ("t.jsonl", '{"file":"a","text":"x"}\n{"file":"b"}\n', '{"file":"b", "text": "W ß"}'),
        ("t.jsonl", '{"file":"a","text":"x"}\n{"text":"y","file":"b","text":"z"}\n', '"y","file":"b","text":"W ß"'),
    ],
)  # fmt: skip
def test_json_keeps_its_looks(tmp_path, name, old, new):
    path = write(tmp_path, name, old.encode())
    EditableTable(path).set_words(1, "W ß")
    assert new in path.read_text(encoding="utf-8").replace("W \\u00df", "W ß")
    assert [entry[1] for entry in said(path)] == ["x", "W ß"]
    assert len(path.read_text().splitlines()) == len(old.splitlines())


def test_a_table_in_windows_1252_becomes_utf8_with_a_mark_when_it_gets_a_letter_it_lacks(tmp_path):
    old = "filename;text\na;café\nb;two\n".encode("cp1252")
    path = write(tmp_path, "t.csv", old)
    table = EditableTable(path)
    kept = table.set_words(1, "naïve")
    assert path.read_bytes() == old.replace(b"two", b"na\xefve")
    changed = table.set_words(1, "żółw")
    assert path.read_bytes() == codecs.BOM_UTF8 + "filename;text\na;café\nb;żółw\n".encode()
    EditableTable(path).undo(changed)
    EditableTable(path).undo(kept)
    assert path.read_bytes() == old


def test_what_a_form_cannot_hold_is_refused_and_the_table_untouched(tmp_path):
    pipes = write(tmp_path, "p.csv", b"a|one\nb|two\n")
    tabs = write(tmp_path, "t.tsv", b"a\tone\nb\ttwo\n")
    pairs = write(tmp_path, "p.json", b'{"a": "one"}')
    short = write(tmp_path, "s.csv", b"filename,text\na,one,more\nb,two\n")
    broken = write(tmp_path, "b.jsonl", b'{"file": "a", "text": "one"}\n{"file": \n[1]\n')
    for path, row, words, why in (
        (pipes, 1, "a | b", "cannot contain that character"),
        (tabs, 0, "with | one", "read differently"),
        (short, 0, "x", "3 cells where there are 2 columns"),
        (broken, 1, "x", "not a JSON object"),
        (broken, 2, "x", "not a JSON object"),
        (pairs, 0, "a\x07b", "U\\+0007"),
    ):
        before = path.read_bytes()
        with pytest.raises(DataError, match=why):
            EditableTable(path).set_words(row, words)
        assert path.read_bytes() == before
    for path in (pipes, pairs):
        with pytest.raises(DataError, match="red_flags"):
            EditableTable(path).set_flags(0, "")
    with pytest.raises(DataError, match="read differently"):
        EditableTable(pairs).drop(0)
    odd = write(tmp_path, "u.csv", "filename,text\na,b\n".encode("utf-16")[:-1])
    with pytest.raises(DataError, match="damaged UTF-16"):
        EditableTable(odd)


def test_flags_are_emptied_and_formulas_kept(tmp_path):
    path = write(tmp_path, "t.csv", b'filename,text,red_flags\na,=1+1,"x; y"\nb,@cmd,z\n')
    table = EditableTable(path)
    table.set_flags(0, "")
    assert path.read_bytes() == b'filename,text,red_flags\na,=1+1,""\nb,@cmd,z\n'
    table.set_words(1, "+SUM(A1:A9)")
    assert path.read_bytes().endswith(b"b,+SUM(A1:A9),z\n")


def test_rows_that_cannot_be_read_can_be_dropped(tmp_path):
    path = write(tmp_path, "t.csv", b'filename,text\na,"open\nb,two,three\nc,x\n')
    table = EditableTable(path)
    table.drop(1)
    table.drop(0)
    assert path.read_bytes() == b"filename,text\nc,x\n"


def test_an_edit_of_a_changed_file_is_refused(tmp_path):
    path = write(tmp_path, "t.csv", b"filename,text\na,one\n")
    table = EditableTable(path)
    path.write_bytes(b"filename,text\na,theirs\n")
    for act in (lambda: table.set_words(0, "mine"), lambda: table.drop(0), lambda: table.add("b", "x")):
        with pytest.raises(StaleError):
            act()
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        table.drop(0)


def test_what_the_note_raises_stops_the_change(tmp_path):
    path = write(tmp_path, "t.csv", b"filename,text\na,one\n")

    def full(change: Change) -> None:
        raise OSError(28, "no space")

    with pytest.raises(OSError, match="no space"):
        EditableTable(path).set_words(0, "mine", full)
    assert path.read_bytes() == b"filename,text\na,one\n"
    assert os.listdir(tmp_path) == ["t.csv"]


@pytest.mark.parametrize(
    "old", [b"  one two\r\n\r\n", b"", b"\n", codecs.BOM_UTF8 + b"x\n", "né\n".encode("utf-16"), b"caf\xe9\n"]
)
def test_sidecars_keep_what_is_around_their_words(tmp_path, old):
    path = write(tmp_path, "a.txt", old)
    sidecar = EditableSidecar(path)
    first = sidecar.set_words("other words")
    assert path.read_bytes().startswith(old[:2]) or old in (b"", b"\n", b"caf\xe9\n") or old[:2] == b"x\n"
    second = sidecar.set_words("żółw")
    third = sidecar.drop()
    assert not path.exists()
    for change in (third, second, first):
        EditableSidecar(path).undo(change)
    assert path.read_bytes() == old


def test_a_sidecar_that_is_not_there_is_written_and_taken_away_again(tmp_path):
    sidecar = EditableSidecar(tmp_path / "a.txt")
    change = sidecar.set_words("new")
    assert (tmp_path / "a.txt").read_bytes() == b"new\n"
    with pytest.raises(StaleError):
        EditableSidecar(tmp_path / "b.txt").undo(change)
    sidecar.undo(change)
    assert os.listdir(tmp_path) == []


def test_what_a_killed_run_left_aside_is_removed_once_it_is_old(tmp_path):
    for name, age in ((".12-ab.partial.csv", 3600), (".13-cd.partial.csv", 0), ("mine.partial.csv", 3600)):
        path = write(tmp_path, name, b"x")
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".13-cd.partial.csv", "mine.partial.csv"]


def test_words_that_would_be_taken_for_a_recording_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "t.tsv", b"r0\tw\n")
    with pytest.raises(DataError, match="would be read differently with this change"):
        EditableTable(path).set_words(0, "0/")
    assert path.read_bytes() == b"r0\tw\n"
