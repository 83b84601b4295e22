"""Choose the columns of a table: as the recipe says, by the names that the field uses, or by evidence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from vtune.dataset.sources.columns import (
    AUDIO_COLUMNS,
    FLAGS_COLUMN,
    SPEAKER_COLUMNS,
    TEXT_COLUMNS,
    WRITTEN_OUT_COLUMN,
    ColumnChoice,
    Columns,
    listed,
    numbered,
    plain_heading,
)
from vtune.dataset.sources.evidence import (
    MAX_NAMED_VALUES,
    NAMING_KINDS,
    CellKind,
    ColumnEvidence,
    examine_column,
    similarity,
)
from vtune.dataset.sources.part_times import TimeColumns
from vtune.errors import DataError, nearest

ORPHEUS_SPEAKER_COLUMN = "source"
"""Orpheus's own data sets name the speaker here; others name a web page or a corpus."""

_OTHER_MEANING = re.compile(
    r"emotions?|styles?|mood|split|subset|part|fold|lang(uage)?|locale|notes?|comments?|remarks?|status|qualit(y|aet)|"
    r"ok|valid|format|licen[cs]e|domain|type|category|topic|chapter|book|title|variant|segment|date|up_?votes|down_?votes"
)
"""Headings of columns whose few values are no speakers."""

SIMILAR_SHARE = 0.5
"""Smallest share of common words from which two columns count as two spellings of the same words."""

FEATURE_ENDINGS = (".npy", ".npz", ".pt")
"""Endings of arrays that trainers keep of recordings: codes, token ids, embeddings."""

MIN_ROWS = 3
"""Rows from which on the cells of a column count as evidence against it."""

MANY_CELLS = 10
"""Cells from which on it is suspicious if words repeat."""


def choose_columns(
    table: Path | str,
    header: tuple[str, ...] | None,
    rows: Sequence[Sequence[str]],
    choice: ColumnChoice,
    line: int | None = None,
) -> Columns:
    """Tell which column is which.

    :param table: how messages call the table.
    :param header: the headings; None for a table without a header.
    :param rows: cells of a sample of rows, all as wide as the table.
    :param line: line of the header; None for a table without lines.
    :raises DataError: a column that the recipe names is missing, a needed column appears twice, or the evidence is too
        thin to tell which column has the words, the recordings or the speakers.
    """
    if header is not None:
        twice = next((name for name in header if name and header.count(name) > 1), None)
        if twice is not None:
            where = table if line is None else f"{table}:{line}"
            raise DataError(f"{where}: column {twice[:60]!r} appears twice; rename one of the two")
    chooser = _Chooser(table, header, rows, choice)
    audio = chooser.audio()
    text = chooser.text(audio)
    speaker = chooser.speaker(audio, text)
    times = TimeColumns.pick(header or ())
    used = (audio, text, speaker, FLAGS_COLUMN, WRITTEN_OUT_COLUMN, times.start, times.end, times.duration)
    notes, doubts = chooser.remarks(text, speaker, used)
    return Columns(audio, text, speaker, header, len(chooser.names), times, tuple(notes), tuple(doubts))


class _Chooser:
    """Chooses the columns of one table; evidence is taken only where names do not decide."""

    def __init__(
        self, table: Path | str, header: tuple[str, ...] | None, rows: Sequence[Sequence[str]], choice: ColumnChoice
    ) -> None:
        self._table, self._header, self._rows, self._choice = table, header, rows, choice
        self.names = header or numbered(max(map(len, rows), default=0))
        self._usual = {plain_heading(name): name for name in reversed(self.names)} if header else {}
        self._because = ""

    @cached_property
    def _evidence(self) -> Mapping[str, ColumnEvidence]:
        return {name: examine_column(self._cells(name)) for name in self.names if name}

    def audio(self) -> str:
        """Return the column that names the recordings."""
        if (name := self._named(self._choice.audio) or self._by_heading(AUDIO_COLUMNS)) is not None:
            return name
        taken = {self._named(self._choice.text), self._named(self._choice.speaker)}
        free = [name for name in self._evidence if name not in taken]
        paths = [name for name in free if self._evidence[name].kind is CellKind.RECORDING]
        if paths:
            return paths[0]
        if self._header is None and free and free[0] == self.names[0]:
            if self._evidence[free[0]].kind is not CellKind.WORDS:
                return free[0]
        elif self._header is not None:
            unique = [
                name for name in free
                if self._evidence[name].kind is CellKind.IDENTIFIER and plain_heading(name) not in TEXT_COLUMNS
            ]  # fmt: skip
            if len(unique) == 1 and len(self._rows) > 1:
                return unique[0]
        raise self._unclear("names the recordings", "audio_column")

    def text(self, audio: str) -> str:
        """Return the column that has the words."""
        if (name := self._named(self._choice.text) or self._by_heading(TEXT_COLUMNS)) is not None:
            return name
        speaker = self._named(self._choice.speaker) or self._by_heading(SPEAKER_COLUMNS)
        free = [name for name in self._evidence if name not in (audio, speaker)]
        words = [name for name in free if self._evidence[name].kind is CellKind.WORDS]
        if len(words) > 1:
            words = self._best_spelling(words)
        if len(words) == 1:
            self._because = f"{self._label(words[0])} reads like sentences"
            return words[0]
        left = [name for name in free if self._evidence[name].kind is not CellKind.EMPTY]
        if not words and len(left) == 1:  # a few rows do not show that the only column left is no words
            is_thin = len(self._rows) < MIN_ROWS
            if is_thin or self._evidence[left[0]].kind in {CellKind.IDENTIFIER, CellKind.MIXED}:
                return left[0]
        if not words and (phones := [name for name in free if self._evidence[name].kind is CellKind.PHONES]):
            raise DataError(
                f"{self._table}: {self._described(phones[0])}, and no column holds words; add the words, or train on "
                f"the phones as they are written with 'text_column: {phones[0]}' in the recipe"
            )
        if not words and (single := [n for n in free if self._evidence[n].kind is CellKind.SINGLE_WORDS]):
            words = self._best_spelling(single)
            if len(words) == 1:
                return words[0]
        raise self._unclear("has the words", "text_column")

    def speaker(self, audio: str, text: str) -> str | None:
        """Return the column that names the speakers, or None."""
        name = self._named(self._choice.speaker) or self._by_heading(SPEAKER_COLUMNS)
        if name is not None or self._choice.voice is not None:
            return name
        if self._header is not None:
            source = self._usual.get(ORPHEUS_SPEAKER_COLUMN)
            is_name = source is not None and self._evidence[source].kind in {CellKind.FEW, CellKind.GENDER}
            return source if is_name and source not in (audio, text) else None
        candidates = [name for name in self._evidence if name not in (audio, text) and self._may_name_speakers(name)]
        several = [name for name in candidates if self._evidence[name].distinct > 1]
        if not several:
            before = [name for name in candidates if int(name) < int(text)]
            return next(iter([*before, *candidates]), None)
        # Lists of several speakers have the speaker before the words, or in the path: path|speaker|text.
        in_path = [name for name in several if self._stands_in(name, audio)]
        if len(in_path) == 1 or (len(several) == 1 and int(several[0]) < int(text)):
            return [*in_path, *several][0]
        raise DataError(
            f"{self._table} has no header, and {self._described(several[0])}, which may be speakers; say so in the "
            f"recipe with 'speaker_column: {several[0]}' (cells count from 1), or set 'voice:' if there is one speaker"
        )

    def remarks(self, text: str, speaker: str | None, used: Sequence[str | None]) -> tuple[list[str], list[str]]:
        """Return what else is to be said about the choice: notes and doubts.

        :param used: all columns that are read.
        """
        notes, doubts = [self._because] if self._because else [], []
        held = self._evidence[text] if text in self._evidence else examine_column(())
        suspicious = {CellKind.PHONES, CellKind.NUMBER, CellKind.TIME, CellKind.RECORDING, CellKind.LANGUAGE}
        repeats = len(self._rows) >= MANY_CELLS and held.distinct * 5 < len(self._rows)
        if held.kind in suspicious or (held.kind in {CellKind.FEW, CellKind.EMOTION, CellKind.SPLIT} and repeats):
            doubts.append(f"{self._label(text)} does not look like words, it holds {held.describe()}")
        unused = [name for name in self._evidence if name not in used]
        unused = [name for name in unused if self._evidence[name].kind is not CellKind.EMPTY]
        if unused and self._header is None:
            notes.append("not used: " + ", ".join(self._described(name) for name in unused))
        elif unused:
            notes.append(f"not used: {listed(unused)}")
        if features := [name for name in unused if self._holds_features(name)]:
            notes.append(
                f"{listed(features)} name features of another trainer, which are not read: the recordings are encoded "
                "again"
            )
        if self._header is not None and speaker is None and self._choice.voice is None:
            doubts += [
                f"{self._described(name)}; if these are speakers, set 'speaker_column: {name}'"
                for name in unused
                if self._may_name_speakers(name)
                and self._evidence[name].kind is not CellKind.NUMBER
                and self._evidence[name].distinct > 1
                and not _OTHER_MEANING.fullmatch(plain_heading(name))
            ]
        return notes, doubts

    def _named(self, chosen: str | None) -> str | None:
        """Return the column that the recipe names by its heading or its number."""
        if chosen is None or chosen in self.names:
            return chosen
        if chosen.isdecimal() and 1 <= int(chosen) <= len(self.names):
            return self.names[int(chosen) - 1]
        if self._header is None:
            raise DataError(
                f"{self._table} has no header, so no column can be named {chosen!r}; give its number, from 1 to "
                f"{len(self.names)}"
            )
        close = nearest(chosen, self.names)
        raise DataError(f"{self._table} has no column {chosen!r}{close} (it has: {listed(self.names)})")

    def _by_heading(self, usual: Sequence[str]) -> str | None:
        return next((self._usual[name] for name in usual if name in self._usual), None)

    def _best_spelling(self, names: Sequence[str]) -> list[str]:
        """Return the column that spells the words out, of columns that write the same words in several ways."""
        first = self._cells(names[0])
        if any(similarity(zip(first, self._cells(name), strict=True)) < SIMILAR_SHARE for name in names[1:]):
            return list(names)
        digits = {name: sum(map(str.isdigit, "".join(self._cells(name)))) for name in names}
        return [min(reversed(names), key=lambda name: digits[name])]

    def _holds_features(self, name: str) -> bool:
        """Tell whether the cells of a column name arrays that another program computed of the recordings."""
        cells = [cell for cell in self._cells(name) if cell]
        return bool(cells) and all(cell.lower().endswith(FEATURE_ENDINGS) for cell in cells)

    def _may_name_speakers(self, name: str) -> bool:
        held = self._evidence[name]
        if held.kind not in NAMING_KINDS or held.distinct > MAX_NAMED_VALUES:
            return False
        repeat = held.distinct <= max(1, len(self._rows) // 2)
        return repeat and (held.kind is not CellKind.NUMBER or all(map(str.isdecimal, held.examples)))

    def _stands_in(self, name: str, audio: str) -> bool:
        """Tell whether the values of a column stand in the paths of the recordings, as names of speakers often do."""
        pairs = [(value, path) for value, path in zip(self._cells(name), self._cells(audio), strict=True) if value]
        inside = sum(value in re.split(r"[\\/_.-]", path) for value, path in pairs)
        return self._evidence[name].distinct > 1 and inside >= 0.9 * len(pairs)

    def _cells(self, name: str) -> list[str]:
        index = self.names.index(name)
        return [row[index].strip() if index < len(row) else "" for row in self._rows]

    def _label(self, name: str) -> str:
        return f"cell {name}" if self._header is None else f"column {name!r}"

    def _described(self, name: str) -> str:
        return f"{self._label(name)} holds {self._evidence[name].describe()}"

    def _unclear(self, role: str, key: str) -> DataError:
        held = ", ".join(self._described(name) for name in list(self._evidence)[:8])
        if self._header is None:
            return DataError(
                f"{self._table} has no header, and it is not clear which cell {role}: {held}; say which with "
                f"'{key}: 2' in the recipe (cells count from 1), or begin the table with a line of headings such as "
                "filename, text, speaker"
            )
        return DataError(
            f"{self._table} has the columns {listed(self.names)}, and it is not clear which one {role}"
            f"{': ' + held if self._rows else ''}; say which with '{key}:' in the recipe"
        )
