"""WebVTT subtitles, ``talk.vtt`` beside ``talk.wav``, also the automatic ones of YouTube, whose lines scroll.

Notes, styles and settings of cues are skipped; the name in a voice tag, ``<v Nora>``, is the speaker.
"""

from __future__ import annotations

from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.cue_texts import Cue
from vtune.dataset.sources.cues import CueFormat
from vtune.dataset.sources.subtitle_cues import first_times, subtitle_cues


class VttFormat(CueFormat):
    """Subtitles of one recording."""

    name = "WebVTT subtitles"
    kind = "WebVTT subtitles"
    endings = sure_endings = (".vtt",)
    rank = 4

    def sign(self, path: Path, head: str) -> str | None:
        """Look for the first line and a line of times."""
        return "it begins with WEBVTT" if head.startswith("WEBVTT") and first_times(head) else None

    def cues(self, path: Path, text: str, choice: ColumnChoice) -> list[Cue]:
        """Return the cues."""
        return subtitle_cues(text, has_notes=True)


FORMAT = VttFormat()
