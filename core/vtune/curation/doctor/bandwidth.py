"""How high the sound of a recording really reaches: a file of 24 kHz may hold a telephone call.

From counts of the level of each band of 125 Hz: where speech ends, loud moments are hardly louder than quiet ones, and
the level falls off a cliff. Both must be so, for noise hides the soft heights of speech too, and makes no cliff.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vtune.curation.doctor.spectra import QUIETEST

LOUD, QUIET = 97, 20
"""Percentiles of a band's level over a recording."""

ALIVE = 10.0
"""dB between them that show speech: steady noise swings by 5 to 8, clean speech by 18 and more."""

CLIFF = 12.0
"""dB that the level falls by where a band ends; speech itself falls by less than 10 in as many Hz above 4 kHz."""

SLOPE = 2_500.0
"""Hz below the end of what is alive, in which the cliff is looked for: gentle filters fall off over as much."""

STEP = 4
"""Bands to either side of the cliff, 500 Hz: it is where the level falls most between them."""

SHOULDER = 1_500.0, 250.0
"""Hz before the cliff, from whose median the edge is measured: not from the maximum, for speech has hills and dips."""

EDGE = 6.0
"""dB under the shoulder that count as the edge, as for filters."""

BEYOND = 250.0, 1_500.0
"""Hz above the end, where it must be quiet."""


def bandwidth(centres: NDArray[np.float64], histogram: NDArray[np.int64], rate: int) -> float:
    """Return the Hz that the sound reaches to; half the rate where nothing speaks against it.

    :param centres: Hz of the bands; ``histogram`` counts their levels, one step a dB.
    """
    loud, quiet = (_percentile(histogram, share) for share in (LOUD, QUIET))
    alive = np.flatnonzero((loud - quiet >= ALIVE) & (loud > QUIETEST))
    full = rate / 2
    if not len(alive):
        return full
    last = float(centres[alive[-1]])
    beyond = (centres > last + BEYOND[0]) & (centres <= last + BEYOND[1])
    if not beyond.any():
        return full
    means = np.convolve(loud, np.ones(STEP) / STEP, "valid")
    falls = means[:-STEP] - means[STEP:]
    edges = (centres[STEP - 1 : len(centres) - STEP] + centres[STEP : len(centres) - STEP + 1]) / 2
    near = (edges >= last - SLOPE) & (edges <= last + BEYOND[0])
    if not near.any():
        return full
    place = int(np.flatnonzero(near)[np.argmax(falls[near])])
    shoulder = (centres >= edges[place] - SHOULDER[0]) & (centres <= edges[place] - SHOULDER[1])
    top = float(np.median(loud[shoulder])) if shoulder.any() else float(loud[: place + 1].max())
    if top - float(loud[beyond].mean()) < CLIFF:
        return full
    passed = (centres <= edges[place]) & (loud >= top - EDGE)
    return float(centres[passed].max()) if passed.any() else float(edges[place])


def _percentile(histogram: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    summed = np.cumsum(histogram, axis=1)
    wanted = share / 100 * np.maximum(summed[:, -1:], 1)
    return np.asarray((summed < wanted).sum(axis=1) + QUIETEST, dtype=np.float64)
