"""The tensors that the engine takes from a recording: for the GPT, and for the flow."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class RecordingFeatures:
    """The features that the GPT learns from, on the device of the frozen parts.

    :param features: semantic features ``[1 x T x F]`` at 50 Hz.
    :param codes: int64 ``[1 x N]``, at the rate of the release.
    :param content: what the length regulator takes ``[1 x T x H]``: the codes' embeddings of IndexTTS-2, the features
        themselves of IndexTTS-2.5.
    :param condition: the speaker: latents ``[1 x 32 x D]`` of IndexTTS-2, the style ``[1 x S]`` of IndexTTS-2.5.
    :param emotion: emotion vector ``[1 x D]``.
    """

    features: torch.Tensor
    codes: torch.Tensor
    content: torch.Tensor
    condition: torch.Tensor
    emotion: torch.Tensor


@dataclass(frozen=True)
class FlowPrompt:
    """The reference that the flow continues.

    :param style: speaker embedding ``[1 x S]``.
    :param ref_mel: log-mel ``[1 x 80 x P]``.
    :param prompt_condition: content of the reference ``[1 x P x C]``.
    """

    style: torch.Tensor
    ref_mel: torch.Tensor
    prompt_condition: torch.Tensor
