"""Find copies of a sound by fingerprints that survive MP3, another sample rate, another gain and a shift.

After J. Haitsma and T. Kalker, "A highly robust audio fingerprinting system" (ISMIR 2002): each bit says whether the
difference between two bands grew or shrank. A row has 31 bits and covers 40 ms. Fingerprints of different recordings
differ in 40 to 50 % of the bits, those of two copies of one recording in less than 20 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation.segments import FRAME_SECONDS
from vtune.curation.doctor.spectra import FINGERPRINT_BANDS, FRAMES_PER_ROW

Fingerprint = NDArray[np.uint32]
"""One row for each 40 ms, ``uint32 [rows]``; the highest bit is set if the row is loud enough to compare."""

ROW_SECONDS = FRAMES_PER_ROW * FRAME_SECONDS
"""Seconds per row."""

SMOOTHED_ROWS = 8
"""Rows of bands that are averaged for one row of bits (0.32 s), so that a shift of the grid changes few bits."""

LAG_ROWS = 4
"""Rows between the two moments whose difference is taken."""

AUDIBLE_RANGE_DB = 40.0
"""dB below the loud rows; softer rows are noise, which every coder changes."""

MIN_ROWS = 12
"""Smallest number of rows for a comparison (0.5 s). With fewer, two different sounds may agree by chance."""

MIN_COVERED_SHARE = 0.8
"""Share of the shorter sound that must overlap with the longer sound."""

MAX_DIFFERING_SHARE = 0.25
"""Share of bits that may differ: different clips of one speaker had at least 0.33, copies at most 0.21."""

MAX_KEY_PLACES = 64
"""Largest number of occurrences of a key in the index; a more frequent key belongs to a jingle or a tone, and proves
nothing."""

_ACTIVE_BIT = np.uint32(1 << 31)
_BITS_PER_ROW = 2 * FINGERPRINT_BANDS - 3


@dataclass(frozen=True, slots=True)
class SimilarPair:
    """Two sounds that are nearly the same.

    :param first: index of the first sound; ``second``, of the second one.
    :param similarity: share of equal bits, in [0, 1].
    """

    first: int
    second: int
    similarity: float


def make_fingerprint(marks: NDArray[np.float32]) -> Fingerprint:
    """Return the fingerprint of a sound; it is empty for less than half a second.

    :param marks: power of each fingerprint band, ``float32 [rows, 17]``.
    """
    if len(marks) < SMOOTHED_ROWS + LAG_ROWS:
        return np.zeros(0, dtype=np.uint32)
    logs = np.log(marks + np.float32(max(1e-9 * float(marks.max()), 1e-30)))
    sums = np.cumsum(np.concatenate([np.zeros((1, FINGERPRINT_BANDS), np.float32), logs]), axis=0, dtype=np.float64)
    smooth = (sums[SMOOTHED_ROWS:] - sums[:-SMOOTHED_ROWS]).astype(np.float32)
    grown = smooth[LAG_ROWS:] - smooth[:-LAG_ROWS]
    # Differences of neighbouring bands come first, because the index uses them as keys.
    bits = np.concatenate([grown[:, 1:] > grown[:, :-1], grown[:, 2:] > grown[:, :-2]], axis=1)
    rows = np.packbits(bits, axis=1, bitorder="little").copy().view("<u4")[:, 0]
    loud = smooth.mean(axis=1)[LAG_ROWS:] / SMOOTHED_ROWS
    active = loud > np.percentile(loud, 95) - AUDIBLE_RANGE_DB * math.log(10) / 10
    return np.asarray(np.where(active, rows | _ACTIVE_BIT, rows), dtype=np.uint32)


def similar_pairs(prints: Sequence[Fingerprint]) -> list[SimilarPair]:
    """Return every pair of sounds that are nearly the same, or of which one contains the other.

    Time and memory grow with the rows, not with their square: only sounds that share two keys are compared.
    """
    best: dict[tuple[int, int], float] = {}
    for first, second, shift in _candidates(prints):
        differ = _differing(prints[first], prints[second], shift)
        if differ is not None and differ <= MAX_DIFFERING_SHARE:
            pair = (first, second)
            best[pair] = min(differ, best.get(pair, 1.0))
    return [SimilarPair(first, second, 1 - differ) for (first, second), differ in sorted(best.items())]


def _candidates(prints: Sequence[Fingerprint]) -> Iterator[tuple[int, int, int]]:
    """Yield ``(first, second, shift in rows)`` for pairs in which at least two keys agree on the shift."""
    lengths = [len(rows) for rows in prints]
    rows = np.concatenate([np.zeros(0, np.uint32), *prints])
    sound_indices = np.repeat(np.arange(len(prints)), lengths)
    positions = np.concatenate([np.zeros(0, np.int64), *(np.arange(length) for length in lengths)])
    audible = (rows & _ACTIVE_BIT) != 0
    rows, sound_indices, positions = rows[audible], sound_indices[audible], positions[audible]
    # Enough bits to make chance matches rare.
    width = min(_BITS_PER_ROW, max(FINGERPRINT_BANDS - 1, math.ceil(math.log2(8 * len(rows) + 1))))
    keys = rows & np.uint32((1 << width) - 1)
    order = np.argsort(keys, kind="stable")
    keys, sound_indices, positions = keys[order], sound_indices[order], positions[order]
    ends = np.flatnonzero(np.diff(keys, append=keys[-1:] + 1)) + 1 if len(keys) else np.zeros(0, np.int64)
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    votes: dict[tuple[int, int, int], int] = {}
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if not 1 < end - start <= MAX_KEY_PLACES:
            continue
        for left in range(start, end):
            for right in range(left + 1, end):
                if sound_indices[left] != sound_indices[right]:
                    vote = (
                        int(sound_indices[left]),
                        int(sound_indices[right]),
                        int(positions[right] - positions[left]),
                    )
                    votes[vote] = votes.get(vote, 0) + 1
    for (first, second, shift), count in votes.items():
        near = votes.get((first, second, shift - 1), 0) + votes.get((first, second, shift + 1), 0)
        if count + near > 1:
            yield first, second, shift


def _differing(first: Fingerprint, second: Fingerprint, shift: int) -> float | None:
    """Return the share of differing bits in the overlap; None if the overlap is too short."""
    begin, end = max(0, -shift), min(len(first), len(second) - shift)
    if end - begin < MIN_ROWS:
        return None
    first_rows, second_rows = first[begin:end], second[begin + shift : end + shift]
    audible = (first_rows & second_rows & _ACTIVE_BIT) != 0
    needed = MIN_COVERED_SHARE * min(int(np.count_nonzero(rows & _ACTIVE_BIT)) for rows in (first, second))
    count = int(audible.sum())
    if count < max(MIN_ROWS, needed):
        return None
    differing = np.unpackbits(((first_rows ^ second_rows)[audible] & ~_ACTIVE_BIT).view(np.uint8))
    return float(differing.sum()) / (count * _BITS_PER_ROW)
