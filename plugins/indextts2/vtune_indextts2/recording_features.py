"""Compute everything that is taken from a recording: codes for training, and the speaker for a voice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from vtune import Waveform
from vtune_indextts2.recording_tensors import FlowPrompt, RecordingFeatures
from vtune_indextts2.waveform.filterbank import SAMPLE_RATE, centred_filter_bank
from vtune_indextts2.waveform.mel import log_mel
from vtune_indextts2.waveform.resampling import resample

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base


MIN_REFERENCE_SECONDS = 0.5
"""The shortest recording that can be the reference of a voice or of an emotion."""


@torch.no_grad()
def extract_features(base: IndexTTS2Base, waveform: Waveform, sample_rate: int) -> RecordingFeatures:
    """Compute the features of a recording; each network gets the recording resampled once to its own rate.

    :param waveform: float32 ``[samples]``, at least a few frames of 20 ms.
    """
    # TF32, the default of convolutions on a GPU, is inexact enough to turn one code into another.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        features = base.semantic.encode(_resampled(waveform, sample_rate, SAMPLE_RATE))
        return base.release.encode_recording(base, features, waveform, sample_rate)


@torch.no_grad()
def extract_flow_prompt(
    base: IndexTTS2Base, waveform: Waveform, sample_rate: int, features: RecordingFeatures
) -> FlowPrompt:
    """Compute the flow's prompt from a recording and its features."""
    settings = base.config.mel
    mel = log_mel(_resampled(waveform, sample_rate, settings.sample_rate)[None], settings).to(base.frozen_device)
    frames = torch.tensor([mel.shape[-1]], device=base.frozen_device)
    return FlowPrompt(speaker_style(base, waveform, sample_rate), mel, base.s2mel.condition(features.content, frames))


@torch.no_grad()
def speaker_style(base: IndexTTS2Base, waveform: Waveform, sample_rate: int) -> torch.Tensor:
    """Compute the speaker embedding of a recording: ``[1 x S]``."""
    bank = centred_filter_bank(_resampled(waveform, sample_rate, SAMPLE_RATE))
    embedding: torch.Tensor = base.speaker_model(bank[None].to(base.frozen_device))
    return embedding


def _resampled(waveform: Waveform, old: int, new: int) -> torch.Tensor:
    return resample(torch.from_numpy(waveform), old, new)
