"""Encode sound to semantic features: a hidden state of w2v-BERT 2.0 at 50 Hz, normalised to mean 0 and variance 1.

IndexTTS2 takes content, speaker and emotion from it. Source: Seamless (Barrault et al., 2023, arXiv:2312.05187).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from vtune_indextts2.semantic import released_weights

SEMANTIC_LAYERS = 17
"""Layers of w2v-BERT below the hidden state that IndexTTS2 uses."""

MIN_SAMPLES = 560
"""Two frames of 25 ms, 10 ms apart: a pair of them makes a frame of features, and one has no variance."""


class SemanticEncoder:
    """Runs the first layers of w2v-BERT, frozen, with the filter bank before them and the normalisation after them.

    :param model: a ``Wav2Vec2BertModel`` with only the needed layers.
    :param mean: float32 ``[H]``, of the features.
    :param var: float32 ``[H]``, above 0.
    :param extractor: the ``SeamlessM4TFeatureExtractor`` of the same checkpoint, which knows what to pad with.
    """

    def __init__(self, model: Any, mean: torch.Tensor, var: torch.Tensor, extractor: Any) -> None:
        self._model = model.eval().requires_grad_(False)
        self._device = next(model.parameters()).device
        self._mean = mean.to(self._device)
        self._deviation = var.sqrt().to(self._device)
        self._extractor = extractor

    @classmethod
    def load(
        cls, checkpoint: str, stats: Path, layers: int = SEMANTIC_LAYERS, device: torch.device | str = "cpu"
    ) -> SemanticEncoder:
        """Load the released parts.

        :param checkpoint: folder or Hub id of w2v-BERT 2.0; layers above ``layers`` are not read.
        :param stats: ``wav2vec2bert_stats.pt``.
        :raises EngineError: a file is missing or does not fit; the message names it.
        """
        config = released_weights.read_config(checkpoint, layers)
        extractor = released_weights.read_extractor(checkpoint)
        mean, var = released_weights.read_statistics(stats, config.hidden_size)
        return cls(released_weights.read_model(checkpoint, config).to(device), mean, var, extractor)

    @property
    def width(self) -> int:
        """Numbers in each frame of features."""
        return len(self._mean)

    def input_features(self, waveforms: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute filter banks of clips, each bin with mean 0 and variance 1 within a clip, two frames side by side.

        :param waveforms: ``[n]`` each, at 16 kHz, full scale at 1.
        :returns: ``[B, T, 160]``, and int64 ``[B, T]`` that is 0 where the last of an odd number of frames stands, and
            behind the end of the shorter clips.
        :raises ValueError: a clip has fewer than 560 samples.
        """
        shortest = min(len(waveform) for waveform in waveforms)
        if shortest < MIN_SAMPLES:
            raise ValueError(f"{shortest} samples are too few: semantic features take at least {MIN_SAMPLES}")
        clips = [waveform.float().cpu().numpy() for waveform in waveforms]
        inputs = self._extractor(clips, sampling_rate=self._extractor.sampling_rate, return_tensors="pt")
        return inputs["input_features"].to(self._device), inputs["attention_mask"].long().to(self._device)

    @torch.no_grad()
    def normalised(self, input_features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Compute features ``[B, T, H]`` from what ``input_features`` gave."""
        hidden: torch.Tensor = self._model(input_features=input_features, attention_mask=mask).last_hidden_state
        return (hidden - self._mean) / self._deviation

    def encode(self, waveform: torch.Tensor) -> torch.Tensor:
        """Compute the features of one clip, ``[1, T, H]`` with T = half its filter bank's frames, rounded up.

        :param waveform: ``[n]`` at 16 kHz.
        :raises ValueError: as ``input_features``.
        """
        return self.normalised(*self.input_features([waveform]))
