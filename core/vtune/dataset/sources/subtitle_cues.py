"""Read the cues of SRT, VTT and SBV files: a line of two times, and the lines of text below it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vtune.dataset.sources.cue_texts import (
    MAX_CUE_CHARACTERS,
    Cue,
    spoken_text,
    too_long,
    with_speakers,
    without_repetitions,
)
from vtune.dataset.sources.part_times import parse_seconds

_CLOCK = r"(?:\d+:)?\d{1,3}:\d{1,2}(?:[.,]\d{1,9})?"
_SBV_CLOCK = r"\d+:\d{2}:\d{2}\.\d{1,3}"
_TIMES = re.compile(
    rf"\s*(?P<start>{_CLOCK})\s*-+>\s*(?P<end>{_CLOCK})(?:\s.*)?|"
    rf"\s*(?P<sbv_start>{_SBV_CLOCK}),(?P<sbv_end>{_SBV_CLOCK})\s*"
)
_LIKE_TIMES = re.compile(r"\s*[\d:.,\s]*-+>[\d:.,\s]*")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+(?P<name>[^>]+)>", re.IGNORECASE)
_NOTE = re.compile(r"(NOTE|STYLE|REGION|WEBVTT)\b")


def first_times(head: str) -> bool:
    """Tell whether a text has a line of two times."""
    return any(_TIMES.fullmatch(line) for line in head.splitlines())


def subtitle_cues(text: str, *, has_notes: bool) -> list[Cue]:
    """Return the cues of a file, without what only scrolls and what is no speech.

    :param has_notes: blocks that begin with ``NOTE`` or ``STYLE`` are no text, as in VTT.
    """
    blocks = without_repetitions(list(_blocks(text.split("\n"), has_notes=has_notes)))
    return with_speakers([cue for block, lines in blocks for cue in _voices(block, lines)])


def _blocks(lines: list[str], *, has_notes: bool) -> Iterator[tuple[Cue, list[str]]]:
    """Yield the times of each cue, and its lines of text."""
    cue: Cue | None = None
    texts: list[str] = []
    in_note = has_notes
    for index, line in enumerate(lines):
        times = _TIMES.fullmatch(line)
        if times or _LIKE_TIMES.fullmatch(line):
            # The line above the times is the cue's number or name.
            above = lines[index - 1].strip() if index else ""
            is_name = bool(above) and (above.isdigit() or index < 2 or not lines[index - 2].strip())
            if texts and is_name and texts[-1] == above:
                texts.pop()
            if cue is not None:
                yield cue, texts
            texts, in_note = [], False
            if times:
                start, end = times["start"] or times["sbv_start"], times["end"] or times["sbv_end"]
                cue = Cue(index + 1, parse_seconds(start), parse_seconds(end), "")
            else:
                problem = f"{line.strip()[:60]!r} is no line of times; write 00:00:01,000 --> 00:00:02,000"
                cue = Cue(index + 1, None, None, "", problem=problem)
        elif not line.strip():
            in_note = False
        elif has_notes and _NOTE.match(line) and not (index and lines[index - 1].strip()):
            in_note = True
        elif cue is not None and not in_note:
            texts.append(line.strip())
    if cue is not None:
        yield cue, texts


def _voices(cue: Cue, lines: list[str]) -> Iterator[Cue]:
    """Yield a cue with its words; a cue of several voices cannot be cut, because it has one pair of times."""
    characters = sum(map(len, lines))
    if characters > 4 * MAX_CUE_CHARACTERS:  # markup is longer than words
        yield Cue(cue.line, cue.start, cue.end, lines[0][:80], problem=too_long(characters))
        return
    names = list(dict.fromkeys(match["name"].strip() for match in _VOICE.finditer(" ".join(lines))))
    problem = cue.problem
    if len(names) > 1:
        problem = f"{names[0]!r} and {names[1]!r} speak in one cue; give each a cue of their own"
    yield Cue(cue.line, cue.start, cue.end, spoken_text(lines), names[0] if names else "", problem)
