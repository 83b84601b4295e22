"""Speak sentences: one, or several at once, each of which sounds as it would alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from vtune.toolkit.masks import length_mask
from vtune_hibari.network.prosody import whole_steps
from vtune_hibari.network.settings import BINS, HOP_SAMPLES
from vtune_hibari.network.sound import complex_noise, synthesise
from vtune_hibari.network.voice import frame_counts

if TYPE_CHECKING:
    from vtune_hibari.network.voice import HibariNetwork


@dataclass(frozen=True, slots=True)
class SpokenText:
    """One sentence to be spoken.

    :param ids: its symbols, int64 ``[L]``, on the network's device.
    :param seed: of the noise in its sound.
    :param durations: steps of each symbol, int64 ``[L]``, in place of predicted ones.
    """

    ids: torch.Tensor
    seed: int
    durations: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class SpokenStyle:
    """How sentences are spoken: predicted durations are divided by the speed, and the noise is multiplied."""

    speed: float = 1.0
    noise_scale: float = 1.0


class Spoken(NamedTuple):
    """One spoken sentence."""

    waveform: torch.Tensor
    """Samples, float32 ``[F * 300]``; loud ones may lie outside -1 to 1."""

    durations: torch.Tensor
    """Steps of each symbol, int64 ``[L]``; F is twice their sum."""


def speak_texts(network: HibariNetwork, texts: Sequence[SpokenText], style: SpokenStyle) -> list[Spoken]:
    """Speak several sentences in one batch."""
    device = texts[0].ids.device
    lengths = torch.tensor([len(text.ids) for text in texts], device=device)
    ids = pad_sequence([text.ids for text in texts], batch_first=True)  # [B x L]
    mask = length_mask(lengths, ids.shape[1])
    reading = network.read(ids, mask)
    log_durations = network.predict_log_durations(reading, mask)
    each = [
        whole_steps(row[: len(text.ids)], style.speed) if text.durations is None else text.durations
        for row, text in zip(log_durations, texts, strict=True)
    ]
    durations = pad_sequence(each, batch_first=True)
    prosody = network.predict_prosody(reading, durations)
    parts = network.decode(reading, durations, prosody.f0, prosody.energy)
    counts = frame_counts(durations)
    noise = torch.stack([speaking_noise(text.seed, prosody.f0.shape[1]) for text in texts]).to(device)
    waveforms = synthesise(parts, prosody.f0, noise * style.noise_scale, counts)
    return [
        Spoken(waveform[: int(count) * HOP_SAMPLES], own)
        for waveform, count, own in zip(waveforms, counts, each, strict=True)
    ]


def speaking_noise(seed: int, frames: int) -> torch.Tensor:
    """Return complex noise ``[F x 601]`` from a seed, the same on every device.

    More frames leave the first ones as they are.

    >>> torch.equal(speaking_noise(3, 4), speaking_noise(3, 9)[:4])
    True
    """
    # NumPy draws number by number; torch draws blocks of 16, whose last one depends on the length.
    numbers = np.random.default_rng(seed).standard_normal((frames, 2 * BINS), dtype=np.float32)
    return complex_noise(torch.from_numpy(numbers))
