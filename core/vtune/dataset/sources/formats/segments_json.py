"""JSON of recognisers beside one recording: Whisper's and WhisperX's ``segments``, whisper.cpp's ``transcription``, the
``chunks`` of a transformers pipeline, or plain objects with ``start``, ``end`` and ``text``, in a list or one a line.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vtune.dataset.sources.columns import AUDIO_COLUMNS, ColumnChoice
from vtune.dataset.sources.cue_texts import Cue
from vtune.dataset.sources.cues import MAX_FILE_BYTES, CueFormat, namesake_of
from vtune.dataset.sources.json_objects import DECODER, after_blank, members
from vtune.dataset.sources.part_times import parse_seconds
from vtune.dataset.sources.plain_text import encoding_of
from vtune.dataset.sources.table import Certainty, FormatEvidence
from vtune.errors import DataError

SEGMENT_KEYS = ("segments", "transcription", "chunks")
"""Keys of the list of segments."""

MAX_WORD_DISTANCE_SECONDS = 1.0
"""Seconds between the times of a segment and those of its words up to which the times of the words are taken."""

_SEGMENTS = re.compile(rf'"({"|".join(SEGMENT_KEYS)})"\s*:\s*\[\s*\{{')
_FIRST_OBJECT = re.compile(r"\s*\[?\s*\{[^{}\[\]]*")


class SegmentsJsonFormat(CueFormat):
    """Segments of one recording."""

    name = "Whisper's JSON"
    kind = "a recogniser's JSON"
    endings = (".json", ".jsonl")
    rank = 3

    def evidence(self, path: Path) -> FormatEvidence | None:
        """Look for a list of segments; of other JSON only the beginning is read."""
        if namesake_of(path) is None or os.path.getsize(path) > MAX_FILE_BYTES:
            return None
        with path.open(encoding=encoding_of(path), errors="replace") as file:
            reason = self.sign(path, file.read())
        return None if reason is None else FormatEvidence(Certainty.BY_CONTENT, reason)

    def sign(self, path: Path, head: str) -> str | None:
        """Look for a key of ``SEGMENT_KEYS``, or for the keys of the first object of a list."""
        if head.lstrip()[:1] == "{" and (key := _SEGMENTS.search(head)):
            return f"it has a list of {key[1]}"
        first = _FIRST_OBJECT.match(head)
        keys = set(re.findall(r'"(\w+)"\s*:', first[0])) if first else set()
        if {"start", "end", "text"} <= keys and not keys & {*AUDIO_COLUMNS}:
            return "its objects have start, end and text"
        return None

    def cues(self, path: Path, text: str, choice: ColumnChoice) -> Iterator[Cue]:
        """Yield the segments."""
        line, counted = 1, 0
        try:
            for position, segment in _segments(text):
                line, counted = line + text.count("\n", counted, position), position
                yield _cue(line, segment)
        except (ValueError, IndexError, RecursionError) as error:
            raise DataError(f"{path}:{line}: not JSON from here on: {str(error)[:80]}") from error


def _segments(text: str) -> Iterator[tuple[int, Any]]:
    """Yield position and value of each segment."""
    opening = after_blank(text, 0)
    if text[opening] == "{" and _SEGMENTS.search(text) is None:
        text = f"[{text.strip()}]"  # one object a line: between them may be commas or only blanks
        opening = 0
    if text[opening] == "{":
        lists = {name: start for name, start, _ in members(text, opening) if text[start] == "["}
        key = next((key for key in SEGMENT_KEYS if key in lists), None)
        if key is None:
            return
        opening = lists[key]
    position = after_blank(text, opening + 1)
    while text[position] != "]":
        segment, end = DECODER.raw_decode(text, position)
        yield position, segment
        position = after_blank(text, end)
        if text[position] == ",":
            position = after_blank(text, position + 1)


def _cue(line: int, segment: Any) -> Cue:
    if not isinstance(segment, dict):
        return Cue(line, None, None, "", problem=f"a segment is an object, found {json.dumps(segment)[:40]}")
    words, speaker = segment.get("text"), segment.get("speaker")
    try:
        start, end = _times(segment)
    except ValueError as error:
        return Cue(line, None, None, str(words), problem=str(error))
    return Cue(
        line, start, end, words.strip() if isinstance(words, str) else "", speaker if isinstance(speaker, str) else ""
    )


def _times(segment: dict[str, Any]) -> tuple[float | None, float | None]:
    """Return the times of a segment: those of its first and its last word where they have some near the segment's."""
    offsets, stamp = segment.get("offsets"), segment.get("timestamp")
    if isinstance(offsets, dict):
        first, last = offsets.get("from"), offsets.get("to")
        return parse_seconds(first, milliseconds=True), parse_seconds(last, milliseconds=True)
    if isinstance(stamp, list) and len(stamp) == 2:
        return parse_seconds(stamp[0]), parse_seconds(stamp[1])
    start, end = parse_seconds(segment.get("start")), parse_seconds(segment.get("end"))
    words = segment.get("words")
    # A word that the aligner could not place has no times; then the segment's own are surer.
    if start is None or end is None or not isinstance(words, list) or not words or not all(map(_is_timed, words)):
        return start, end
    first_second, last_second = parse_seconds(words[0]["start"]), parse_seconds(words[-1]["end"])
    if first_second is None or last_second is None or first_second >= last_second:
        return start, end
    is_near = max(abs(first_second - start), abs(last_second - end)) <= MAX_WORD_DISTANCE_SECONDS
    return (first_second, last_second) if is_near else (start, end)


def _is_timed(word: Any) -> bool:
    return isinstance(word, dict) and "start" in word and "end" in word


FORMAT = SegmentsJsonFormat()
