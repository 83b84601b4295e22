"""Training data: a clip becomes samples and ids; rows become a padded batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import soxr
import torch
from torch.nn.utils.rnn import pad_sequence

from vtune import Batch, Clip, Features, SkipClip, Waveform
from vtune.toolkit.pitch import fill_voiceless, measure_f0
from vtune.toolkit.sentences import joined_symbols, read_sentences
from vtune_vits.text.symbols import encode_symbols

if TYPE_CHECKING:
    from vtune_vits.base import VitsBase

SAMPLE_SCALE = 32767
"""Samples are kept as int16: half the disk of float32, and 96 dB above their rounding."""


def prepare(base: VitsBase, clip: Clip) -> Features:
    """Encode one clip to samples int16 ``[N]`` at the base's rate, ids int32 ``[L]`` and a speaker int32 ``[1]``.

    N is a whole number of frames; up to a frame of silence is added. For a vocoder of source and filters, the pitch of
    each frame comes with it: ``f0`` in Hz, float32 ``[N / hop]``, 0 where there is no voice.

    :raises SkipClip: the clip is too long, has fewer frames than ids, or the base has no symbol for its text.
    """
    settings = base.settings
    if clip.seconds > base.options.max_seconds:
        raise SkipClip(f"{clip.seconds:.1f} s, more than max_seconds {base.options.max_seconds:g}")
    waveform = resample(clip.waveform, clip.sample_rate, settings.sample_rate)
    ids = encode_symbols(joined_symbols(read_sentences(clip.text)), base.text).ids
    frame_count = -(-len(waveform) // settings.hop_length)
    if frame_count < len(ids):
        raise SkipClip(f"{len(ids)} symbols in {frame_count} frames of sound: each symbol needs a frame")
    padded = np.pad(waveform, (0, frame_count * settings.hop_length - len(waveform)))
    features = {
        "samples": np.rint(padded.clip(-1, 1) * SAMPLE_SCALE).astype(np.int16),
        "input_ids": np.array(ids, dtype=np.int32),
        "speaker": np.array([base.speaker_number(clip.voice)], dtype=np.int32),
    }
    if settings.source_filter is not None:
        features["f0"] = measure_f0(padded, settings.sample_rate, settings.hop_length)
    return features


def collate(base: VitsBase, features: Sequence[Features]) -> Batch:
    """Pad rows on the right; ``items`` and ``frames`` are the frames of each clip, int64 ``[B]``.

    Rows of 512 and 256 samples with ids ``[1, 5, 2]`` and ``[1, 2]`` become ``samples`` float32 ``[2 x 512]``,
    ``input_ids`` ``[[1, 5, 2], [1, 2, 0]]``, ``text_lengths`` ``[3, 2]`` and, for frames of 256 samples, ``frames``
    ``[2, 1]``. Rows with a pitch give ``f0`` float32 ``[B x T]``, in which voiceless frames lie between their
    neighbours, and ``voiced`` bool ``[B x T]``.
    """
    samples = [torch.as_tensor(row["samples"].astype(np.float32) / SAMPLE_SCALE) for row in features]
    ids = [torch.as_tensor(row["input_ids"], dtype=torch.long) for row in features]
    frames = torch.tensor([len(row) // base.settings.hop_length for row in samples])
    batch = {
        "input_ids": pad_sequence(ids, batch_first=True),
        "text_lengths": torch.tensor([len(row) for row in ids]),
        "samples": pad_sequence(samples, batch_first=True),
        "frames": frames,
        "items": frames.clone(),
        "speakers": torch.tensor([int(row["speaker"][0]) for row in features]),
        "lots": torch.tensor([float(row["lot"]) for row in features], dtype=torch.float64),
    }
    if "f0" in features[0]:
        pitches = [np.asarray(row["f0"], np.float32) for row in features]
        batch["f0"] = pad_sequence([torch.from_numpy(fill_voiceless(f0)) for f0 in pitches], batch_first=True)
        batch["voiced"] = pad_sequence([torch.from_numpy(f0 > 0) for f0 in pitches], batch_first=True)
    return batch


def resample(waveform: Waveform, sample_rate: int, new_rate: int) -> Waveform:
    """Return a waveform at another rate, float32 ``[samples * new_rate / sample_rate]``."""
    if sample_rate == new_rate:
        return waveform
    resampled: Waveform = soxr.resample(waveform, sample_rate, new_rate, quality="HQ").astype(np.float32)
    return resampled
