"""Speak texts: one, or several at once, each of which sounds as it would alone.

Text encoder, durations and flow compute all texts of a batch together, because their masks keep texts and padding
apart. The vocoder has no masks and would hear the padding behind a shorter text, so it makes the sound of each text by
itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.utils.rnn import pad_sequence

from vtune.toolkit.masks import length_mask

if TYPE_CHECKING:
    from vtune_vits.network.noise import SpeakingNoise
    from vtune_vits.network.voice import VitsNetwork

MAX_PHONEME_FRAMES = 10_000
"""Most frames of one phoneme when speaking (about two minutes), so that a damaged predictor cannot fill the memory."""


@dataclass(frozen=True)
class SpokenStyle:
    """How a text is spoken; see `VitsSettings` for the numbers."""

    noise_scale: float
    noise_scale_w: float
    length_scale: float
    contrast: float = 1.0
    """How far gains lie from their mean, see `vtune_vits.network.source_filter.with_contrast`."""


@dataclass(frozen=True, slots=True)
class SpokenText:
    """One text to be spoken.

    :param ids: its phonemes, int64 ``[L]``, on the network's device.
    :param noise: its own, so that it sounds as it would alone.
    :param durations: frames of each phoneme, int64 ``[L]``, in place of predicted ones.
    """

    ids: torch.Tensor
    noise: SpeakingNoise
    durations: torch.Tensor | None = None


class Spoken(NamedTuple):
    """One spoken text."""

    waveform: torch.Tensor
    """Samples from -1 to 1, ``[T * hop]``."""

    durations: torch.Tensor
    """Frames of each phoneme, int64 ``[L]``; their sum is T."""

    latents: torch.Tensor
    """The latents that the vocoder made the waveform from, ``[C x T]``."""


def speak_texts(network: VitsNetwork, texts: Sequence[SpokenText], style: SpokenStyle, speaker_id: int) -> list[Spoken]:
    """Speak several texts in one batch.

    :param speaker_id: number of the speaker; ignored for a voice of one speaker.
    """
    device = texts[0].ids.device
    lengths = torch.tensor([len(text.ids) for text in texts], device=device)
    ids = pad_sequence([text.ids for text in texts], batch_first=True)  # [B x L]
    mask = length_mask(lengths, ids.shape[1])
    speaker = network.embed(torch.full((len(texts),), speaker_id, device=device))
    reading = network.read(ids, mask)
    noise = pad_sequence([text.noise.durations(len(text.ids)).T for text in texts], batch_first=True)  # [B x L x 2]
    noise = noise.transpose(1, 2).to(reading.hidden) * style.noise_scale_w
    log_durations = network.predict_log_durations(reading.hidden, mask, speaker, noise)  # [B x L]
    durations = [
        _frames(row[: len(text.ids)], style.length_scale) if text.durations is None else text.durations
        for row, text in zip(log_durations, texts, strict=True)
    ]
    priors = [
        _prior(reading.means[row], reading.log_scales[row], durations[row], text.noise, style.noise_scale)
        for row, text in enumerate(texts)
    ]
    frame_counts = torch.tensor([len(prior) for prior in priors], device=device)
    frame_mask = length_mask(frame_counts, int(frame_counts.max()))
    latents = network.from_prior(pad_sequence(priors, batch_first=True).transpose(1, 2), frame_mask, speaker)
    spoken = []
    for row, prior in enumerate(priors):
        own = latents[row : row + 1, :, : len(prior)]
        waveform = network.decode(own, None if speaker is None else speaker[row : row + 1], style.contrast)[0]
        spoken.append(Spoken(waveform, durations[row], own[0]))
    return spoken


def _frames(log_durations: torch.Tensor, length_scale: float) -> torch.Tensor:
    """Return whole frames, int64 ``[L]``, at least one in all."""
    frames = (log_durations.float().exp() * length_scale).ceil()
    durations = frames.nan_to_num(1).clamp(0, MAX_PHONEME_FRAMES).long()
    if not durations.any():
        durations[-1] = 1
    return durations


def _prior(
    means: torch.Tensor, log_scales: torch.Tensor, durations: torch.Tensor, noise: SpeakingNoise, noise_scale: float
) -> torch.Tensor:
    """Draw latents from the prior of each phoneme's frames, ``[T x C]``; means and log scales are ``[C x L]``."""
    means, log_scales = (
        values[:, : len(durations)].repeat_interleave(durations, dim=1) for values in (means, log_scales)
    )  # [C x T]
    return (means + noise.latents(*means.shape).to(means) * noise_scale * log_scales.exp()).T
