"""SubRip subtitles, ``talk.srt`` beside ``talk.wav``: a number, a line of two times, lines of text, a blank line."""

from __future__ import annotations

from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.cue_texts import Cue
from vtune.dataset.sources.cues import CueFormat
from vtune.dataset.sources.subtitle_cues import first_times, subtitle_cues


class SrtFormat(CueFormat):
    """Subtitles of one recording."""

    name = "SRT subtitles"
    kind = "SRT subtitles"
    endings = sure_endings = (".srt",)
    rank = 5

    def sign(self, path: Path, head: str) -> str | None:
        """Look for a line of times."""
        return "it has lines of times, 00:00:01,000 --> 00:00:02,000" if first_times(head) else None

    def cues(self, path: Path, text: str, choice: ColumnChoice) -> list[Cue]:
        """Return the cues."""
        return subtitle_cues(text, has_notes=False)


FORMAT = SrtFormat()
