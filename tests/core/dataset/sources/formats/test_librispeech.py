"""LibriSpeech's layout is read and edited, and other text files are not mistaken for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from vtune.dataset import open_source
from vtune.dataset.editing.edit import EditableTable
from vtune.errors import DataError
from vtune.recipe import SourceRecipe


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Write ``dev-clean`` with the chapter 84/121123 of two clips and the chapter 174/50561 of one clip."""
    for reader, chapter, count in ((84, 121123, 2), (174, 50561, 1)):
        folder = tmp_path / "dev-clean" / str(reader) / str(chapter)
        folder.mkdir(parents=True)
        names = [f"{reader}-{chapter}-{number:04d}" for number in range(count)]
        for name in names:
            soundfile.write(folder / f"{name}.flac", np.zeros(800, np.float32), 8000)
        lines = [f"{name} GO, {reader} TIMES {number}\n" for number, name in enumerate(names)]
        (folder / f"{reader}-{chapter}.trans.txt").write_text("".join(lines))
    return tmp_path


@pytest.mark.parametrize("below", ["", "dev-clean"])
def test_words_and_speakers_are_read_with_their_lines(corpus: Path, below: str) -> None:
    source = open_source(SourceRecipe(source=str(corpus / below)), corpus)
    found_rows = [(Path(row.audio).name, row.line, row.text, row.speaker) for row in source.rows()]
    assert found_rows == [
        ("174-50561-0000.flac", 1, "GO, 174 TIMES 0", "174"),
        ("84-121123-0000.flac", 1, "GO, 84 TIMES 0", "84"),
        ("84-121123-0001.flac", 2, "GO, 84 TIMES 1", "84"),
    ]
    assert source.has_speakers
    assert source.description[0].startswith("174-50561.trans.txt: LibriSpeech transcript; each line has the name")


def test_a_clip_without_words_and_words_without_a_clip_are_named(corpus: Path) -> None:
    chapter = corpus / "dev-clean" / "84" / "121123"
    (chapter / "84-121123-0000.flac").rename(chapter / "84-121123-0009.flac")
    rows = list(open_source(SourceRecipe(source=str(chapter)), corpus).rows())
    problems = {row.problem for row in rows if row.problem}
    assert any("names '84-121123-0000', but" in problem for problem in problems)
    assert "no row of 84-121123.trans.txt names it" in problems


def test_rows_are_edited_in_place(corpus: Path) -> None:
    path = corpus / "dev-clean" / "84" / "121123" / "84-121123.trans.txt"
    before = path.read_bytes()
    table = EditableTable(path)
    changed = table.set_words(0, "COME, 84 TIMES")
    assert path.read_text() == "84-121123-0000 COME, 84 TIMES\n84-121123-0001 GO, 84 TIMES 1\n"
    table.undo(changed)
    table.undo(table.replace(1, [("84-121123-0001a", "GO"), ("84-121123-0001b", "TIMES")]))
    table.undo(table.add("84-121123-0002", "ONCE MORE"))
    table.undo(table.drop(0))
    assert path.read_bytes() == before
    for refused in (lambda: table.set_flags(0, "doubtful"), lambda: table.add("a b", "WORDS")):
        with pytest.raises(DataError):
            refused()
    assert path.read_bytes() == before


def test_notes_with_such_a_name_are_not_taken_for_a_transcript(corpus: Path) -> None:
    chapter = corpus / "dev-clean" / "84" / "121123"
    (chapter / "notes.trans.txt").write_text("read in one go\n")
    source = open_source(SourceRecipe(source=str(chapter)), corpus)
    assert [line.partition(":")[0] for line in source.description] == ["84-121123.trans.txt"]


def test_columns_cannot_be_named(corpus: Path) -> None:
    with pytest.raises(DataError, match="has no columns, so none can be named 'words'"):
        open_source(SourceRecipe(source=str(corpus), text_column="words"), corpus)
