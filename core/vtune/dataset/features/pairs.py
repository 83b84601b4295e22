"""Rows beside another clip of the same voice: a function of seed and place, not of who asks, or when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vtune.dataset.features.rows import FeatureRows
from vtune.types import Features

PAIRED = "paired."
LOT = "paired.lot"


class Partners:
    """Which training rows may stand beside a row: those of its voice, without the clip itself and its changed copies.

    :param voices: of each training row; ``clips`` likewise, never falling: copies of a clip follow each other.
    """

    def __init__(self, voices: Sequence[int], clips: Sequence[int], seed: int) -> None:
        self._seed = seed
        kinds, clip = np.asarray(voices), np.asarray(clips)
        order = np.argsort(kinds, kind="stable")  # rows by voice, in their order within it
        self._rows, self._clips = order, clip[order]
        self._starts = {int(kind): int(np.searchsorted(kinds[order], kind)) for kind in np.unique(kinds)}
        self._ends = {int(kind): int(np.searchsorted(kinds[order], kind, "right")) for kind in np.unique(kinds)}

    def draw(self, voice: int, clip: int, place: int) -> tuple[int | None, float]:
        """Draw a training row and a number of [0, 1) for one place of the training; None where there is no other clip.

        :param place: which draw this is; the same place draws the same.
        """
        random = np.random.default_rng([self._seed, place])
        lot = float(random.random())
        start, end = self._starts.get(voice, 0), self._ends.get(voice, 0)
        first, behind = (int(np.searchsorted(self._clips[start:end], clip, side)) for side in ("left", "right"))
        others = end - start - (behind - first)
        if not others:
            return None, lot
        drawn = int(random.integers(others))
        # The clip's own rows stand together, so one step passes them.
        return int(self._rows[start + (drawn if drawn < first else drawn + behind - first)]), lot


class PairedRows:
    """Encoded clips as a data set, each with some features of its partner.

    A row is asked for by its number, or by number and place in the training.
    """

    def __init__(
        self,
        rows: FeatureRows,
        voices: Sequence[int],
        clips: Sequence[int],
        partners: Partners,
        among: FeatureRows,
        names: frozenset[str],
    ) -> None:
        self._rows = rows
        self._voices = voices
        self._clips = clips
        self._partners = partners
        self._among = among
        self._names = sorted(names)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, at: int | tuple[int, int]) -> Features:
        row, place = at if isinstance(at, tuple) else (at, at)
        features = self._rows[row]
        if not self._names:
            return features
        partner, lot = self._partners.draw(self._voices[row], self._clips[row], place)
        if partner is None:
            return features
        other = self._among[partner]
        beside = {PAIRED + name: other[name] for name in self._names}
        return {**features, **beside, LOT: np.asarray(lot, dtype=np.float32)}
