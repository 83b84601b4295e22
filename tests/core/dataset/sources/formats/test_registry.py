"""A table format is one module: detection, errors and editing take it from the registry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vtune.dataset import open_source
from vtune.dataset.editing.edit import EditableTable
from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.formats import TABLE_FORMATS
from vtune.dataset.sources.table import Certainty, FormatEvidence, Table, TableFormat, TableRecord, make_record
from vtune.dataset.sources.tables import format_of
from vtune.errors import DataError
from vtune.recipe import SourceRecipe


@dataclass(frozen=True, slots=True)
class KaldiTable(Table):
    @property
    def format(self) -> TableFormat:
        return KALDI

    def describe(self) -> str:
        return self._described(self.format.name, "names in wav.scp, words in text")

    def records(self) -> Iterator[TableRecord]:
        scp = dict(line.split(" ", 1) for line in (self.path.parent / "wav.scp").read_text().splitlines())
        for line, text in enumerate(self.path.read_text().splitlines(), 1):
            name, _, words = text.partition(" ")
            yield make_record(line, scp[name], words)


class KaldiFormat(TableFormat):
    """A format of several files: ``text`` is the main file, ``wav.scp`` lies beside it."""

    name = "Kaldi data folder"
    endings = ("text",)

    def has_name(self, name: str, *, is_given: bool) -> bool:
        return name == "text"

    def evidence(self, path: Path) -> FormatEvidence | None:
        is_kaldi = (path.parent / "wav.scp").is_file()
        return FormatEvidence(Certainty.BY_CONTENT, "wav.scp lies beside it") if is_kaldi else None

    def open(self, path: Path, choice: ColumnChoice) -> Table:
        return KaldiTable(path, "utf-8-sig")


KALDI = KaldiFormat()


def test_a_format_of_several_files_without_endings_fits_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(800, np.float32), 8000)
    (tmp_path / "wav.scp").write_text("one a.wav\n")
    (tmp_path / "text").write_text("one Hello there.\n")
    monkeypatch.setitem(TABLE_FORMATS, KALDI.name, KALDI)
    source = open_source(SourceRecipe(source=str(tmp_path)), tmp_path)
    assert source.description == ["text: Kaldi data folder; names in wav.scp, words in text"]
    assert [(row.text, row.problem) for row in source.rows()] == [("Hello there.", None)]
    with pytest.raises(DataError, match="cannot edit tables of the format Kaldi data folder; edit it by hand"):
        EditableTable(tmp_path / "text").set_words(0, "Goodbye.")


def test_the_surest_format_takes_a_file_and_two_equally_sure_ones_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(KaldiFormat):
        name = "another"

        def has_name(self, name: str, *, is_given: bool) -> bool:
            return name == "x.csv"

        def evidence(self, path: Path) -> FormatEvidence:
            return FormatEvidence(certainty, "it says so")

    (tmp_path / "x.csv").write_text("filename,text\n")
    other = Other()
    monkeypatch.setitem(TABLE_FORMATS, other.name, other)
    certainty = Certainty.BY_CONTENT
    assert format_of(tmp_path / "x.csv", is_given=False) is other
    certainty = Certainty.BY_ENDING
    with pytest.raises(
        DataError, match=r"could be CSV, TSV or pipes \(its name ends with \.csv\) or another \(it says"
    ):
        format_of(tmp_path / "x.csv", is_given=True)


def test_formats_are_documented() -> None:
    page = (Path(__file__).parents[5] / "docs" / "how-to" / "data.md").read_text(encoding="utf-8")
    for name in TABLE_FORMATS:
        assert f"| {name} |" in page
