"""Recognise many recordings: read them, drop silence, recognise the speech in batches, and judge each result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from vtune.contract.recognisers import RECOGNISER_SAMPLE_RATE, Recogniser, Transcript
from vtune.errors import DataError, VtuneError, reason
from vtune.ingest.transcribe.boilerplate import find_boilerplate
from vtune.ingest.transcribe.join_transcripts import join_transcripts
from vtune.ingest.transcribe.speech_gate import MIN_SPEECH_SECONDS, GatedSpeech, gate_speech
from vtune.types import Waveform

Key = TypeVar("Key")

MAX_NO_SPEECH_PROBABILITY, MIN_LOGPROB = 0.6, -1.0
"""Words are made up if "no speech" is more probable and the words are less probable than this (Whisper's own rule)."""

FLUSH_RECORDINGS = 64
"""Results without speech that are collected before they are passed on."""

EMPTY_TRANSCRIPT = Transcript("")


@dataclass(frozen=True, slots=True)
class RecognitionResult:
    """The result of recognising one recording.

    :param why: the reason why the recording is empty or unreadable.
    :param seconds: length of the recording.
    :param speech: seconds of speech in the recording.
    """

    status: Literal["transcribed", "empty", "unreadable"]
    transcript: Transcript = EMPTY_TRANSCRIPT
    why: str = ""
    seconds: float = 0.0
    speech: float = 0.0


def recognise_recordings(
    recordings: Iterable[tuple[Key, Callable[[], Waveform]]], recogniser: Callable[[], Recogniser]
) -> Iterator[list[tuple[Key, RecognitionResult]]]:
    """Yield the results of recordings in batches, in the order of the recordings.

    :param recordings: for each recording, its key and a function that reads it as mono sound at 16 kHz. A recording is
        unreadable if the function raises ``DataError`` or ``OSError``.
    :param recogniser: opens the recogniser; called once, before the first speech is recognised.
    :raises VtuneError: the recogniser failed.
    """
    waiting: list[tuple[Key, RecognitionResult | tuple[float, GatedSpeech]]] = []
    opened: Recogniser | None = None
    for key, read in recordings:
        waiting.append((key, _gate_recording(read)))
        pieces = sum(len(state[1].pieces) for _, state in waiting if isinstance(state, tuple))
        if opened is None and pieces:
            opened = recogniser()
        # Recordings without speech do not fill a batch, so their results are passed on now and then.
        if (opened is not None and pieces >= opened.batch) or (not pieces and len(waiting) >= FLUSH_RECORDINGS):
            yield _recognise_waiting(waiting, opened)
            waiting = []
    if waiting:
        yield _recognise_waiting(waiting, opened)


def _gate_recording(read: Callable[[], Waveform]) -> RecognitionResult | tuple[float, GatedSpeech]:
    try:
        sound = read()
    except (DataError, OSError) as error:
        return RecognitionResult("unreadable", why=str(error))
    speech, seconds = gate_speech(sound), len(sound) / RECOGNISER_SAMPLE_RATE
    if not speech.pieces:
        why = f"there are only {speech.seconds:.2f} s of speech, less than {MIN_SPEECH_SECONDS:g} s"
        return RecognitionResult("empty", EMPTY_TRANSCRIPT, why, seconds, speech.seconds)
    return seconds, speech


def _recognise_waiting(
    waiting: Sequence[tuple[Key, RecognitionResult | tuple[float, GatedSpeech]]], recogniser: Recogniser | None
) -> list[tuple[Key, RecognitionResult]]:
    pieces = [piece for _, state in waiting if isinstance(state, tuple) for piece in state[1].pieces]
    transcripts: list[Transcript] = []
    if recogniser is not None:
        for start in range(0, len(pieces), recogniser.batch):
            try:
                transcripts += recogniser.transcribe(pieces[start : start + recogniser.batch])
            except Exception as error:  # a third-party model, or a GPU without memory
                raise VtuneError(
                    f"the recogniser failed ({reason(error)}); finished recordings are kept; correct this and run again"
                ) from error
    results, remaining = [], iter(transcripts)
    for key, state in waiting:
        if isinstance(state, tuple):
            seconds, speech = state
            transcript = join_transcripts([next(remaining) for _ in speech.pieces])
            state = _judge_transcript(transcript, seconds, speech.seconds)
        results.append((key, state))
    return results


def _judge_transcript(transcript: Transcript, seconds: float, speech: float) -> RecognitionResult:
    # The words go into a table: line breaks and bytes that are not text are removed.
    words = " ".join(transcript.text.replace("\0", " ").encode("utf-8", "replace").decode().split())
    transcript = replace(transcript, text=words)
    if not any(letter.isalnum() for letter in words):
        return RecognitionResult("empty", transcript, "the recogniser heard no words", seconds, speech)
    made_up = (transcript.logprob or 0.0) < MIN_LOGPROB or find_boilerplate(words, unsure=True)
    if (transcript.no_speech or 0.0) > MAX_NO_SPEECH_PROBABILITY and made_up:
        why = f"nobody speaks (probability {transcript.no_speech:.2f}); the recogniser made up {words[:40]!r}"
        return RecognitionResult("empty", transcript, why, seconds, speech)
    return RecognitionResult("transcribed", transcript, "", seconds, speech)
