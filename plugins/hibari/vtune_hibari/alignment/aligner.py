"""Align a recording with the symbols of its text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from vtune_hibari.alignment.readings import PAUSES
from vtune_hibari.alignment.search import DurationPrior, best_durations
from vtune_hibari.alignment.spectra import LOWEST, log_mels, normalise
from vtune_hibari.network.settings import STEP_FRAMES

if TYPE_CHECKING:
    from vtune_hibari.alignment.distillation import HearsSymbols
    from vtune_hibari.network.voice import HibariNetwork

PRIOR_SHARE = 0.7
"""Share of the log frequency of each symbol that is subtracted from its score, as a search compares sounds."""

_UNSEEN = 5.0  # added to each symbol's count


@dataclass(frozen=True, slots=True)
class Alignment:
    """When each symbol of a text is spoken.

    :param durations: steps of 25 ms of each symbol, int64 ``[L]``, each at least 1.
    :param confidence: mean log probability of the spoken symbol, below 0: -2 is usual, far less is another text.
    """

    durations: NDArray[np.int64]
    confidence: float


class Aligner:
    """The base's classifier, and its own durations as what is expected."""

    def __init__(self, network: HibariNetwork, hears: HearsSymbols) -> None:
        self._network = network
        self._classifier = hears.classifier
        frequencies = (hears.counts + _UNSEEN) / (hears.counts + _UNSEEN).sum()
        self._log_frequencies = frequencies.log()

    @torch.no_grad()
    def align(self, samples: torch.Tensor, ids: torch.Tensor) -> Alignment:
        """Align a recording.

        :param samples: float32 ``[T * 600]``, with at least as many steps as symbols.
        :param ids: int64 ``[L]``, with symbol 0 at both ends.
        """
        log_probabilities = self._hear(samples)  # [T x symbols]
        scores = (log_probabilities - PRIOR_SHARE * self._log_frequencies)[:, ids]
        mask = torch.ones_like(ids, dtype=torch.bool)[None]
        reading = self._network.read(ids[None], mask)
        expected = (self._network.predict_log_durations(reading, mask)[0].double().exp() - 1).clamp(min=1)
        pauses = np.array([id_ in PAUSES for id_ in ids.tolist()])
        durations = best_durations(scores.double().numpy(), DurationPrior(expected.numpy(), pauses))
        spoken = ids.repeat_interleave(torch.from_numpy(durations))
        return Alignment(durations, float(log_probabilities.gather(1, spoken[:, None]).mean()))

    def _hear(self, samples: torch.Tensor) -> torch.Tensor:
        mels = normalise(log_mels(samples))
        mels = functional.pad(mels, (0, mels.shape[1] % STEP_FRAMES), value=LOWEST)
        log_probabilities: torch.Tensor = self._classifier(mels[None])[0].float().log_softmax(1)
        return log_probabilities
