"""Files beside recordings that could hold their words: vtune uses them or names them, before anything is cut or heard.

A file counts by its content, not by its name: lines that name recordings and say something beside the name, a text or a
document with the name of a recording, an archive, or a text with about as many lines as there are recordings.
"""

from __future__ import annotations

import codecs
import itertools
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from vtune.dataset.sources.evidence import CellKind, examine_column
from vtune.dataset.sources.formats.delimited import FORMAT as DELIMITED
from vtune.dataset.sources.formats.json_lines import FORMAT as JSON_LINES
from vtune.dataset.sources.formats.json_list import FORMAT as JSON_LIST
from vtune.dataset.sources.formats.names_and_words import FORMAT as NAMES_AND_WORDS
from vtune.dataset.sources.formats.names_and_words import LINE as NAME_LINE
from vtune.dataset.sources.own_files import is_own_file
from vtune.dataset.sources.recordings import Recordings
from vtune.dataset.sources.table import TableFormat
from vtune.dataset.sources.text_kinds import HEAD_CHARACTERS, kind_of_text
from vtune.errors import DataError

FILES_AN_ENDING = 30
"""Files of one ending that are looked at: a folder may hold a million files of one kind."""

MAX_FILES = 300
"""Files of all endings that are looked at."""

SHOWN_FILES = 3
"""Files that a message names."""

MIN_SCRIPT_WORDS = 3
"""Words of a line of a script, on average; lists and notes have fewer."""

UNPACK = "unpack it"
"""What the user does with an archive."""

_HEAD_LINES = 50
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_MARKUP_TEXT = re.compile(r"""["']([^"'<>]{1,300})["']|>\s*([^<>\s][^<>]{0,2000})<""")
_WORD = re.compile(r"[^\W\d_]+", re.UNICODE)
# Languages that write no blanks between words: Thai, Lao, Khmer, kana, Han, Hangul.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{2}")
_HEX = re.compile(r"[0-9a-fA-F]{16,}")
_ABOUT = re.compile(r"(readme|licen[cs]e|copying|changelog|authors|requirements|info|notes?|todo|metadata)\b", re.I)
_SETTINGS_ENDINGS = frozenset({
    ".md", ".rst", ".html", ".py", ".sh", ".bat", ".yaml", ".yml", ".toml", ".cfg", ".ini", ".log", ".conf", ".css",
    ".js", ".ipynb",
})  # fmt: skip
_DOCUMENTS = {
    ".xlsx": "a spreadsheet", ".xls": "a spreadsheet", ".ods": "a spreadsheet", ".numbers": "a spreadsheet",
    ".docx": "a text document", ".doc": "a text document", ".odt": "a text document", ".rtf": "a text document",
    ".pdf": "a PDF",
}  # fmt: skip
_ARCHIVES = (
    (b"PK\x03\x04", 0), (b"\x1f\x8b", 0), (b"7z\xbc\xaf\x27\x1c", 0), (b"Rar!", 0), (b"BZh", 0), (b"\xfd7zXZ", 0),
    (b"\x28\xb5\x2f\xfd", 0), (b"ustar", 257),
)  # fmt: skip


class WordEvidence(IntEnum):
    """How clearly a file holds the words of the recordings; a run stops from ``BESIDE_RECORDING`` on."""

    MAY_HOLD_WORDS = 1
    BESIDE_RECORDING = 2
    NAMES_RECORDINGS = 3


@dataclass(frozen=True, slots=True)
class WordFile:
    """A file that could hold words of the recordings.

    :param reason: why it could, a clause for users: ``"its lines name recordings"``.
    :param remedy: what the user does so that it is used, a clause in the imperative.
    :param table_format: the format that reads it as a table; None if vtune does not understand it.
    """

    path: Path
    evidence: WordEvidence
    reason: str
    remedy: str = "write the words into a table with the columns filename,text"
    table_format: TableFormat | None = None

    def describe(self, root: Path) -> str:
        """Return name and reason in few words."""
        return f"{os.path.relpath(self.path, root)} ({self.reason})"


def word_files(recordings: Recordings, *, sidecars_are_read: bool = False) -> list[WordFile]:
    """Return the files among recordings that could hold their words, the surest first.

    :param sidecars_are_read: leave out files with the name of a recording, because they are read.
    """
    namesakes = [] if sidecars_are_read else recordings.namesakes(FILES_AN_ENDING)[:MAX_FILES]
    loose = recordings.loose_files(FILES_AN_ENDING)[:MAX_FILES]
    files = [
        *(look_at(Path(path), recordings, is_namesake=True) for path in namesakes),
        *(look_at(Path(path), recordings, is_namesake=False) for path in loose),
    ]
    # A corpus with a list for each of a hundred speakers: all files with the name of a list are looked at.
    lists = {file.path.name for file in files if file is not None and file.table_format is not None}
    further = [path for name in sorted(lists) for path in recordings.files_named(name) if path not in loose]
    files += [look_at(Path(path), recordings, is_namesake=False) for path in further]
    return sorted((file for file in files if file is not None), key=lambda file: -file.evidence)


def look_at(path: Path, recordings: Recordings, *, is_namesake: bool) -> WordFile | None:
    """Say whether a file could hold words of the recordings; None if it cannot.

    :param is_namesake: the file has the name of a recording, apart from the ending.
    """
    if is_own_file(path.name) or not os.path.isfile(path):
        return None
    evidence = WordEvidence.BESIDE_RECORDING if is_namesake else WordEvidence.MAY_HOLD_WORDS
    ending = path.suffix.lower()
    if ending in _DOCUMENTS:
        return WordFile(path, evidence, f"it is {_DOCUMENTS[ending]}", "save it as CSV with the columns filename,text")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_CHARACTERS)
    except OSError:
        return None
    if is_archive(head):
        return WordFile(path, evidence, "it is an archive", UNPACK)
    text = _decoded(head)
    if text is None or not text.strip():
        return None
    return _named_in(path, text, recordings) or _text_file(path, text, recordings, is_namesake=is_namesake)


def is_archive(head: bytes) -> bool:
    """Tell from the first bytes of a file, 300 or more, whether it is a zip, tar, gzip, 7z, rar, bzip2, xz or zstd."""
    return any(head[start : start + len(magic)] == magic for magic, start in _ARCHIVES)


def stopping_error(root: Path, files: Sequence[WordFile]) -> DataError:
    """Return the error that names files which hold words and are not understood."""
    names = "; ".join(file.describe(root) for file in files[:SHOWN_FILES])
    more = f"; and {len(files) - SHOWN_FILES} more" if len(files) > SHOWN_FILES else ""
    remedies = " or ".join(dict.fromkeys(file.remedy for file in files[:SHOWN_FILES]))
    return DataError(
        f"{root} has files that seem to hold the words of its recordings, and vtune does not understand them: "
        f"{names}{more}. To use the words, {remedies}; to cut and transcribe the recordings anew all the same, set "
        "'word_files: ignore' for this source"
    )


def _named_in(path: Path, text: str, recordings: Recordings) -> WordFile | None:
    """Return a file whose lines name recordings and hold words beside the names."""
    lines = [line for line in text.splitlines()[: 2 * _HEAD_LINES] if line.strip()][:_HEAD_LINES]
    if text.lstrip()[:1] in "{[":
        named, rests, table_format = _json_names(text, lines, recordings)
        enough = bool(named)
    elif text.lstrip()[:1] == "<":
        named, rests = _markup_names(text, recordings)
        table_format, enough = None, bool(named)
    else:
        named, rests, table_format = _line_names(lines, recordings)
        enough = len(rests) * 2 >= len(lines)
    if not enough or len(named) < min(2, recordings.count()):
        return None
    if table_format is NAMES_AND_WORDS and examine_column(rests).kind is CellKind.PHONES:
        remedy = "give the list that has the words instead"
        return WordFile(
            path, WordEvidence.NAMES_RECORDINGS, "its lines name recordings, but hold phones, not words", remedy
        )
    sentences = sum(len(_WORD.findall(rest)) > 1 or bool(_UNSPACED.search(rest)) for rest in rests)
    reason = "it names recordings" if table_format in (JSON_LIST, None) else "its lines name recordings"
    if sentences * 2 > len(rests):
        return WordFile(path, WordEvidence.NAMES_RECORDINGS, reason, table_format=table_format)
    if any(_WORD.search(rest) for rest in rests):
        remedy = f"name it with 'table: {path.name}'"
        return WordFile(path, WordEvidence.MAY_HOLD_WORDS, f"{reason}, but hardly has words", remedy)
    return None


def _line_names(lines: Sequence[str], recordings: Recordings) -> tuple[set[str], list[str], TableFormat]:
    """Return the recordings that lines name, what else these lines say, and the format that fits."""
    best: tuple[set[str], list[str], TableFormat] = set(), [], DELIMITED
    for delimiter in ("|", "\t", ";", ",", None):
        rows = [[cell.strip().strip('"') for cell in _cells(line.strip(), delimiter)] for line in lines]
        for column in range(min(max(map(len, rows), default=0), 1 if delimiter is None else 8)):
            hits = [row for row in rows if len(row) > max(column, 1) and recordings.has_stem(row[column])]
            if len(hits) > len(best[1]):
                rests = [" ".join(_spoken_cells(row[:column] + row[column + 1 :])) for row in hits]
                best = (
                    {row[column] for row in hits},
                    rests,
                    NAMES_AND_WORDS if delimiter is None else DELIMITED,
                )
    return best


def _cells(line: str, delimiter: str | None) -> Sequence[str]:
    """Return the cells of a line; without a delimiter the name and the words."""
    match = NAME_LINE.fullmatch(line) if delimiter is None else None
    return match.groups() if match else line.split(delimiter)


def _json_names(text: str, lines: Sequence[str], recordings: Recordings) -> tuple[set[str], list[str], TableFormat]:
    """Return the recordings that the strings of a JSON text name, its other strings, and the format."""
    strings = [match[1] for match in itertools.islice(_STRING.finditer(text), 40 * _HEAD_LINES)]
    named = {string for string in strings if recordings.has_stem(string.replace("\\/", "/"))}
    others = [string for string in strings if string not in named and len(_WORD.findall(string)) > 1]
    try:
        is_lines = isinstance(json.loads(lines[0]), dict) and len(lines) > 1
    except (ValueError, RecursionError):
        is_lines = False
    return named, others, JSON_LINES if is_lines else JSON_LIST


def _markup_names(text: str, recordings: Recordings) -> tuple[set[str], list[str]]:
    """Return the recordings that the attributes and texts of XML or HTML name, and its other texts."""
    parts = [a or b for a, b in itertools.islice(_MARKUP_TEXT.findall(text), 40 * _HEAD_LINES)]
    named = {part.strip() for part in parts if recordings.has_stem(part.strip())}
    return named, [part for part in parts if part.strip() not in named and len(_WORD.findall(part)) > 1]


def _spoken_cells(cells: Sequence[str]) -> Iterator[str]:
    """Leave out hashes and paths, which hold letters but no words."""
    return (cell for cell in cells if not _HEX.fullmatch(cell) and not re.search(r"[/\\]\S|\.\w{2,4}$", cell))


def _text_file(path: Path, text: str, recordings: Recordings, *, is_namesake: bool) -> WordFile | None:
    """Return a text file with the name of a recording, or a text file that may be the script of the recordings."""
    words = len(_WORD.findall(text)) + len(_UNSPACED.findall(text))
    lines = sum(bool(line.strip()) for line in text.splitlines())
    kind = kind_of_text(text)
    if is_namesake:
        if words < (2 * lines if kind == "label times" else MIN_SCRIPT_WORDS):
            return None  # labels of phones, or a few numbers
        reason = f"it holds {kind}" if kind else "it is a text"
        return WordFile(path, WordEvidence.BESIDE_RECORDING, f"{reason} with the name of a recording")
    is_about = _ABOUT.match(path.name) or path.suffix.lower() in _SETTINGS_ENDINGS
    if is_about or kind not in (None, "subtitles") or words < MIN_SCRIPT_WORDS * lines:
        return None
    if lines * 2 < recordings.count() or words < 2 * MIN_SCRIPT_WORDS:
        return None
    return WordFile(path, WordEvidence.MAY_HOLD_WORDS, "a text that may be the script")


def _decoded(head: bytes) -> str | None:
    """Return the first bytes of a file as text, whatever the encoding; None for binary data."""
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return head[: len(head) // 2 * 2].decode("utf-16", "replace")
    if b"\0" in head:
        return None
    return head.decode("utf-8-sig", "replace")
