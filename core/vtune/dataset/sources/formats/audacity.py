"""Label tracks, ``take.txt`` or ``take.lab`` beside ``take.wav``: each line is a label with start, end and text.

Audacity writes seconds with tabs between the cells; a label of one point ends where the next label begins, and lines
that begin with a backslash hold frequencies. Others write blanks, milliseconds or HTK's units of 100 ns: the length of
the recording tells which. Labels of single words or phones are no clips.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.cue_texts import Cue
from vtune.dataset.sources.cues import HEAD_CHARACTERS, CueFormat, unit_of_times
from vtune.dataset.sources.part_times import parse_seconds
from vtune.dataset.sources.table import FormatEvidence

MIN_LABEL_WORDS = 1.7
"""Words of a label, on average, from which lines that Audacity did not write are labels of sentences."""

_BEGINNING = re.compile(rb"[^\d\\\s]{0,3}\s*(\d+([.,]\d+)?\s|\\)")
_AUDACITY = re.compile(r"\s*(\d+[.,]\d+) *\t *(\d+[.,]\d+) *(?:\t(.*))?")
_LABEL = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s+(\d+(?:[.,]\d+)?)(?:\s+(.*))?")


class AudacityFormat(CueFormat):
    """Labels of one recording."""

    name = "Audacity labels"
    kind = "Audacity labels"
    endings = (".txt", ".lab")
    joins = False
    rank = 1

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Look at a few bytes first: a folder may have a hundred thousand texts beside recordings."""
        with path.open("rb") as file:
            begins = _BEGINNING.match(file.read(64).replace(b"\0", b""))
        return super().evidence(path) if begins else None

    def sign(self, path: Path, head: str) -> str | None:
        """Look for labels in all lines; of lines that Audacity did not write, the texts have to be sentences."""
        lines = [line for line in head.splitlines() if line.strip() and not line.startswith("\\")]
        lines = lines[:-1] if len(head) == HEAD_CHARACTERS else lines
        if not lines:
            return None
        if all(map(_AUDACITY.fullmatch, lines)):
            return "each line has two times and a text"
        labels = [match.groups() for line in lines if (match := _LABEL.fullmatch(line))]
        words = sum(len((text or "").split()) for _, _, text in labels)
        if len(labels) < max(2, len(lines)) or words < MIN_LABEL_WORDS * len(labels):
            return None
        times = [float(time.replace(",", ".")) for start, end, _ in labels for time in (start, end)]
        fits = times == sorted(times) and unit_of_times(path, times) is not None
        return "each line has two times and a sentence" if fits else None

    def cues(self, path: Path, text: str, choice: ColumnChoice) -> Iterator[Cue]:
        """Yield the labels."""
        lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        labels = [(number, line, _AUDACITY.fullmatch(line) or _LABEL.fullmatch(line)) for number, line in lines]
        written = [match for _, _, match in labels if match is not None]
        is_audacity = all(_AUDACITY.fullmatch(match[0]) for match in written)
        ends = [float(match[2].replace(",", ".")) for match in written]
        unit = 1.0 if is_audacity else unit_of_times(path, ends) or 1.0
        for number, line, label in labels:
            if line.startswith("\\"):
                continue
            if label is None:
                problem = f"{line[:60]!r} is no label: start, end and text, with tabs between them"
                yield Cue(number, None, None, line.strip(), problem=problem)
                continue
            start, end = ((parse_seconds(label[cell]) or 0.0) * unit for cell in (1, 2))
            yield Cue(number, start, None if end == start else end, (label[3] or "").strip())


FORMAT = AudacityFormat()
