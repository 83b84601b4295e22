"""A recording to everything that is taken from it: for training its codes, for a voice its speaker as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from vtune import Waveform
from vtune_indextts2.waveform.filterbank import SAMPLE_RATE, centred_filter_bank
from vtune_indextts2.waveform.mel import log_mel
from vtune_indextts2.waveform.resampling import resample

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base


SHORTEST = 0.5
"""Seconds of a recording that can stand for a voice or an emotion, at least."""


@dataclass(frozen=True)
class Heard:
    """What the GPT learns from, on the device of the frozen parts.

    :param features: semantic features ``[1, T, F]`` at 50 Hz; ``codes`` int64 ``[1, T]``, ``embedding`` ``[1, T, H]``.
    :param condition: speaker latents ``[1, 32, D]``; ``emotion`` ``[1, D]``.
    """

    features: torch.Tensor
    codes: torch.Tensor
    embedding: torch.Tensor
    condition: torch.Tensor
    emotion: torch.Tensor


@dataclass(frozen=True)
class Portrait:
    """What the flow continues.

    :param style: of the speaker, ``[1, S]``.
    :param ref_mel: log-mel ``[1, 80, P]``; ``prompt_condition`` its content ``[1, P, C]``.
    """

    style: torch.Tensor
    ref_mel: torch.Tensor
    prompt_condition: torch.Tensor


@torch.no_grad()
def hear(base: IndexTTS2Base, waveform: Waveform, sample_rate: int) -> Heard:
    """Listen to a recording, each part resampled once from the recording itself.

    :param waveform: float32 ``[n]``, of at least a few frames of 20 ms.
    """
    # TF32, which convolutions on a GPU use unasked, is coarse enough to turn one code into another.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        features = base.semantic.encode(_at(waveform, sample_rate, SAMPLE_RATE))
        codes, embedding = base.codec.quantize(features)
        encoder = base.conditioning_encoder
        return Heard(features, codes, embedding, encoder.speaker(features), encoder.emotion(features))


@torch.no_grad()
def portray(base: IndexTTS2Base, waveform: Waveform, sample_rate: int, heard: Heard) -> Portrait:
    """Describe the speaker of a recording that was heard."""
    settings = base.config.mel
    mel = log_mel(_at(waveform, sample_rate, settings.sample_rate)[None], settings).to(base.frozen_device)
    frames = torch.tensor([mel.shape[-1]], device=base.frozen_device)
    return Portrait(style(base, waveform, sample_rate), mel, base.s2mel.condition(heard.embedding, frames))


@torch.no_grad()
def style(base: IndexTTS2Base, waveform: Waveform, sample_rate: int) -> torch.Tensor:
    """Return the speaker embedding of a recording, ``[1, S]``."""
    bank = centred_filter_bank(_at(waveform, sample_rate, SAMPLE_RATE))
    embedding: torch.Tensor = base.speaker_model(bank[None].to(base.frozen_device))
    return embedding


def _at(waveform: Waveform, old: int, new: int) -> torch.Tensor:
    return resample(torch.from_numpy(waveform), old, new)
