"""Measure the highest frequency that a recording really contains: a file of 24 kHz may hold a telephone call.

The measure uses the distribution of levels in each band of 125 Hz. Above the end of speech, loud moments are hardly
louder than quiet ones, and the level drops steeply (the cliff). Both must hold, because noise hides the high
frequencies of speech as well, but makes no cliff.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vtune.curation.doctor.spectra import MIN_HISTOGRAM_DB

LOUD_PERCENTILE, QUIET_PERCENTILE = 97, 20
"""Percentiles of the level of a band over the recording."""

MIN_SPEECH_SWING_DB = 10.0
"""dB between the two percentiles in a band with speech: steady noise has 5 to 8, clean speech has 18 and more."""

MIN_CLIFF_DB = 12.0
"""dB by which the level drops at the cliff; above 4 kHz, speech itself drops by less than 10 dB over as many Hz."""

CLIFF_SEARCH_HZ = 2_500.0
"""Hz below the highest band with speech in which the cliff is searched: gentle filters drop over this range."""

CLIFF_BANDS = 4
"""Bands on each side of the cliff (500 Hz): the cliff is where the level drops most between the two sides."""

SHOULDER_HZ = 1_500.0, 250.0
"""Range of Hz below the cliff. Its median is the reference level, because speech has peaks and dips."""

EDGE_DROP_DB = 6.0
"""dB below the reference level at which the sound ends, as for filters."""

BEYOND_HZ = 250.0, 1_500.0
"""Range of Hz above the end, in which it must be quiet."""


def bandwidth(centres: NDArray[np.float64], histogram: NDArray[np.int64], rate: int) -> float:
    """Return the highest frequency of the sound in Hz; half the sample rate if there is no evidence for less.

    :param centres: centre of each band in Hz, ``float64 [bands]``.
    :param histogram: counts of the levels of each band in steps of 1 dB, ``int64 [bands, levels]``.
    """
    loud, quiet = (_percentile(histogram, share) for share in (LOUD_PERCENTILE, QUIET_PERCENTILE))
    speech_bands = np.flatnonzero((loud - quiet >= MIN_SPEECH_SWING_DB) & (loud > MIN_HISTOGRAM_DB))
    full = rate / 2
    if not len(speech_bands):
        return full
    last = float(centres[speech_bands[-1]])
    beyond = (centres > last + BEYOND_HZ[0]) & (centres <= last + BEYOND_HZ[1])
    if not beyond.any():
        return full
    means = np.convolve(loud, np.ones(CLIFF_BANDS) / CLIFF_BANDS, "valid")
    falls = means[:-CLIFF_BANDS] - means[CLIFF_BANDS:]
    edges = (
        centres[CLIFF_BANDS - 1 : len(centres) - CLIFF_BANDS] + centres[CLIFF_BANDS : len(centres) - CLIFF_BANDS + 1]
    ) / 2
    near = (edges >= last - CLIFF_SEARCH_HZ) & (edges <= last + BEYOND_HZ[0])
    if not near.any():
        return full
    cliff = int(np.flatnonzero(near)[np.argmax(falls[near])])
    shoulder = (centres >= edges[cliff] - SHOULDER_HZ[0]) & (centres <= edges[cliff] - SHOULDER_HZ[1])
    top = float(np.median(loud[shoulder])) if shoulder.any() else float(loud[: cliff + 1].max())
    if top - float(loud[beyond].mean()) < MIN_CLIFF_DB:
        return full
    passed = (centres <= edges[cliff]) & (loud >= top - EDGE_DROP_DB)
    return float(centres[passed].max()) if passed.any() else float(edges[cliff])


def _percentile(histogram: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    cumulative = np.cumsum(histogram, axis=1)
    target = share / 100 * np.maximum(cumulative[:, -1:], 1)
    return np.asarray((cumulative < target).sum(axis=1) + MIN_HISTOGRAM_DB, dtype=np.float64)
