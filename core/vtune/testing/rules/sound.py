"""The sound: its numbers, its pieces, their endings and the times of words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from vtune.testing.rule import NotApplicable, require, rule
from vtune.testing.rules.conditioning import conditioning_is_plain
from vtune.testing.rules.network import adapter_is_built
from vtune.testing.subject import LONG_TEXT, TEXT, Subject, next_piece, same_sound, sound_of
from vtune.testing.watch import seed_everything
from vtune.types import Audio, Ending, WordTime

SILENT_PEAK = 1e-4
"""Largest distance of a sample from the mean that is silence: -80 dB of full scale."""

EDGE_SECONDS = 0.003
"""Silence at the edges of pieces, or sound that two pieces share, that is more than chance."""

FORETELL_ORDER = 16
FORETELL_SAMPLES = 24
"""Samples that are foretold, and samples before them that each of them is computed from."""

MIN_JOINS = 8
"""Fewer joins are the ends of sentences, where sound may begin anew."""


@rule(
    why="vtune takes the sound piece by piece, in inference mode, so that a listener hears the first piece at once.",
    change="Write synthesize as a generator: `yield vtune.Audio(waveform, sample_rate, ending)` for each piece.",
    after=(conditioning_is_plain, adapter_is_built),
)
def speech_is_yielded(subject: Subject) -> None:
    """synthesize yields pieces of vtune.Audio, one after another."""
    subject.require_support("text")
    model = subject.model()
    answer = subject.start(TEXT, None, subject.base, model)
    require(
        isinstance(answer, Iterator),
        f"synthesize returned a {type(answer).__name__}, not an iterator.",
    )
    with torch.inference_mode():
        piece = next(answer, None)
    require(piece is not None, f"synthesize yielded nothing for the text {TEXT!r}.")
    require(isinstance(piece, Audio), f"synthesize yielded a {type(piece).__name__}, not vtune.Audio.")


@rule(
    why="A run or a request that speaks would never end.",
    change="Stop at the end token, at the planned length, or at a limit of tokens that grows with the text.",
    after=(speech_is_yielded,),
    seconds=30,
)
def speech_ends(subject: Subject) -> None:
    """Every utterance ends by itself."""
    for text in (TEXT, LONG_TEXT):
        subject.speak(text)
    subject.speak(TEXT, subject.seed + 1, model=subject.model(awake=1.0))


def _pieces(subject: Subject) -> list[Audio]:
    kept: list[Audio] | None = vars(subject).get("spoken")
    if kept is None:
        kept = vars(subject)["spoken"] = [*subject.speak(TEXT), *subject.speak(LONG_TEXT)]
    return kept


@rule(
    why="Players and files would read other numbers than the engine wrote: 16-bit integers as noise at full scale.",
    change="Write waveform.astype(np.float32), and divide 16-bit samples by 32768.",
    after=(speech_ends,),
)
def sound_is_float32(subject: Subject) -> None:
    """Each piece is a NumPy array of float32."""
    for piece in _pieces(subject):
        kind = type(piece.waveform).__name__
        require(
            isinstance(piece.waveform, np.ndarray),
            f"A piece of sound is a {kind}, not a NumPy array.",
            "Write tensor.float().cpu().numpy().",
        )
        require(piece.waveform.dtype == np.float32, f"A piece of sound is {piece.waveform.dtype}.")


@rule(
    why="A file with another shape is saved with the samples as channels, or mixed up.",
    change="Return one channel: waveform[0], or waveform.mean(axis=0).",
    after=(sound_is_float32,),
)
def sound_is_mono(subject: Subject) -> None:
    """Each piece has one axis, [samples]."""
    for piece in _pieces(subject):
        require(piece.waveform.ndim == 1, f"A piece of sound has the shape {list(piece.waveform.shape)}.")


@rule(
    why="The voice would be saved too high or too low, and too fast or too slow.",
    change="Give vtune.Audio the rate of the vocoder, and EngineInfo.sample_rate the same; resample one if they "
    "differ.",
    after=(speech_ends,),
)
def sound_has_the_engines_rate(subject: Subject) -> None:
    """Each piece has the sample rate that engine_info declares."""
    for piece in _pieces(subject):
        require(
            piece.sample_rate == subject.info.sample_rate,
            f"A piece of sound has {piece.sample_rate} Hz, but engine_info declares {subject.info.sample_rate} Hz.",
        )


@rule(
    why="NaN is saved as silence or as a click, and no score notices it.",
    change="Look where the network divides by zero or takes the logarithm of zero; compute the vocoder in float32.",
    after=(sound_is_mono,),
)
def sound_is_finite(subject: Subject) -> None:
    """No sample is NaN or infinite."""
    for piece in _pieces(subject):
        bad = int((~np.isfinite(piece.waveform)).sum())
        require(not bad, f"{bad} of {len(piece.waveform)} samples of a piece are NaN or infinite.")


@rule(
    why="Louder samples are cut off when the sound is saved: it crackles.",
    change="Divide 16-bit samples by 32768; limit what is a little too loud: np.clip(waveform, -1, 1).",
    after=(sound_is_finite,),
)
def sound_stays_in_range(subject: Subject) -> None:
    """No sample is outside of [-1, 1]."""
    peak = max((float(np.abs(piece.waveform).max()) for piece in _pieces(subject) if len(piece.waveform)), default=0.0)
    require(peak <= 1 + 1e-6, f"The sound reaches {peak:,.3f}; full scale is 1.")


@rule(
    why="A voice that says nothing passes every other check.",
    change="Look whether the network's output reaches the vocoder, with the scale that the vocoder expects.",
    after=(sound_is_finite,),
)
def sound_is_not_silent(subject: Subject) -> None:
    """The sound is neither empty nor silent nor constant."""
    sound = sound_of(_pieces(subject))
    require(len(sound), "All pieces are empty: there is no sample.")
    distance = float(np.abs(sound - sound.mean()).max())
    require(
        distance > SILENT_PEAK,
        f"{len(sound) / subject.info.sample_rate:.2f} s of sound are "
        f"{'silent' if abs(sound[0]) < 1e-4 else 'constant'}: "
        f"every sample is within {distance:.1g} of {sound.mean():.2g}.",
    )


@rule(
    why="vtune counts utterances that were cut off or ran away, and a listener's player waits for the last piece.",
    change="Give the last piece of each utterance, and no other one, its ending: vtune.Audio(waveform, rate, "
    "vtune.Ending.END_TOKEN), or PLANNED for a length that was known before, LIMIT for one that was cut off.",
    after=(speech_ends,),
)
def last_piece_has_the_ending(subject: Subject) -> None:
    """The last piece of an utterance, and only the last, says how it ended."""
    pieces = subject.speak(TEXT)
    strange = [piece.ending for piece in pieces if piece.ending is not None and not isinstance(piece.ending, Ending)]
    require(not strange, f"A piece has the ending {strange and strange[0]!r}, which is no vtune.Ending.")
    require(pieces[-1].ending is not None, f"The last of {len(pieces)} pieces has no ending.")
    early = sum(piece.ending is not None for piece in pieces[:-1])
    require(not early, f"{early} of the {len(pieces) - 1} pieces before the last one have an ending, for one sentence.")


@rule(
    why="vtune joins, encodes and saves the pieces after it has received them: the listener would hear the last piece "
    "again and again.",
    change="Yield an array that nobody writes into afterwards: buffer[:count].copy().",
    after=(speech_ends,),
)
def pieces_stay_as_they_were(subject: Subject) -> None:
    """A piece of sound does not change when the next pieces are made."""
    model = subject.model()
    pieces = subject.start(LONG_TEXT, 5, subject.base, model)
    received: list[tuple[Any, Any]] = []
    while (piece := next_piece(model, pieces)) is not None:
        received.append((piece.waveform, np.array(piece.waveform)))
    changed = sum(not np.array_equal(now, then, equal_nan=then.dtype.kind == "f") for now, then in received)
    require(not changed, f"{changed} of {len(received)} pieces changed after they had been yielded.")


@rule(
    why="A listener hears clicks and pauses, or syllables twice, at the edges of the pieces.",
    change="Cut the sound at the same sample where the next piece goes on: yield no sound twice, leave no sample out, "
    "and add no silence.",
    after=(sound_is_mono, pieces_stay_as_they_were),
)
def pieces_join_without_gap(subject: Subject) -> None:
    """The joined pieces have no gap and no overlap: sound that can be foretold goes on as foretold."""
    waveforms = [piece.waveform for piece in subject.speak(LONG_TEXT) if len(piece.waveform)]
    if len(waveforms) < 3:
        raise NotApplicable(f"a text of three sentences came in {len(waveforms)} pieces")
    edge = max(8, round(EDGE_SECONDS * subject.info.sample_rate))
    pairs = [pair for pair in pairwise(waveforms) if min(map(len, pair)) > 4 * edge]
    repeated = sum(_shares_edge(first, second, edge) for first, second in pairs)
    require(
        repeated * 2 <= len(pairs) or not pairs,
        f"{repeated} of {len(pairs)} pieces begin with the sound that the piece before them ends with.",
    )
    loud = [
        waveform for waveform in waveforms if np.abs(waveform).max() > 10 * SILENT_PEAK and len(waveform) > 4 * edge
    ]
    gaps = sum(not np.any(waveform[-edge:]) or not np.any(waveform[:edge]) for waveform in loud)
    inside = sum(not np.any(waveform[len(waveform) // 2 : len(waveform) // 2 + edge]) for waveform in loud)
    require(
        gaps * 2 <= len(loud) or inside * 2 > len(loud),
        f"{gaps} of {len(loud)} pieces begin or end with {edge} samples or more of silence, that is "
        f"{edge / subject.info.sample_rate * 1000:.0f} ms.",
    )
    inside_pieces, at_joins = _foretold(waveforms)
    require(
        len(at_joins) < MIN_JOINS or np.median(inside_pieces) < 0.95 or np.median(at_joins) > 0.7,
        f"At {sum(value <= 0.7 for value in at_joins)} of {len(at_joins)} places where two pieces join, the sound does "
        "not go on as it did before, as it does inside a piece: samples are missing there, or the sound begins anew.",
    )


def _foretold(waveforms: Sequence[np.ndarray]) -> tuple[list[float], list[float]]:
    """Foretell samples from those before them, inside the pieces and across their joins.

    :returns: how alike the foretold and the real samples are, from -1 to 1, inside each piece and at its join; loudness
        does not count. The prediction is linear, from ``FORETELL_ORDER`` samples, fitted to those before the place.
    """
    need = 4 * FORETELL_ORDER
    inside_pieces, at_joins = [], []
    for first, second in pairwise(waveforms):
        if len(first) < need + FORETELL_SAMPLES or len(second) < FORETELL_SAMPLES:
            continue
        middle = len(first) - FORETELL_SAMPLES
        inside = _likeness_to_foretold(first[:middle][-need:], first[middle:])
        across = _likeness_to_foretold(first[-need:], second[:FORETELL_SAMPLES])
        if inside is not None and across is not None:
            inside_pieces.append(inside)
            at_joins.append(across)
    return inside_pieces, at_joins


def _likeness_to_foretold(before: np.ndarray, after: np.ndarray) -> float | None:
    """Return the correlation of samples with those that linear prediction foretells; None for silence."""
    if min(np.abs(before).max(), np.abs(after).max()) < 10 * SILENT_PEAK:
        return None
    past = before.astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(past, FORETELL_ORDER)[:-1]
    weights = np.linalg.lstsq(windows, past[FORETELL_ORDER:], rcond=1e-6)[0]
    values = list(past[-FORETELL_ORDER:])
    for _ in after:
        values.append(float(np.clip(np.dot(weights, values[-FORETELL_ORDER:]), -10, 10)))
    foretold = np.asarray(values[FORETELL_ORDER:])
    norms = np.linalg.norm(foretold) * np.linalg.norm(after)
    return float(np.dot(foretold, after) / norms) if norms else None


def _shares_edge(first: np.ndarray, second: np.ndarray, edge: int) -> bool:
    """Tell whether some end of the first sound, of at least ``edge`` samples, is the beginning of the second."""
    start = second[:edge]
    if np.ptp(start) < SILENT_PEAK:
        return False
    for offset in range(max(0, len(first) - 4000), len(first) - edge + 1):
        if np.array_equal(first[offset : offset + edge], start):
            shared = len(first) - offset
            if shared <= len(second) and np.array_equal(first[offset:], second[:shared]):
                return True
    return False


@rule(
    why="Karaoke and subtitles would show words before they are spoken, or after.",
    change="Give the times in seconds from the start of the piece, in the order of the words.",
    after=(speech_ends,),
)
def word_times_are_ordered(subject: Subject) -> None:
    """The times of words follow each other and lie inside their sound."""
    pieces = _pieces(subject)
    if not any(piece.words for piece in pieces):
        raise NotApplicable("the engine gives no word times")
    total = sum(len(piece.waveform) for piece in pieces) / subject.info.sample_rate
    for piece in pieces:
        seconds = len(piece.waveform) / piece.sample_rate
        start = 0.0
        for time in piece.words:
            require(isinstance(time, WordTime), f"A word time is a {type(time).__name__}, not a vtune.WordTime.")
            require(
                start <= time.start <= time.end and time.start <= seconds + 0.05 and time.end <= total + 0.05,
                f"The word {time.word!r} is said to be spoken from {time.start:.3f} to {time.end:.3f} s, in a piece of "
                f"{seconds:.3f} s after a word that begins at {start:.3f} s.",
            )
            start = time.start


@rule(
    why="`vtune convert` would save noise, or never end.",
    change="Yield pieces of vtune.Audio as synthesize does, seeded by `seed`; the last one has its ending.",
    after=(conditioning_is_plain, adapter_is_built),
)
def conversion_is_sound(subject: Subject) -> None:
    """convert yields the same kind of sound as synthesize, and repeats it for the same seed."""
    if not subject.implements("convert"):
        raise NotApplicable("the engine converts no recordings")
    model = subject.model().eval()
    clip = subject.clip(1.0, 3)
    sounds = []
    for global_seed in (1, 2):
        seed_everything(global_seed)
        pieces = subject.engine.convert(
            subject.base, model, Audio(clip.waveform, clip.sample_rate), subject.conditioning, subject.seed
        )
        sounds.append(sound_of(subject.listen(model, pieces, "a recording")))
    require(len(sounds[0]) and np.ptp(sounds[0]) > SILENT_PEAK, "convert made no sound, or silence.")
    require(same_sound(sounds[0], sounds[1]), "convert made another sound for the same recording and seed.")
