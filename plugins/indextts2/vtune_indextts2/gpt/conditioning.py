"""Semantic features of a recording to what the GPT is told about its speaker and its emotion."""

from __future__ import annotations

import torch
from torch import nn

from vtune_indextts2.gpt.conformer import Conformer
from vtune_indextts2.gpt.perceiver import Perceiver
from vtune_indextts2.gpt.settings import GPTSettings

CONDITIONING_PREFIXES = (
    "conditioning_encoder.",
    "perceiver_encoder.",
    "emo_conditioning_encoder.",
    "emo_perceiver_encoder.",
    "emovec_layer.",
    "emo_layer.",
)
"""How the names of these tensors begin in the GPT's checkpoint; the network's own begin otherwise."""

UNUSED_ENTRIES = ("*.embed.pos_enc.pe",)
"""A table of sines that is computed here."""


class EmotionEncoder(nn.Module):
    """The frozen encoder of emotion, all that IndexTTS-2.5 has; of one clip at a time, whatever its length."""

    def __init__(self, settings: GPTSettings) -> None:
        super().__init__()
        emotion, width, narrow = settings.emo_condition_module, settings.model_dim, settings.emo_perceiver_dim
        self.emo_conditioning_encoder = Conformer(emotion, settings.feature_dim)
        self.emo_perceiver_encoder = Perceiver(
            narrow, emotion.output_size, 1, emotion.attention_heads, emotion.perceiver_mult
        )
        self.emovec_layer = nn.Linear(narrow, width)
        self.emo_layer = nn.Linear(width, width)

    def emotion(self, features: torch.Tensor) -> torch.Tensor:
        """Semantic features ``[1, T, F]`` to an emotion vector ``[1, D]``."""
        drawn = self.emo_perceiver_encoder(self.emo_conditioning_encoder(features))[:, 0]
        vector: torch.Tensor = self.emo_layer(self.emovec_layer(drawn))
        return vector


class ConditioningEncoder(EmotionEncoder):
    """The frozen encoders of speaker and emotion of IndexTTS-2."""

    def __init__(self, settings: GPTSettings) -> None:
        super().__init__(settings)
        speaker = settings.condition_module
        self.conditioning_encoder = Conformer(speaker, settings.feature_dim)
        self.perceiver_encoder = Perceiver(
            settings.model_dim, speaker.output_size, settings.prefix_latents, speaker.attention_heads,
            speaker.perceiver_mult,
        )  # fmt: skip

    def speaker(self, features: torch.Tensor) -> torch.Tensor:
        """Semantic features ``[1, T, F]`` to conditioning latents ``[1, 32, D]``."""
        latents: torch.Tensor = self.perceiver_encoder(self.conditioning_encoder(features))
        return latents


def encoder_class(settings: GPTSettings) -> type[EmotionEncoder]:
    """Return the class of the encoders of a release."""
    return EmotionEncoder if settings.release == "2.5" else ConditioningEncoder
