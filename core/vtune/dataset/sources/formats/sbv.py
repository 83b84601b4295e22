"""Subtitles as YouTube exports them, ``talk.sbv`` beside ``talk.wav``: a line of two times with a comma, then text."""

from __future__ import annotations

from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.cue_texts import Cue
from vtune.dataset.sources.cues import CueFormat
from vtune.dataset.sources.subtitle_cues import first_times, subtitle_cues


class SbvFormat(CueFormat):
    """Subtitles of one recording."""

    name = "SBV subtitles"
    kind = "SBV subtitles"
    endings = sure_endings = (".sbv",)
    rank = 7

    def sign(self, path: Path, head: str) -> str | None:
        """Look for a line of times."""
        return "it has lines of times, 0:00:01.000,0:00:02.000" if first_times(head) else None

    def cues(self, path: Path, text: str, choice: ColumnChoice) -> list[Cue]:
        """Return the cues."""
        return subtitle_cues(text, has_notes=False)


FORMAT = SbvFormat()
