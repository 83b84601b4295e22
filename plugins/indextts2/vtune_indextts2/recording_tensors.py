"""The tensors that the engine takes from a recording: for the GPT, and for the flow."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class RecordingFeatures:
    """The features that the GPT learns from, on the device of the frozen parts.

    :param features: semantic features ``[1 x T x F]`` at 50 Hz.
    :param codes: int64 ``[1 x T]``; ``embedding`` are their embeddings ``[1 x T x H]``.
    :param condition: speaker latents ``[1 x 32 x D]``.
    :param emotion: emotion vector ``[1 x D]``.
    """

    features: torch.Tensor
    codes: torch.Tensor
    embedding: torch.Tensor
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
