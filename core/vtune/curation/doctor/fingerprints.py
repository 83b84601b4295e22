"""The same sound in other clothes: fingerprints that survive MP3, another rate, gain and a shift, and an index of them.

After J. Haitsma and T. Kalker, "A highly robust audio fingerprinting system" (ISMIR 2002): a bit says whether the
difference between two bands grew or shrank. Rows of 31 bits, one each 40 ms; those of two unlike recordings differ in
40 to 50 % of the bits, those of one recording in other clothes in less than 20 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtune.audio.segmentation.segments import FRAME
from vtune.curation.doctor.spectra import GROUP, MARKS

Fingerprint = NDArray[np.uint32]
"""One row each 40 ms; the highest bit says that there is sound worth comparing."""

ROW = GROUP * FRAME
"""Seconds."""

SMOOTHED = 8
"""Rows of bands under one row of bits: 0.32 s, so that a shift between two grids of 40 ms changes few bits."""

LAG = 4
"""Rows between the two sides of a difference in time."""

AUDIBLE = 40.0
"""dB under the loud rows; what is softer is noise that every coder changes."""

LEAST_ROWS = 12
"""Rows that a comparison needs: 0.5 s. Below, two unlike sounds may agree by chance."""

COVERED = 0.8
"""Share of the shorter sound that must lie inside the longer one."""

UNLIKE = 0.25
"""Share of bits that may differ: unlike clips of one speaker came no nearer than 0.33, copies stayed under 0.21."""

CROWD = 64
"""Places that a key may have; what is more frequent is a jingle or a tone, and tells nothing."""

_ACTIVE = np.uint32(1 << 31)
_BITS = 2 * MARKS - 3


@dataclass(frozen=True, slots=True)
class Twins:
    """Two sounds that are nearly the same: places in the sequence, and the share of bits that agree."""

    first: int
    second: int
    alike: float


def fingerprint(marks: NDArray[np.float32]) -> Fingerprint:
    """Turn powers of bands ``[groups, MARKS]`` into rows of bits; none for less than half a second."""
    if len(marks) < SMOOTHED + LAG:
        return np.zeros(0, dtype=np.uint32)
    logs = np.log(marks + np.float32(max(1e-9 * float(marks.max()), 1e-30)))
    sums = np.cumsum(np.concatenate([np.zeros((1, MARKS), np.float32), logs]), axis=0, dtype=np.float64)
    smooth = (sums[SMOOTHED:] - sums[:-SMOOTHED]).astype(np.float32)
    grown = smooth[LAG:] - smooth[:-LAG]
    # Differences of neighbours first: they are the ones that the index looks up.
    bits = np.concatenate([grown[:, 1:] > grown[:, :-1], grown[:, 2:] > grown[:, :-2]], axis=1)
    rows = np.packbits(bits, axis=1, bitorder="little").copy().view("<u4")[:, 0]
    loud = smooth.mean(axis=1)[LAG:] / SMOOTHED
    active = loud > np.percentile(loud, 95) - AUDIBLE * math.log(10) / 10
    return np.asarray(np.where(active, rows | _ACTIVE, rows), dtype=np.uint32)


def twins(prints: Sequence[Fingerprint]) -> list[Twins]:
    """Find every pair that is nearly the same, or of which one holds the other.

    Time and memory grow with the rows, not with their square: only what shares two keys is compared.
    """
    best: dict[tuple[int, int], float] = {}
    for first, second, shift in _candidates(prints):
        differ = _differing(prints[first], prints[second], shift)
        if differ is not None and differ <= UNLIKE:
            pair = (first, second)
            best[pair] = min(differ, best.get(pair, 1.0))
    return [Twins(first, second, 1 - differ) for (first, second), differ in sorted(best.items())]


def _candidates(prints: Sequence[Fingerprint]) -> Iterator[tuple[int, int, int]]:
    """Yield pairs with the shift that brings the second onto the first, where two keys agree on it."""
    lengths = [len(rows) for rows in prints]
    rows = np.concatenate([np.zeros(0, np.uint32), *prints])
    owners = np.repeat(np.arange(len(prints)), lengths)
    places = np.concatenate([np.zeros(0, np.int64), *(np.arange(length) for length in lengths)])
    heard = (rows & _ACTIVE) != 0
    rows, owners, places = rows[heard], owners[heard], places[heard]
    # As many bits as keep chance meetings rare.
    width = min(_BITS, max(MARKS - 1, math.ceil(math.log2(8 * len(rows) + 1))))
    keys = rows & np.uint32((1 << width) - 1)
    order = np.argsort(keys, kind="stable")
    keys, owners, places = keys[order], owners[order], places[order]
    ends = np.flatnonzero(np.diff(keys, append=keys[-1:] + 1)) + 1 if len(keys) else np.zeros(0, np.int64)
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    votes: dict[tuple[int, int, int], int] = {}
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if not 1 < end - start <= CROWD:
            continue
        for left in range(start, end):
            for right in range(left + 1, end):
                if owners[left] != owners[right]:
                    vote = (int(owners[left]), int(owners[right]), int(places[right] - places[left]))
                    votes[vote] = votes.get(vote, 0) + 1
    for (first, second, shift), count in votes.items():
        near = votes.get((first, second, shift - 1), 0) + votes.get((first, second, shift + 1), 0)
        if count + near > 1:
            yield first, second, shift


def _differing(first: Fingerprint, second: Fingerprint, shift: int) -> float | None:
    """Share of bits that differ where both lie over each other; None where that is too little to tell."""
    begin, end = max(0, -shift), min(len(first), len(second) - shift)
    if end - begin < LEAST_ROWS:
        return None
    one, other = first[begin:end], second[begin + shift : end + shift]
    heard = (one & other & _ACTIVE) != 0
    needed = COVERED * min(int(np.count_nonzero(rows & _ACTIVE)) for rows in (first, second))
    count = int(heard.sum())
    if count < max(LEAST_ROWS, needed):
        return None
    differing = np.unpackbits(((one ^ other)[heard] & ~_ACTIVE).view(np.uint8))
    return float(differing.sum()) / (count * _BITS)
