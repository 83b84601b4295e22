"""Subtitles of SubStation Alpha, ``talk.ass`` or ``talk.ssa`` beside ``talk.wav``: lines of comma-separated fields.

The line ``Format:`` of the section ``[Events]`` names the fields; the last is the text, ``Name`` is the speaker.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.cue_texts import Cue, spoken_text
from vtune.dataset.sources.cues import CueFormat
from vtune.dataset.sources.part_times import parse_seconds


class AssFormat(CueFormat):
    """Subtitles of one recording."""

    name = "ASS subtitles"
    kind = "ASS subtitles"
    endings = sure_endings = (".ass", ".ssa")
    rank = 8

    def sign(self, path: Path, head: str) -> str | None:
        """Look for the first line."""
        return "it begins with [Script Info]" if head.lstrip().lower().startswith("[script info]") else None

    def cues(self, path: Path, text: str, choice: ColumnChoice) -> Iterator[Cue]:
        """Yield the lines of dialogue."""
        fields: list[str] = []
        for number, line in enumerate(text.split("\n"), 1):
            kind, _, rest = line.partition(":")
            if kind.strip().lower() == "format":
                fields = [field.strip().lower() for field in rest.split(",")]
            elif kind.strip().lower() == "dialogue" and fields:
                yield _cue(number, dict(zip(fields, rest.split(",", len(fields) - 1), strict=False)))


def _cue(line: int, values: dict[str, str]) -> Cue:
    words = spoken_text(values.get("text", "").replace("\\n", "\\N").replace("\\h", " ").split("\\N"))
    try:
        start, end = parse_seconds(values.get("start")), parse_seconds(values.get("end"))
    except ValueError as error:
        return Cue(line, None, None, words, problem=str(error))
    return Cue(line, start, end, words, values.get("name", "").strip())


FORMAT = AssFormat()
