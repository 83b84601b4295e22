"""The input of networks that estimate a mean opinion score (MOS)."""

from __future__ import annotations

import numpy as np
import soxr

from vtune.contract.metrics import Utterance
from vtune.types import Waveform

MOS_SAMPLE_RATE = 16_000
"""Hz that DistillMOS and DNSMOS take."""

MIN_UTTERANCE_SECONDS = 0.5
"""Length from which an utterance is speech enough for a score."""


def mos_input(utterance: Utterance) -> Waveform | None:
    """Resample an utterance to 16 kHz, float32 ``[samples]``; None where it is too short or silent."""
    if utterance.seconds < MIN_UTTERANCE_SECONDS or not np.any(utterance.waveform):
        return None
    return np.asarray(soxr.resample(utterance.waveform, utterance.sample_rate, MOS_SAMPLE_RATE), dtype=np.float32)
