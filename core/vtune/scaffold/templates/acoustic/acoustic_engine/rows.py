"""Training data: a clip becomes characters, durations and a spectrogram; rows become a padded batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import vtune
from torch.nn.utils.rnn import pad_sequence

from acoustic_engine.alignment import align
from acoustic_engine.spectrogram import mel_spectrogram
from acoustic_engine.text import characters


def prepare(clip: vtune.Clip, max_frames: int) -> vtune.Features:
    """Encode one clip to characters ``[L]``, their durations ``[L]`` and a mel spectrogram ``[T x 64]``.

    The spectrogram has half precision, because it takes a hundred times the space of the characters.
    """
    mel = mel_spectrogram(torch.from_numpy(clip.waveform)).numpy()
    letters = characters(clip.text)
    if len(mel) > max_frames:
        raise vtune.SkipClip(f"{len(mel)} frames, more than max_frames {max_frames}")
    if len(mel) < len(letters):
        raise vtune.SkipClip(f"{len(letters)} characters in {len(mel)} frames: each needs a frame")
    return {"characters": letters, "durations": align(mel, len(letters)), "mel": mel.astype(np.float16)}


def rms(clips: Sequence[vtune.Clip]) -> float:
    """Return the loudness of clips, 0 to 1."""
    return float(np.sqrt(np.mean(np.square(np.concatenate([clip.waveform for clip in clips])))))


def collate(features: Sequence[vtune.Features]) -> vtune.Batch:
    """Pad rows on the right; ``items`` is the number of frames of each clip."""

    def padded(name: str) -> torch.Tensor:
        return pad_sequence([torch.as_tensor(row[name]) for row in features], batch_first=True)

    return {
        "characters": padded("characters"),
        "durations": padded("durations"),
        "mel": padded("mel"),
        "items": torch.tensor([len(row["mel"]) for row in features]),
        "lot": torch.tensor([float(row["lot"]) for row in features], dtype=torch.float64),
    }
