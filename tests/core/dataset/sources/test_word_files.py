"""Files with words beside recordings are used or named before anything is cut or transcribed; other files are not
mentioned.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vtune.dataset import find_raw, notes_on_words, open_source
from vtune.dataset.sources.recordings import Recordings
from vtune.dataset.sources.sidecars import sidecar_of
from vtune.dataset.sources.text_kinds import kind_of_text
from vtune.dataset.sources.word_files import FILES_AN_ENDING, word_files
from vtune.errors import DataError
from vtune.recipe import SourceRecipe

Folder = Callable[..., Path]

WORDS = "The kettle sang before anyone was awake, and two boats came in with the tide."
NOISE: dict[str, str | bytes] = {
    "README.md": "a.wav and b.wav were read by a nice voice in a quiet room\n" * 3,
    "README": "My recordings, made in May in a quiet room with a good microphone\n",
    "LICENSE.txt": "Permission is hereby granted to everybody who wants it\n" * 20,
    "cover.jpg": b"\xff\xd8\xff\0\0",
    "SHA256SUMS": "".join(f"{'ab12' * 16}  {name}.wav\n" for name in "abc"),
    "durations.csv.bak": "a,1.5\nb,2.5\nc,3\n",
    "settings.yaml": "rate: 24000\nname: some long words of settings here\n",
    "a.npy": b"\x93NUMPY\0\0",
    "a.lab": "0 3200000 sil\n3200000 4100000 dh\n4100000 5000000 ax\n",
}


def raw_of(root: Path, **asked: object) -> Path | None:
    return find_raw(SourceRecipe.model_validate({"source": str(root), **asked}), root)


def test_files_without_words_are_not_mentioned(folder: Folder) -> None:
    root = folder("a.wav", "b.wav", "c.wav", **NOISE)
    assert raw_of(root) == root
    assert notes_on_words(root) == []


UNDERSTOOD_NOT = {
    "a document": ({"b.docx": b"PK\x03\x04" + b"\0" * 300}, "b.docx (it is a text document)", "save it as CSV"),
    "an archive": ({"b.zip": b"PK\x03\x04" + b"\0" * 300}, "b.zip (it is an archive)", "unpack it"),
    "markup": ({"a.xml": f"<?xml version='1.0'?><s>{WORDS}</s>"}, "a.xml (it holds markup", "into a table"),
    "XML that names them": (
        {"all.xml": "<all>" + "".join(f'<u file="{name}.wav">{WORDS}</u>' for name in "abc") + "</all>"},
        "all.xml (it names recordings", "into a table",
    ),
    "another ending": ({"texts/a.transcript": WORDS}, "a.transcript (it is a text", "into a table"),
    "a text of JSON": ({"a.txt": '{"words": "The kettle sang"}'}, "a.txt (it holds JSON", "table"),
    "lines of phones": (
        {"phones.lst": "a DH AH0 K EH1 T\nb T UW1 B OW1 T S\nc SH IY1 R AE1 N\n"},
        "hold phones, not words",
        "give the list that has the words",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNDERSTOOD_NOT)
def test_a_file_with_words_that_is_not_understood_stops_and_names_the_ways_out(folder: Folder, kind: str) -> None:
    files, reason, remedy = UNDERSTOOD_NOT[kind]
    root = folder("a.wav", "b.wav", "c.wav", **NOISE, **files)
    for look in (raw_of, lambda root: open_source(SourceRecipe(source=str(root)), root)):
        with pytest.raises(DataError) as caught:
            look(root)
        message = str(caught.value)
        assert reason in message
        assert remedy in message
        assert "word_files: ignore" in message
        assert "\n" not in message
    assert raw_of(root, word_files="ignore") == root
    assert any(reason in note for note in notes_on_words(root))


def test_a_file_that_may_hold_words_is_a_line_and_stops_nothing(folder: Folder) -> None:
    script = "The kettle sang.\nTwo boats came in.\nShe folded the letter.\n"
    root = folder(
        "a.wav", "b.wav", "c.wav", **{"script.txt": script, "old/all.7z": b"7z\xbc\xaf\x27\x1c" + b"\0" * 300}
    )
    assert raw_of(root) == root
    first, second = sorted(notes_on_words(root))
    assert first.startswith("not read: old/all.7z (it is an archive); to use it, unpack it")
    assert second.startswith("not read: script.txt (a text that may be the script)")


def test_one_recording_is_looked_at_with_its_namesakes(folder: Folder) -> None:
    root = folder("talk.wav", "other.wav", **{"talk.rtf": b"{\\rtf1 words}", "other.txt": "Hello there."})
    with pytest.raises(DataError, match=r"talk\.rtf \(it is a text document\)"):
        raw_of(root / "talk.wav")
    assert raw_of(root / "other.wav") is None
    (row,) = open_source(SourceRecipe(source=str(root / "other.wav")), root).rows()
    assert (row.text, row.problem) == ("Hello there.", None)


def test_commands_that_cut_or_transcribe_say_that_words_are_there(folder: Folder) -> None:
    table = folder("a.wav", **{"t.csv": "filename,text\na.wav,Hello there\n"}, name="table")
    texts = folder("a.wav", **{"a.txt": "Hello there."}, name="texts")
    assert notes_on_words(table) == [
        f"{table} has a table (t.csv); this command does not read it, but 'source: {table}' does"
    ]
    assert "has a text for each recording" in notes_on_words(texts)[0]
    (table / "t.heard.jsonl").write_text("{}\n")
    assert notes_on_words(table) == [], "vtune transcribe wrote this table itself"


def test_several_lists_in_a_folder_ask_which(folder: Folder) -> None:
    lines = "a.wav|The kettle sang.\nb.wav|Two boats came in.\n"
    root = folder("a.wav", "b.wav", **{"lists/first.filelist": lines, "lists/second.filelist": lines})
    with pytest.raises(DataError, match=r"several tables \(lists/first\.filelist, lists/second\.filelist\); say which"):
        open_source(SourceRecipe(source=str(root)), root)
    rows = list(open_source(SourceRecipe(source=str(root), table="lists/second.filelist"), root).rows())
    assert [row.text for row in rows] == ["The kettle sang.", "Two boats came in."]


def test_a_table_in_use_names_the_lists_that_are_not_read(folder: Folder) -> None:
    lines = "a.wav|The kettle sang.\nb.wav|Two boats came in.\n"
    root = folder("a.wav", "b.wav", **{"t.csv": "filename,text\na,Hello you\n", "all.filelist": lines})
    description = open_source(SourceRecipe(source=str(root)), root).description
    assert description[-1] == "not read, although lines name recordings: all.filelist"


def test_few_of_a_million_files_are_looked_at(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder("a.wav", **{f"x{number}.dat": "some words" for number in range(3 * FILES_AN_ENDING)})
    looked: list[str] = []
    monkeypatch.setattr("vtune.dataset.sources.word_files.look_at", lambda path, *_, **__: looked.append(path.name))
    word_files(Recordings(root))
    assert len(looked) == FILES_AN_ENDING


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0.000000\t3.776250\tThe kettle sang.\n3.77\t7.2\tTwo boats.\n", "label times"),
        ("0.0\t3.7\tThe kettle sang.\n", "label times"),
        ("0 46797 She had your dark suit in greasy wash water.\n", "label times"),
        ("signal a\nnfields 1\n#\n 0.1 125 pau\n 0.2 125 dh\n", "label times"),
        ("1\n00:00:00,000 --> 00:00:03,700\nThe kettle sang.\n", "subtitles"),
        ("WEBVTT\n\n00:00.000 --> 00:03.700\nThe kettle sang.\n", "subtitles"),
        ('{"text": "The kettle sang."}', "JSON"),
        ("<!DOCTYPE html><p>The kettle sang.", "markup (XML or HTML)"),
        ('File type = "ooTextFile"\nObject class = "TextGrid"\n', "a Praat TextGrid"),
        ("a.wav|The kettle sang.\nb.wav|Two boats.\n", "a list of recordings"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a Git LFS pointer"),
        ("The kettle sang.\nTwo boats came in.\n", None),
        ("10 20 people came.", None),
        ("1984\n", None),
        ("{laughs} [sighs] Yes --> no\nTwo\nthree\nfour\nfive\nsix", None),
        ("", None),
        ("[music]", None),
    ],
)
def test_what_a_text_is_shows_in_its_lines(text: str, kind: str | None) -> None:
    result = kind_of_text(text)
    assert result == kind or (kind is not None and result is not None and result.startswith(kind))


def test_a_text_that_is_no_words_is_left_out_with_the_reason(folder: Folder) -> None:
    labels = "0.0\t3.7\tThe kettle sang.\n3.7\t7\tTwo boats.\n"
    root = folder("a.wav", "b.wav", **{"a.txt": "Hello there.", "b.lab": labels})
    problems = {Path(row.audio).name: row.problem for row in open_source(SourceRecipe(source=str(root)), root).rows()}
    assert problems == {"a.wav": None, "b.wav": "b.lab holds label times, which is no plain text of what is spoken"}


def test_texts_in_a_folder_beside_the_recordings_are_theirs(folder: Folder) -> None:
    root = folder("book/wavs/ch1/a.wav", "loose/a.wav", **{"book/txt/ch1/a.txt": "One.", "txt/a.txt": "Not of loose/."})
    sidecar = sidecar_of(root / "book/wavs/ch1/a.wav")
    assert sidecar is not None
    assert os.path.relpath(sidecar.path, root) == "book/txt/ch1/a.txt"
    assert sidecar_of(root / "loose/a.wav") is None
