"""Every form of table is understood, described in a log line, and read with the right line numbers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.dataset import Row, open_source
from vtune.dataset.sources import json_reader
from vtune.dataset.sources.formats.delimited import read_rows
from vtune.dataset.sources.formats.json_lines import read_json_lines
from vtune.dataset.sources.formats.json_list import read_json_list
from vtune.dataset.sources.tables import open_table
from vtune.errors import DataError
from vtune.recipe import SourceRecipe


def rows_of(source: Path, **asked: Any) -> list[Row]:
    return list(open_source(SourceRecipe(source=str(source), **asked), source).rows())


def short(rows: list[Row]) -> list[tuple[str, int | None, str, str]]:
    return [(Path(row.audio).name, row.line, row.text, row.speaker) for row in rows if row.problem is None]


PLAIN = [("a.wav", 2, "Hello there.", ""), ("b.wav", 3, "Yes, we can.", "")]
JSON = [("a.wav", 1, "Hello there.", ""), ("b.wav", 2, "Yes, we can.", "")]
SPOKEN = [("a.wav", 1, "Hello there.", "ann"), ("b.wav", 2, "Yes, we can.", "bob")]
FORMS = {
    "filename,text without extension": (
        "transcripts.csv", 'filename,text\na,Hello there.\nb,"Yes, we can."\n', PLAIN,
        "transcripts.csv: CSV; 'filename' names the recording, 'text' has the words",
    ),
    "filename,text with extension": (
        "transcripts.csv", 'filename,text\na.wav,Hello there.\nb.wav,"Yes, we can."\n', PLAIN, "CSV; 'filename'",
    ),
    "audio_path,text": (
        "transcripts.csv", 'audio_path,text\n./a.wav,Hello there.\n./b.wav,"Yes, we can."\n', PLAIN, "'audio_path'",
    ),
    "audio,transcription": (
        "x.csv", 'audio,transcription\na.wav,Hello there.\nb.wav,"Yes, we can."\n', PLAIN, "'transcription' has",
    ),
    "upper case, other columns, any order": (
        "x.csv", 'Text,n,Filename\nHello there.,1,a.wav\n"Yes, we can.",2,b.wav\n', PLAIN, "'Filename' names",
    ),
    "tabs": ("x.tsv", "path\tsentence\na.wav\tHello there.\nb.wav\tYes, we can.\n", PLAIN, "x.tsv: TSV; 'path'"),
    "semicolons": ("x.csv", "filename;text\na;Hello there.\nb;Yes, we can.\n", PLAIN, "CSV with ';'"),
    "pipes with a header": ("x.csv", "id|text\na|Hello there.\nb|Yes, we can.\n", PLAIN, "table with '|'; 'id'"),
    "LJSpeech": (
        "metadata.csv", "a|Hi 2 U.|Hello there.\nb|Yes, we can.|Yes, we can.\n", JSON,
        "table with '|'; no header: cell 1 names the recording, cell 3 has the words",
    ),
    "LJSpeech without normalised words": (
        "metadata.txt", "a|Hello there.\nb|Yes, we can.\n", JSON, "cell 2 has the words",
    ),
    "JSON Lines of NeMo": (
        "m.jsonl",
        '{"audio_filepath": "a.wav", "text": "Hello there.", "duration": 1.5}\n'
        '{"audio_filepath": "b.wav", "duration": 1, "text": "Yes, we can."}\n',
        JSON, "JSON Lines; 'audio_filepath' names the recording",
    ),
    "JSON Lines with speakers": (
        "m.ndjson",
        '{"audio": "a", "text": "Hello there.", "speaker": "ann"}\n{"audio": "b", "text": "Yes, we can.", '
        '"speaker": "bob"}',
        SPOKEN, "'speaker' is the speaker",
    ),
    "JSON list": (
        "transcripts.json", '[{"filename": "a", "text": "Hello there."},\n {"text": "Yes, we can.", "filename": "b"}]',
        JSON, "JSON list; 'filename' names",
    ),
    "JSON object of names and words": (
        "transcripts.json", '{"a": "Hello there.",\n"b.wav": "Yes, we can."}', JSON, "JSON list",
    ),
    "audiofolder": (
        "metadata.csv", 'file_name,transcription\na.wav,Hello there.\nb.wav,"Yes, we can."\n', PLAIN, "'file_name'",
    ),
    "audiofolder in JSON Lines": (
        "metadata.jsonl",
        '{"file_name": "a.wav", "text": "Hello there."}\n{"file_name": "b.wav", "text": "Yes, we can."}\n',
        JSON, "'file_name' names",
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("inside", ["", "train/"])
def test_every_form_is_understood_and_said_aloud(folder: Callable[..., Path], form: str, inside: str) -> None:
    name, content, expected, message = FORMS[form]
    root = folder(f"{inside}a.wav", f"{inside}b.wav", **{inside + name: content})
    source = open_source(SourceRecipe(source=str(root)), root)
    assert message in source.description[0]
    assert [row.problem for row in source.rows()] == [None, None]
    assert short(list(source.rows())) == expected
    assert [Path(row.file) for row in source.rows()] == [root / inside / name] * 2


@pytest.mark.parametrize("form", FORMS)
def test_a_table_can_be_named_itself(folder: Callable[..., Path], form: str) -> None:
    name, content, expected, _ = FORMS[form]
    root = folder("a.wav", "b.wav", "unlisted.wav", **{name: content})
    assert short(rows_of(root / name)) == expected
    assert len(rows_of(root / name)) == 2, "recordings beside a table that was named are not part of it"


@pytest.mark.parametrize("recordings", ["wavs/", "audio/deep/"])
def test_recordings_may_lie_below_the_table(folder: Callable[..., Path], recordings: str) -> None:
    root = folder(f"{recordings}a.wav", f"{recordings}b.wav", **{"metadata.csv": "a|Hello.|Hello.\nb|Yes.|Yes.\n"})
    assert short(rows_of(root)) == [("a.wav", 1, "Hello.", ""), ("b.wav", 2, "Yes.", "")]


ENCODED = {
    "UTF-8 with a mark": ("filename,text\r\na,Grüße\r\n", "utf-8-sig", ""),
    "Windows-1252 with semicolons": ("filename;text\r\na;Grüße\r\n", "cp1252", "CSV with ';', read as cp1252"),
    "UTF-16 as spreadsheets export it": ("filename\ttext\r\na\tGrüße\r\n", "utf-16", "TSV, read as utf-16"),
    "old line ends": ("filename,text\ra,Grüße\r", "utf-8", "CSV;"),
}


@pytest.mark.parametrize("kind", ENCODED)
def test_texts_keep_their_letters_in_every_encoding(folder: Callable[..., Path], kind: str) -> None:
    content, encoding, message = ENCODED[kind]
    root = folder("a.wav", **{"t.csv": content.encode(encoding)})
    source = open_source(SourceRecipe(source=str(root)), root)
    assert message in source.description[0]
    assert short(list(source.rows())) == [("a.wav", 2, "Grüße", "")]


def test_a_mark_does_not_hide_the_first_column_of_json(folder: Callable[..., Path]) -> None:
    root = folder("a.wav", **{"m.jsonl": '{"audio": "a", "text": "Grüße"}\n'.encode("utf-8-sig")})
    assert short(rows_of(root)) == [("a.wav", 1, "Grüße", "")]


def test_one_bad_byte_garbles_no_other_row(folder: Callable[..., Path]) -> None:
    lines = ["filename,text", *(f"{name},Grüße aus Köln" for name in "abc")]
    content = "\n".join(lines).encode().replace(b"b,Gr\xc3\xbc", b"b,Gr\xfc")
    rows = rows_of(folder("a.wav", "b.wav", "c.wav", **{"t.csv": content}))
    assert [row.text for row in rows if row.problem is None] == ["Grüße aus Köln"] * 2
    assert "U+FFFD" in (rows[1].problem or "")


def test_bytes_that_windows_1252_lacks_are_listed(folder: Callable[..., Path]) -> None:
    rows = rows_of(folder("a.wav", "b.wav", **{"t.csv": b"filename,text\na,caf\xe9\nb,\x81\x8d\x8f\n"}))
    assert (rows[0].text, rows[0].problem) == ("café", None)
    assert "lost character" in (rows[1].problem or "")


def test_line_numbers_stay_right_after_quoted_newlines_and_blank_lines(folder: Callable[..., Path]) -> None:
    content = 'filename,text\n\na,"one\ntwo\n\nthree"\n  \nb,four\r\n\r\nc,five'
    rows = rows_of(folder("a.wav", "b.wav", "c.wav", **{"t.csv": content}))
    assert short(rows) == [("a.wav", 3, "one two three", ""), ("b.wav", 8, "four", ""), ("c.wav", 10, "five", "")]


def test_an_open_quote_costs_its_own_row_alone(folder: Callable[..., Path]) -> None:
    """Without this rule, the rest of the table would become the words of one clip."""
    content = 'filename,text\na,"never closed\nb,two\nc,three "quoted" words\nd,"a" b\n'
    rows = rows_of(folder("a.wav", "b.wav", "c.wav", "d.wav", **{"t.csv": content}))
    assert short(rows) == [("b.wav", 3, "two", ""), ("c.wav", 4, 'three "quoted" words', "")]
    broken = {(Path(row.audio).name, row.line): row.problem or "" for row in rows if row.problem}
    assert set(broken) == {("a.wav", 2), ("d.wav", 5)}
    assert all("cannot be parsed" in problem and "written twice" in problem for problem in broken.values())


def test_a_quote_means_nothing_in_pipe_tables(folder: Callable[..., Path]) -> None:
    rows = rows_of(folder("a.wav", "b.wav", **{"metadata.csv": 'a|"No|"No\nb|said" he|said" he\n'}))
    assert short(rows) == [("a.wav", 1, '"No', ""), ("b.wav", 2, 'said" he', "")]


def test_a_wrong_number_of_cells_is_listed(folder: Callable[..., Path]) -> None:
    content = "filename,text\na\nb,Yes, we can\nc,padded,,\n"
    rows = rows_of(folder("a.wav", "b.wav", "c.wav", **{"t.csv": content}))
    assert [(Path(row.audio).name, row.line, row.problem) for row in rows] == [
        ("a.wav", 2, "1 cell where the header has 2"),
        ("b.wav", 3, "3 cells where the header has 2; quote words that hold ','"),
        ("c.wav", 4, None),
    ]


def test_a_table_without_header_keeps_the_width_of_its_first_row(folder: Callable[..., Path]) -> None:
    """Without this rule, the words of LJSpeech would be taken from whichever cell is last."""
    rows = rows_of(folder("a.wav", "b.wav", "c.wav", **{"metadata.csv": "a|x|X\nb|only one\nc|x|y|z\n"}))
    assert [(row.line, row.problem) for row in rows] == [
        (1, None),
        (2, "2 cells where the first row has 3"),
        (3, "4 cells where the first row has 3; quote words that hold '|'"),
    ]


BAD_TABLES = {
    "no words column": ("t.csv", "filename,n,m\na,1,2\n", r"t\.csv has the columns filename, n, m.*text_column"),
    "no recording column": ("t.csv", "clip,text\na,hi\n", r"has the columns clip, text.*audio_column"),
    "no known column in JSON": ("t.jsonl", '{"clip": "a", "words": "b"}\n', r"has the columns clip, words"),
    "a column twice": ("t.csv", "\nfilename,text,text\na,hi,ho\n", r"t\.csv:2: column 'text' appears twice"),
    "empty": ("t.csv", "", r"t\.csv has no rows"),
    "blank": ("t.csv", "\n \n", r"t\.csv has no rows"),
    "no objects": ("t.jsonl", "[1]\n\n3\n", r"t\.jsonl has no rows that are JSON objects"),
    "commas without a header": (
        "t.csv",
        "a,Yes, we can\n",
        r"t\.csv has no header, and ',' seems to stand in the words.*filename,text",
    ),
    "list that breaks off": ("manifest.json", '[{"audio": "a", "text": "b"},\n{"aud', r"manifest\.json:2: not JSON"),
    "list with a tail": ("manifest.json", '[{"audio": "a", "text": "b"}]\nx', r":2: not JSON: something follows"),
    "list without commas": ("manifest.json", '[{"audio": "a"}\n{"audio": "b"}]', r":2: not JSON: expected , or \]"),
    "number": ("manifest.json", "3", r"does not hold a JSON list"),
    "nothing": ("manifest.json", "", r"does not hold a JSON list"),
    "object of other things": (
        "manifest.json",
        '{"data": [1, 2]}',
        r"one JSON object that vtune does not understand; a \.json table is a list",
    ),
}


@pytest.mark.parametrize("kind", BAD_TABLES)
def test_a_table_that_is_none_is_one_line_that_names_it(folder: Callable[..., Path], kind: str) -> None:
    name, content, message = BAD_TABLES[kind]
    root = folder("a.wav", **{name: content})
    with pytest.raises(DataError, match=message) as caught:
        rows_of(root)
    assert "\n" not in str(caught.value)


def test_a_header_that_nobody_knows_is_not_taken_for_a_clip(folder: Callable[..., Path]) -> None:
    """``who|clip|words`` looks like a row of LJSpeech; the difference is that it names no recording."""
    root = folder("a.wav", **{"t.csv": "who|clip|words\nann|a|Hello\n"})
    with pytest.raises(DataError, match=r"t\.csv has no header.*not clear which cell has the words.*text_column: 2"):
        rows_of(root)


def test_a_binary_file_named_csv_is_one_short_line(folder: Callable[..., Path]) -> None:
    content = bytes(range(256)) * 400
    root = folder("a.wav", **{"t.csv": content.replace(b"\n", b"").replace(b"\r", b"") + b"\n"})
    with pytest.raises(DataError) as caught:
        rows_of(root)
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def test_columns_can_be_named(folder: Callable[..., Path]) -> None:
    root = folder("a.wav", **{"t.csv": "clip,said,text,who\na,this,not this,ann\n"})
    rows = rows_of(root, audio_column="clip", text_column="said", speaker_column="who")
    assert short(rows) == [("a.wav", 2, "this", "ann")]
    with pytest.raises(DataError, match=r"no column 'sadi'; did you mean 'said'\? \(it has: clip, said, text, who\)"):
        rows_of(root, text_column="sadi")
    bare = folder("a.wav", name="bare", **{"t.csv": "a|Hello\n"})
    with pytest.raises(DataError, match="has no header, so no column can be named 'said'"):
        rows_of(bare, text_column="said")


def test_empty_header_cells_of_spreadsheets_are_no_columns(folder: Callable[..., Path]) -> None:
    assert short(rows_of(folder("a.wav", **{"t.csv": "filename,text,,\na,Hello,,\n"}))) == [("a.wav", 2, "Hello", "")]


def test_broken_json_lines_are_listed_and_the_others_read(folder: Callable[..., Path]) -> None:
    nested = "[" * 100_000
    lines = [
        '{"audio": "a", "text": "one"}',
        "{broken",
        nested,
        "[1, 2]",
        '{"audio": 3, "text": "x"}',
        '{"audio": "a"}',
    ]
    rows = rows_of(folder("a.wav", **{"m.jsonl": "\n".join([*lines, '{"audio":"a","text":"two"}'])}))
    assert [(row.line, row.text) for row in rows if row.problem is None] == [(1, "one"), (7, "two")]
    problems = {row.line: row.problem for row in rows if row.problem}
    assert problems.keys() == {2, 3, 4, 5, 6}
    assert problems[2].startswith("not JSON: ")
    assert problems[3].startswith("not JSON: ")
    assert problems[4] == "a JSON object was expected, found '[1, 2]'"
    assert problems[5] == "no recording is named"
    assert problems[6] == "no words"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("bell \x07", "U+0007"),
        ("nul \x00 inside", "U+0000"),
        ("escape \x1b[31m", "U+001B"),
        ("half \ud83d", "U+D83D"),
        ("lost \ufffd", "U+FFFD"),
        (" \t ", "no words"),
        (None, "no words"),
    ],
)
def test_words_that_cannot_be_spoken_are_listed(folder: Callable[..., Path], words: str | None, reason: str) -> None:
    (row,) = rows_of(folder("a.wav", **{"m.jsonl": json.dumps({"audio": "a", "text": words})}))
    assert reason in (row.problem or "")


@pytest.mark.parametrize("words", ["=1+1", '=HYPERLINK("http://x";"y")', "-rf", "@SUM(1)", "héllo — 你好 👋🏽", "नमस्ते"])
def test_words_are_never_anything_but_words(folder: Callable[..., Path], words: str) -> None:
    table = io.StringIO()
    csv.writer(table).writerows([["filename", "text"], ["a", words]])
    assert short(rows_of(folder("a.wav", **{"t.csv": table.getvalue()}))) == [("a.wav", 2, words, "")]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=8), end=st.sampled_from(["\n", "\r\n", "\r"]))
def test_rows_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], end: str
) -> None:
    path = tmp_path_factory.mktemp("rows") / "t.csv"
    expected, line = [], 1
    with path.open("w", encoding="utf-8", newline="") as file:
        for cells in rows:
            text = io.StringIO()
            csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerow(cells)
            file.write(text.getvalue())
            if any(cell.strip() for cell in cells):
                expected.append((line, cells, None))
            line += len(io.StringIO(text.getvalue(), newline="").readlines())
    assert list(read_rows(path, "utf-8", ",")) == expected


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=300) | st.text('ab",;\n\r|\t', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_as_a_table(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for name in ("t.csv", "t.jsonl", "t.json"):
        (folder / name).write_bytes(content)
        message = ""
        records = []
        try:
            records = list(open_table(folder / name).records())
        except DataError as error:
            message = str(error)
        assert message.isprintable()
        assert all(record.problem or (record.audio and record.text) for record in records)
        assert [record.line for record in records] == sorted(record.line for record in records)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(
    items=st.lists(VALUES, max_size=5),
    gaps=st.lists(st.text(" \n\t\r", max_size=4), min_size=12, max_size=12),
    block=st.integers(1, 40),
    indent=st.none() | st.integers(0, 2),
)
def test_a_json_list_is_read_piece_by_piece_as_json_reads_it(
    tmp_path_factory: pytest.TempPathFactory, items: list[Any], gaps: list[str], block: int, indent: int | None
) -> None:
    text, expected = gaps[0] + "[" + gaps[1], []
    for index, item in enumerate(items):
        expected.append((text.count("\n") + 1, item))
        text += json.dumps(item, indent=indent) + gaps[2 * index + 2] + ("," if index < len(items) - 1 else "")
        text += gaps[2 * index + 3] if index < len(items) - 1 else ""
    text += "]\n"
    assert json.loads(text) == items
    path = tmp_path_factory.mktemp("json") / "t.json"
    path.write_bytes(text.replace("\r", " ").encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_reader, "BLOCK_CHARACTERS", block)
        assert list(read_json_list(path, "utf-8")) == expected


@settings(max_examples=100, deadline=None)
@given(items=st.lists(VALUES | st.just(...), max_size=8))
def test_json_lines_are_counted_with_the_blank_ones(tmp_path_factory: pytest.TempPathFactory, items: list[Any]) -> None:
    path = tmp_path_factory.mktemp("json") / "t.jsonl"
    path.write_text("\n".join("" if item is ... else json.dumps(item) for item in items), encoding="utf-8")
    expected = [(line, item, None) for line, item in enumerate(items, 1) if item is not ...]
    assert list(read_json_lines(path, "utf-8")) == expected
