"""Give each row its lot and another clip of the same voice; both depend only on seed and position in the training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vtune.dataset.features.rows import FeatureRows
from vtune.types import Features

PAIRED_PREFIX = "paired."
"""Prefix of the partner's features in a row."""

LOT = "lot"
"""Key of a row's random number in [0, 1), a float64 scalar that an engine may use for its own choices."""


class PartnerSampler:
    """Draws partners for a row: training rows of the same voice, without the clip itself and its augmented copies.

    :param voices: voice number of each training row.
    :param clips: clip number of each training row, in ascending order: the copies of a clip follow each other.
    """

    def __init__(self, voices: Sequence[int], clips: Sequence[int], seed: int) -> None:
        self._seed = seed
        voice_of_row, clip_of_row = np.asarray(voices), np.asarray(clips)
        order = np.argsort(voice_of_row, kind="stable")  # rows by voice; rows of one voice keep their order
        self._rows, self._clips = order, clip_of_row[order]
        sorted_voices, present = voice_of_row[order], np.unique(voice_of_row).tolist()
        self._starts = {voice: int(np.searchsorted(sorted_voices, voice)) for voice in present}
        self._ends = {voice: int(np.searchsorted(sorted_voices, voice, "right")) for voice in present}

    def draw(self, voice: int, clip: int, draw_index: int) -> tuple[int | None, float]:
        """Draw a partner row and a random number in [0, 1); the row is None if the voice has no other clip.

        :param draw_index: position in the training; the same position always draws the same row and number.
        """
        generator = np.random.default_rng([self._seed, draw_index])
        lot = float(generator.random())
        start, end = self._starts.get(voice, 0), self._ends.get(voice, 0)
        first, after = (int(np.searchsorted(self._clips[start:end], clip, side)) for side in ("left", "right"))
        others = end - start - (after - first)
        if not others:
            return None, lot
        drawn = int(generator.integers(others))
        # The rows of the clip itself follow each other, so one offset skips them all.
        return int(self._rows[start + (drawn if drawn < first else drawn + after - first)]), lot


class PairedRows:
    """Encoded clips as a data set; each row also holds a random number, its lot, and some features of a partner clip.

    A row is indexed by its number, or by ``(number, position in the training)``. So the lot is a new number in each
    epoch of a training, the same one after a resume, and always the same one in validation.

    :param rows: the rows of this split; ``voices`` and ``clips`` hold the numbers of their voices and clips.
    :param training_rows: the rows that ``partners`` draws from.
    :param names: the features that are copied from the partner.
    """

    def __init__(
        self,
        rows: FeatureRows,
        voices: Sequence[int],
        clips: Sequence[int],
        partners: PartnerSampler,
        training_rows: FeatureRows,
        names: frozenset[str],
    ) -> None:
        self._rows = rows
        self._voices = voices
        self._clips = clips
        self._partners = partners
        self._training_rows = training_rows
        self._names = sorted(names)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: int | tuple[int, int]) -> Features:
        row, draw_index = key if isinstance(key, tuple) else (key, key)
        features = self._rows[row]
        partner, lot = self._partners.draw(self._voices[row], self._clips[row], draw_index)
        features[LOT] = np.asarray(lot, dtype=np.float64)
        if self._names and partner is not None:
            partner_features = self._training_rows[partner]
            features |= {PAIRED_PREFIX + name: partner_features[name] for name in self._names}
        return features
