"""The GPT of IndexTTS-2.5: the speaker is one projected embedding, and each text position knows its language.

A row is ``[speaker + emotion | 0 | 0 | text | codes]``. The two zero vectors are attended to like all others.
"""

from __future__ import annotations

import torch
from torch import nn

from vtune_indextts2.gpt.network import SemanticGPT
from vtune_indextts2.gpt.settings import GPTSettings

EMPTY_POSITIONS = 2
"""Zero vectors behind the speaker, where IndexTTS-2 has its speaking rate."""


class StyleGPT(SemanticGPT):
    """``SemanticGPT`` with the inputs of IndexTTS-2.5; ``conditioning`` is ``[B x (S + D)]``: style, then emotion."""

    def add_prefix(self, settings: GPTSettings) -> None:
        """Create the speaker's projection and the rows of languages."""
        self.spk_emb_proj = nn.Linear(settings.style_dim, settings.model_dim)
        self.lang_embedding = nn.Embedding(settings.languages, settings.model_dim)

    def prefix(self, conditioning: torch.Tensor) -> torch.Tensor:
        """Return the speaker's vector and two zero vectors: ``[B x (S + D)]`` to ``[B x 3 x D]``."""
        sizes = [self.settings.style_dim, self.settings.model_dim]
        style, emotion = torch.split(conditioning.to(self.spk_emb_proj.weight), sizes, dim=-1)
        speaker = self.spk_emb_proj(style) + emotion  # [B x D]
        return torch.cat([speaker[:, None], speaker.new_zeros(len(speaker), EMPTY_POSITIONS, speaker.shape[1])], dim=1)

    def embed_text(self, ids: torch.Tensor, positions: torch.Tensor, languages: torch.Tensor | None) -> torch.Tensor:
        """Embed text ids, start and stop included, with the row of their language."""
        if languages is None:
            raise ValueError("IndexTTS-2.5 embeds text with the row of its language, and none was given")
        text: torch.Tensor = super().embed_text(ids, positions, None) + self.lang_embedding(languages)
        return text


def network_class(settings: GPTSettings) -> type[SemanticGPT]:
    """Return the class of the GPT of a release."""
    return StyleGPT if settings.release == "2.5" else SemanticGPT
