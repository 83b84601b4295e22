"""Check every piece of sound that an engine yields, so that no broken sound is saved, scored or sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from vtune.errors import EngineError, shown
from vtune.types import Audio, Ending, WordTime

FULL_SCALE_TOLERANCE = 1e-6
"""Largest distance of a sample from [-1, 1] that counts as rounding of float32."""

BASE_SECONDS, SECONDS_PER_CHARACTER = 60.0, 2.0
"""Longest speech of a text. Slow speech has 10 characters a second, this limit one in two seconds, so only an engine
that does not stop reaches it."""

MAX_EMPTY_PIECES = 1_000
"""Pieces without a sample that may follow each other; an engine that waits for something yields none."""

WORD_TIME_TOLERANCE_SECONDS = 0.05
"""Seconds by which a word may begin after its piece ends, for engines that round times to frames."""


def longest_speech(text: str) -> float:
    """Return the seconds after which speech is endless."""
    return BASE_SECONDS + SECONDS_PER_CHARACTER * len(text)


def checked(pieces: Iterable[Audio], what: str, sample_rate: int, longest_seconds: float) -> Iterator[Audio]:
    """Yield the pieces of one or more utterances as they come, each checked.

    :param what: engine and hook, as errors name them: ``engine 'x' (x-tts 1.0): synthesize``.
    :param sample_rate: of the engine, in Hz.
    :param longest_seconds: of the whole sound.
    :raises EngineError: a piece is no sound at that rate, there is no piece, the last piece has no ending, or the sound
        does not end.
    """
    samples = empty = 0
    last: Audio | None = None
    for last in pieces:
        _check_piece(last, what, sample_rate)
        samples += len(last.waveform)
        empty = 0 if len(last.waveform) else empty + 1
        if samples > longest_seconds * sample_rate or empty > MAX_EMPTY_PIECES:
            raise EngineError(
                f"{what} does not end: it has yielded {samples / sample_rate:,.0f} s of sound"
                f"{f' and {empty:,} empty pieces' if empty > 1 else ''} (at most {longest_seconds:,.0f} s for this "
                "text); stop at the end token, at the planned length or at a limit of tokens"
            )
        yield last
    if last is None:
        raise EngineError(f"{what} yielded no sound; yield at least one vtune.Audio")
    if last.ending is None:
        raise EngineError(
            f"{what}: the last piece of sound has no ending; give vtune.Audio its ending, such as "
            "vtune.Ending.END_TOKEN or vtune.Ending.PLANNED"
        )


def _check_piece(piece: Audio, what: str, sample_rate: int) -> None:
    """Check one piece of sound. :raises EngineError: says what is wrong with it and what to do."""
    if not isinstance(piece, Audio):
        raise EngineError(f"{what} yielded {shown(piece)}; it must yield vtune.Audio")
    waveform = piece.waveform
    if not isinstance(waveform, np.ndarray):
        kind = type(waveform).__name__
        raise EngineError(f"{what} yielded a waveform of type {kind}; it must be a NumPy array; a tensor has .numpy()")
    if waveform.dtype != np.float32:
        raise EngineError(f"{what} yielded {waveform.dtype} sound; it must be float32 in [-1, 1]")
    if waveform.ndim != 1:
        raise EngineError(
            f"{what} yielded sound of shape {list(waveform.shape)}; it must be mono with one axis, [samples]"
        )
    if piece.sample_rate != sample_rate:
        raise EngineError(
            f"{what} yielded sound at {shown(piece.sample_rate)} Hz, but engine_info says {sample_rate} Hz; resample "
            "the sound, or correct sample_rate in engine_info"
        )
    if len(waveform):
        _check_samples(waveform, what)
    if piece.ending is not None and not isinstance(piece.ending, Ending):
        raise EngineError(f"{what} yielded the ending {shown(piece.ending)}; it must be a vtune.Ending or None")
    if piece.words:
        _check_words(piece, what)


def _check_samples(waveform: np.ndarray, what: str) -> None:
    low, high = float(waveform.min()), float(waveform.max())  # of NaN, both are NaN
    if not np.isfinite(low) or not np.isfinite(high):
        bad = int(len(waveform) - np.isfinite(waveform).sum())
        raise EngineError(
            f"{what} yielded sound with {bad:,} of {len(waveform):,} samples that are NaN or infinite; the network or "
            "the vocoder computes no numbers, often because of half precision or a learning rate that is too high"
        )
    peak = max(-low, high)
    if peak > 1 + FULL_SCALE_TOLERANCE:
        raise EngineError(
            f"{what} yielded sound that reaches {peak:.4g}, outside [-1, 1]; "
            + ("divide 16-bit samples by 32768" if peak > 100 else "limit it with np.clip(waveform, -1, 1)")
        )


def _check_words(piece: Audio, what: str) -> None:
    seconds = piece.seconds
    start = 0.0
    for time in piece.words:
        if not isinstance(time, WordTime):
            raise EngineError(f"{what} yielded the word time {shown(time)}; it must be a vtune.WordTime")
        # A word may end in the next piece.
        if not start <= time.start <= min(time.end, seconds + WORD_TIME_TOLERANCE_SECONDS):
            raise EngineError(
                f"{what} yielded the word {shown(time.word)} at {time.start:.3f} to {time.end:.3f} s, but the words of "
                f"a piece begin one after another inside the piece, here from {start:.3f} to {seconds:.3f} s"
            )
        start = time.start
