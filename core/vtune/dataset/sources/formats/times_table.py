"""A table beside one recording whose rows have times and words, ``talk.tsv`` of ``whisper talk.wav`` or ``talk.csv``.

Whisper writes whole milliseconds under the headings ``start``, ``end`` and ``text``. Such a table names no recording.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from vtune.dataset.sources.columns import AUDIO_COLUMNS, SPEAKER_COLUMNS, TEXT_COLUMNS, ColumnChoice
from vtune.dataset.sources.cue_texts import Cue
from vtune.dataset.sources.cues import CueFormat, namesake_of, unit_of_times
from vtune.dataset.sources.part_times import TimeColumns, parse_seconds
from vtune.errors import DataError

_WHISPER_HEADER = ["start", "end", "text"]


class _TabDialect(csv.excel_tab):
    quoting = csv.QUOTE_NONE  # Whisper quotes nothing: its quotes are words


class TimesTableFormat(CueFormat):
    """Rows of one recording."""

    name = "table of times"
    kind = "table of times"
    endings = (".tsv", ".csv")
    rank = 6

    def sign(self, path: Path, head: str) -> str | None:
        """Look at the header: times and words, but no recording, which is the one beside the table."""
        header = head.partition("\n")[0].lower()
        names = [name.strip().strip('"') for name in header.split(_delimiter(header))]
        times = TimeColumns.pick(names)
        is_table = times.start and (times.end or times.duration) and set(names) & set(TEXT_COLUMNS)
        if not is_table or set(names) & set(AUDIO_COLUMNS) or namesake_of(path) is None:
            return None
        return "its columns are times and words, and it has the name of a recording"

    def cues(self, path: Path, text: str, choice: ColumnChoice) -> Iterator[Cue]:
        """Yield the rows."""
        header = text.partition("\n")[0]
        delimiter = _delimiter(header)
        dialect = _TabDialect if delimiter == "\t" else csv.excel
        reader = csv.reader(text.splitlines(keepends=True), dialect, delimiter=delimiter)
        try:
            names = [name.strip().lower() for name in next(reader)]
            rows = [(reader.line_num, dict(zip(names, cells, strict=False))) for cells in reader if cells]
        except (csv.Error, StopIteration) as error:
            raise DataError(f"{path}:{reader.line_num} cannot be parsed: {error}") from error
        columns = TimeColumns.pick(names)
        words, speaker = (
            next((name for name in usual if name in names), None) for usual in (TEXT_COLUMNS, SPEAKER_COLUMNS)
        )
        unit = _unit(path, names, columns, [row for _, row in rows])
        for line, row in rows:
            times = columns.read(row)
            if times.problem is not None or times.start is None:
                problem = times.problem or "the row has no times"
                yield Cue(line, None, None, row.get(words or "", ""), problem=problem)
                continue
            end = None if times.end is None else times.end * unit
            yield Cue(line, times.start * unit, end, row.get(words or "", ""), row.get(speaker or "", "").strip())


def _delimiter(header: str) -> str:
    return max("\t,;", key=header.count)


def _unit(path: Path, names: list[str], columns: TimeColumns, rows: list[dict[str, str]]) -> float:
    """Return the seconds of the unit of the times: Whisper's are whole milliseconds; of others, the length tells."""
    cells = [row.get(name or "", "").strip() for row in rows for name in (columns.start, columns.end)]
    if not all(cell.isdigit() for cell in cells if cell) or columns.is_in_milliseconds:
        return 1.0
    if names == _WHISPER_HEADER:
        return 1e-3
    return unit_of_times(path, [parse_seconds(cell) or 0.0 for cell in cells]) or 1.0


FORMAT = TimesTableFormat()
