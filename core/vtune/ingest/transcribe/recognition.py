"""Listening to many recordings: read, let speech through the gate, hear in batches, say what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from vtune.errors import DataError, VtuneError, reason
from vtune.ingest.transcribe.boilerplate import boilerplate_in
from vtune.ingest.transcribe.recogniser import RATE, Recogniser, Transcript, joined
from vtune.ingest.transcribe.speech_gate import LEAST, Spoken, spoken
from vtune.types import Waveform

Key = TypeVar("Key")

NOBODY = (0.6, -1.0)
"""Probability of no speech above which, and log probability under which words are none (Whisper's own rule)."""


NOTHING = Transcript("")


@dataclass(frozen=True, slots=True)
class Listened:
    """What became of one recording.

    :param why: where it is empty or unreadable.
    :param seconds: of sound; ``speech``, of speech in it.
    """

    status: Literal["transcribed", "empty", "unreadable"]
    heard: Transcript = NOTHING
    why: str = ""
    seconds: float = 0.0
    speech: float = 0.0


def listen(
    recordings: Iterable[tuple[Key, Callable[[], Waveform]]], recogniser: Callable[[], Recogniser]
) -> Iterator[list[tuple[Key, Listened]]]:
    """Yield what became of recordings, some at a time, in their order.

    :param recordings: each with what reads it: mono at 16 kHz; its ``DataError`` or ``OSError`` makes it unreadable.
    :param recogniser: opens the recogniser; called once, when the first speech is to be heard.
    :raises VtuneError: the recogniser failed.
    """
    waiting: list[tuple[Key, Listened | tuple[float, Spoken]]] = []
    opened: Recogniser | None = None
    for key, read in recordings:
        waiting.append((key, _ready(read)))
        pieces = sum(len(one[1].pieces) for _, one in waiting if isinstance(one, tuple))
        if opened is None and pieces:
            opened = recogniser()
        # Where nobody speaks nothing waits for a batch, so what is known is passed on.
        if (opened is not None and pieces >= opened.batch) or (not pieces and len(waiting) >= 64):
            yield _heard(waiting, opened)
            waiting = []
    if waiting:
        yield _heard(waiting, opened)


def _ready(read: Callable[[], Waveform]) -> Listened | tuple[float, Spoken]:
    try:
        sound = read()
    except (DataError, OSError) as error:
        return Listened("unreadable", why=str(error))
    found, seconds = spoken(sound), len(sound) / RATE
    if not found.pieces:
        why = f"{found.seconds:.2f} s of speech, less than {LEAST:g}"
        return Listened("empty", NOTHING, why, seconds, found.seconds)
    return seconds, found


def _heard(
    waiting: Sequence[tuple[Key, Listened | tuple[float, Spoken]]], recogniser: Recogniser | None
) -> list[tuple[Key, Listened]]:
    pieces = [piece for _, one in waiting if isinstance(one, tuple) for piece in one[1].pieces]
    heard: list[Transcript] = []
    if recogniser is not None:
        for start in range(0, len(pieces), recogniser.batch):
            try:
                heard += recogniser.hear(pieces[start : start + recogniser.batch])
            except Exception as error:  # a model of somebody else's, an exhausted GPU
                raise VtuneError(
                    f"the recogniser failed ({reason(error)}); what was heard before is kept, so mend it and run again"
                ) from error
    told, rest = [], iter(heard)
    for key, one in waiting:
        if isinstance(one, tuple):
            seconds, found = one
            one = _judged(joined([next(rest) for _ in found.pieces]), seconds, found.seconds)
        told.append((key, one))
    return told


def _judged(heard: Transcript, seconds: float, speech: float) -> Listened:
    # The words go into a table: no line breaks, nothing that is no text.
    words = " ".join(heard.text.replace("\0", " ").encode("utf-8", "replace").decode().split())
    heard = Transcript(words, heard.language, heard.language_probability, heard.logprob, heard.no_speech)
    if not any(letter.isalnum() for letter in words):
        return Listened("empty", heard, "no words were heard", seconds, speech)
    silent, unsure = NOBODY
    made_up = (heard.logprob or 0.0) < unsure or boilerplate_in(words, unsure=True)
    if (heard.no_speech or 0.0) > silent and made_up:
        why = f"nobody speaks (probability {heard.no_speech:.2f}), though {words[:40]!r} was made up"
        return Listened("empty", heard, why, seconds, speech)
    return Listened("transcribed", heard, "", seconds, speech)
