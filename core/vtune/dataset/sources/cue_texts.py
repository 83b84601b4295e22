"""The texts of cues: taken out of markup, given to their speakers, and joined to sentences.

Subtitles break sentences to fit on a screen. Neighbouring cues that belong together are joined, so that a clip is a
sentence and not a scrap: the pause between them is short, the sentence has not ended or the clip is shorter than a
second, the speaker is the same, and the clip stays within ``MAX_JOINED_SECONDS``. A longer cue stays as it is.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from vtune.dataset.sources.plain_text import unfit_words

MAX_CUE_CHARACTERS = 5_000
"""Characters of the longest text of one cue: five minutes of speech."""

MAX_JOINED_SECONDS = 13.0
"""Seconds of the longest clip that several cues become: clips of ``vtune prepare`` have as many by default."""

MAX_JOINED_PAUSE_SECONDS = 0.8
"""Seconds between two cues up to which the second continues the sentence of the first."""

SCRAP_SECONDS = 1.0
"""Seconds of a clip below which the next cue is joined even after the end of a sentence."""

MIN_ROLLING_SHARE = 0.3
"""Share of cues that repeat the line before from which a file scrolls, as the automatic subtitles of YouTube do."""

_SENTENCE_END = re.compile(r"[.!?…。！？।؟][\"'”’»)\]]*$")

_TAG = re.compile(r"</?(?:i|b|u|s|c|v|em|strong|font|lang|ruby|rt|span|br|p)\b[^<>]*>|<\d[\d:.,]*>|\{\\[^{}]*\}", re.I)

_SOUND = re.compile(r"\[[^\[\]]*\]|[♪♫][^♪♫]*[♪♫]|[♪♫].*")

_SPEAKER = re.compile(r"(?P<name>[^\W\d_a-zß-öø-ÿ][^\W_a-zß-öø-ÿ .'-]*(?:[ .'-]+[^\W_a-zß-öø-ÿ]+)*):\s+(?=\S)")


@dataclass(frozen=True, slots=True)
class Cue:
    """A text and when it is said, in seconds.

    :param end: None if only the beginning is known.
    :param problem: why the cue cannot be read; None if it can.
    """

    line: int
    start: float | None
    end: float | None
    text: str
    speaker: str = ""
    problem: str | None = None


def too_long(characters: int) -> str:
    """Return the problem of a text that nobody says in one piece."""
    return f"the text has {characters:,} characters, which are no clip of speech"


def spoken_text(lines: Iterable[str]) -> str:
    """Return the words of a cue without markup, dashes of a dialogue and descriptions of sounds.

    A cue that is nothing but a description keeps it, so that the reason why it is left out can name it.
    """
    plain = [html.unescape(_TAG.sub("", line)) for line in lines]
    plain = [re.sub(r"^\s*(?:[-–—]|>>+)\s*", "", line) for line in plain]
    text = " ".join(" ".join(plain).split())
    return " ".join(_SOUND.sub(" ", text).split()) or text


def with_speakers(cues: list[Cue]) -> list[Cue]:
    """Take names in capital letters from the beginning of cues, ``NORA: Hello``, where at least two cues begin so.

    The name holds until another cue has one.
    """
    matches = [_SPEAKER.match(cue.text) for cue in cues]
    if sum(match is not None for match in matches) < 2:
        return cues
    speaker, named = "", []
    for cue, match in zip(cues, matches, strict=True):
        if match is not None:
            speaker = match["name"].strip()
        text = cue.text[match.end() :] if match else cue.text
        named.append(replace(cue, text=text, speaker=cue.speaker or speaker))
    return named


def without_repetitions(cues: list[tuple[Cue, list[str]]]) -> list[tuple[Cue, list[str]]]:
    """Take out lines that only scroll: those that a cue repeats from the end of the cue before.

    Only in a file that scrolls throughout, because people do say things twice.
    """
    repeated = [0]
    plain = [[" ".join(_TAG.sub("", line).split()) for line in lines] for _, lines in cues]
    for before, lines in pairwise(plain):
        sizes = range(min(len(before), len(lines)), 0, -1)
        repeated.append(next((size for size in sizes if before[-size:] == lines[:size]), 0))
    if len(cues) < 3 or sum(map(bool, repeated)) < MIN_ROLLING_SHARE * len(cues):
        return cues
    kept = [(cue, lines[count:]) for (cue, lines), count in zip(cues, repeated, strict=True)]
    return [(cue, lines) for cue, lines in kept if lines]


def joined(cues: Iterable[Cue]) -> Iterator[Cue]:
    """Join neighbouring cues that belong together; those that cannot be spoken stay apart.

    Example: ``(0 s to 2 s, "The kettle")`` and ``(2.1 s to 4 s, "sang.")`` become ``(0 s to 4 s, "The kettle sang.")``.
    """
    current: Cue | None = None
    for cue in cues:
        if current is not None and _belongs(current, cue):
            current = replace(current, end=cue.end, text=f"{current.text} {cue.text}")
            continue
        if current is not None:
            yield current
        current = cue
    if current is not None:
        yield current


def _belongs(first: Cue, second: Cue) -> bool:
    """Tell whether a cue continues the sentence of the cue before."""
    if first.problem or second.problem or unfit_words(first.text) or unfit_words(second.text):
        return False
    if None in (first.start, first.end, second.start, second.end) or first.speaker != second.speaker:
        return False
    pause, seconds = second.start - first.end, second.end - first.start  # type: ignore[operator]
    if not -0.5 <= pause <= MAX_JOINED_PAUSE_SECONDS or not 0 < seconds <= MAX_JOINED_SECONDS:
        return False
    has_ended = _SENTENCE_END.search(first.text) is not None and not second.text[:1].islower()
    return not has_ended or first.end - first.start < SCRAP_SECONDS  # type: ignore[operator]
