"""Spreadsheets are read like CSV; without the extra, or if the file is no spreadsheet, one line says what to do."""

from __future__ import annotations

import builtins
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from vtune.dataset import open_source
from vtune.dataset.sources.formats import spreadsheet
from vtune.errors import DataError
from vtune.recipe import SourceRecipe

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def write_xlsx(path: Path, sheets: dict[str, list[list[Any]]]) -> None:
    """Write the smallest valid workbook by hand, as the standard describes it."""

    def cell(column: int, row: int, value: Any) -> str:
        cell = f"{chr(65 + column)}{row}"
        if isinstance(value, int | float):
            return f'<c r="{cell}"><v>{value}</v></c>'
        return f'<c r="{cell}" t="inlineStr"><is><t>{escape(value)}</t></is></c>' if value else ""

    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/></Types>',
        "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{LINKS}"><sheets>'
        + "".join(f'<sheet name="{name}" sheetId="{n}" r:id="s{n}"/>' for n, name in enumerate(sheets, 1))
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        + "".join(
            f'<Relationship Id="s{n}" Type="{LINKS}/worksheet" Target="worksheets/sheet{n}.xml"/>'
            for n in range(1, len(sheets) + 1)
        )
        + "</Relationships>",
    }
    for number, rows in enumerate(sheets.values(), 1):
        body = "".join(
            f'<row r="{row}">' + "".join(cell(column, row, value) for column, value in enumerate(values)) + "</row>"
            for row, values in enumerate(rows, 1)
        )
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{MAIN}"><sheetData>{body}</sheetData></worksheet>'
        )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in parts.items():
            file.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')


def test_the_first_sheet_with_rows_is_a_table(folder: Callable[..., Path]) -> None:
    root = folder("a.wav", "7.wav")
    rows = [
        ["Our recordings"],
        [],
        ["filename", "text", "speaker"],
        ["a.wav", "Grüße & mehr", "ann"],
        [7, "Yes, we can.", "bob"],
    ]
    write_xlsx(root / "metadata.xlsx", {"empty": [], "words": rows})
    source = open_source(SourceRecipe(source=str(root)), root)
    assert "metadata.xlsx: spreadsheet, sheet 'words'; 'filename' names the recording" in source.description[0]
    assert "1 row above the header in line 3 skipped" in source.description[0]
    assert [(Path(row.audio).name, row.line, row.text, row.speaker, row.problem) for row in source.rows()] == [
        ("a.wav", 4, "Grüße & mehr", "ann", None), ("7.wav", 5, "Yes, we can.", "bob", None),
    ]  # fmt: skip


def test_a_header_alone_is_a_table_without_rows(folder: Callable[..., Path]) -> None:
    root = folder("a.wav")
    write_xlsx(root / "metadata.xlsx", {"words": [["filename", "text"]]})
    source = open_source(SourceRecipe(source=str(root / "metadata.xlsx")), root)
    assert list(source.rows()) == []


def test_without_the_extra_the_way_out_is_named(folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder("a.wav")
    write_xlsx(root / "metadata.xlsx", {"words": [["filename", "text"], ["a.wav", "Hello."]]})
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "python_calamine":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match=r"metadata\.xlsx is a spreadsheet: save it as CSV, or install"):
        open_source(SourceRecipe(source=str(root)), root)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"<html>", bytes(600)])
def test_what_is_no_spreadsheet_is_one_line(folder: Callable[..., Path], content: bytes) -> None:
    root = folder("a.wav", **{"metadata.xlsx": content})
    with pytest.raises(DataError, match=r"metadata\.xlsx cannot be read as a spreadsheet.*save it as CSV") as caught:
        open_source(SourceRecipe(source=str(root)), root)
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused_before_it_is_unpacked(folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder("a.wav")
    write_xlsx(root / "metadata.xlsx", {"words": [["filename", "text"]] + [["a.wav", "Hello."]] * 500})
    monkeypatch.setattr(spreadsheet, "MAX_UNPACKED_BYTES", 10_000)
    with pytest.raises(DataError, match="too much for a table"):
        open_source(SourceRecipe(source=str(root)), root)
