"""The training loss of VITS for a batch: recordings are encoded, aligned with their text, and made again.

The posterior encoder turns a recording into latents, and the flow brings them to where the text encoder expects them.
The alignment search finds which phoneme each frame belongs to. The vocoder makes a random segment of a recording again.
All noise and the place of the segment come from the lots of the rows, so that a clip has the same loss in every batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

import vtune
from vtune.toolkit.masks import length_mask
from vtune_vits.network.alignment import log_likelihoods, phoneme_of_frame, search, spread
from vtune_vits.network.spectrogram import linear_spectrogram, log_mel
from vtune_vits.training.losses import (
    MEL_WEIGHT,
    PITCH_WEIGHT,
    divergence,
    energy_distance,
    mel_distance,
    pitch_distance,
)

if TYPE_CHECKING:
    from vtune_vits.network.voice import Reading, VitsNetwork

SEGMENT_SAMPLES = 8192
"""Samples of the segment of each clip that the base's own vocoder makes again, from VITS."""

FILTERED_SEGMENT_SAMPLES = 32_768
"""The same for a vocoder of source and filters, for which a sample costs a fifth."""

_POSTERIOR_STREAM, _DURATION_STREAM = 0, 1
"""Streams of ``vtune.toolkit.normal``; the segment's place is drawn from the lot itself, a vocoder's noise from
stream 2."""


@dataclass(frozen=True, slots=True)
class Recordings:
    """The recordings of a batch as latents of their posterior.

    :param magnitudes: linear spectrogram, ``[B, bins, T]``.
    :param mask: True for the frames of a clip, ``[B, T]``.
    :param latents: one draw from the posterior, ``[B, C, T]``.
    :param log_scales: of the posterior, ``[B, C, T]``.
    """

    magnitudes: torch.Tensor
    mask: torch.Tensor
    latents: torch.Tensor
    log_scales: torch.Tensor


@dataclass(frozen=True, slots=True)
class Segments:
    """A random segment of each clip, recorded and made again.

    :param recorded: waveform ``[B, samples]``, 0 behind a clip's end.
    :param made: waveforms ``[K, B, samples]``, 0 behind a clip's end; they differ in their noise.
    :param mel_distance: mean absolute difference of log mels, or the energy distance of K > 1 waveforms, float32
        ``[B]``.
    :param pitch_distance: mean absolute difference of log pitch, float32 ``[B]``; None if the vocoder reads no pitch.
    """

    recorded: torch.Tensor
    made: torch.Tensor
    mel_distance: torch.Tensor
    pitch_distance: torch.Tensor | None


def training_loss(network: VitsNetwork, batch: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Compute the loss of a batch, its metrics, and the segments that discriminators judge.

    The loss of a clip is the sum of its divergence in nats a frame, its durations' negative log-likelihood in nats a
    phoneme, 45 times its mel distance, and 20 times its pitch distance if there is one. The loss of a batch is the mean
    over frames, so a clip counts by its length.

    :param batch: ``input_ids`` int64 ``[B, L]``, ``text_lengths`` int64 ``[B]``, ``samples`` float32 ``[B, N]``,
        ``frames`` int64 ``[B]``, ``lots`` float64 ``[B]``, ``speakers`` int64 ``[B]`` for a base of several speakers,
        ``f0`` in Hz float32 ``[B, T]`` and ``voiced`` bool ``[B, T]`` for a vocoder of source and filters, and
        ``num_items_in_batch``, the frames of an optimizer step, or None for those of the batch.
    :returns: ``loss``, ``metrics`` (sum and count of ``kl``, ``mel``, ``pitch`` if the vocoder reads it, and
        ``duration`` unless durations are frozen in a training), ``recorded`` and ``made``.
    """
    speaker = network.embed(batch.get("speakers"))
    frames, text_lengths = batch["frames"], batch["text_lengths"]
    recordings = encode_recordings(network, batch, speaker)
    text_mask = length_mask(text_lengths, batch["input_ids"].shape[1])
    reading = network.read(batch["input_ids"], text_mask)
    latents = network.to_prior(recordings.latents, recordings.mask, speaker)
    durations = align(latents, (reading.means, reading.log_scales), frames, text_lengths)
    index = phoneme_of_frame(durations, latents.shape[2])
    prior = spread(reading.means, index), spread(reading.log_scales, index)
    kl = divergence(latents, recordings.log_scales, prior, recordings.mask)  # [B]
    duration = duration_loss(network, batch, reading, durations)  # [B]
    segments = make_segments(network, batch, recordings, speaker)
    each = kl + frames * MEL_WEIGHT * segments.mel_distance
    metrics = {"kl": (kl, frames), "mel": (frames * segments.mel_distance, frames)}
    if segments.pitch_distance is not None:
        each = each + frames * PITCH_WEIGHT * segments.pitch_distance
        metrics["pitch"] = (frames * segments.pitch_distance, frames)
    if duration is not None:
        each = each + frames * duration / text_lengths
        metrics["duration"] = (duration, text_lengths)
    count = batch.get("num_items_in_batch")
    return {
        "loss": each.sum() / (frames.sum() if count is None else count),
        "metrics": {
            name: torch.stack([total.detach().float().sum(), number.float().sum()])
            for name, (total, number) in metrics.items()
        },
        "recorded": segments.recorded,
        "made": segments.made,
    }


def encode_recordings(
    network: VitsNetwork, batch: Mapping[str, torch.Tensor], speaker: torch.Tensor | None
) -> Recordings:
    """Encode the recordings of a batch to latents, with noise from the lots; parameters as in ``training_loss``."""
    settings, frames = network.settings, batch["frames"]
    magnitudes = linear_spectrogram(
        batch["samples"], settings.fft_size, settings.hop_length, settings.hop_length * frames
    )
    mask = length_mask(frames, magnitudes.shape[2])
    magnitudes = magnitudes * mask[:, None]
    means, log_scales = network.posterior(magnitudes, mask, speaker)
    noise = vtune.toolkit.normal(batch["lots"], *means.transpose(1, 2).shape[1:], stream=_POSTERIOR_STREAM)
    latents = (means.float() + noise.transpose(1, 2) * log_scales.float().exp()) * mask[:, None]
    return Recordings(magnitudes, mask, latents, log_scales)


def align(
    latents: torch.Tensor, prior: tuple[torch.Tensor, torch.Tensor], frames: torch.Tensor, text_lengths: torch.Tensor
) -> torch.Tensor:
    """Find the durations that make the latents most likely, int64 ``[B, L]`` frames, without gradients.

    :param latents: behind the flow, ``[B, C, T]``.
    :param prior: means and log standard deviations of each phoneme, ``[B, C, L]``.
    """
    with torch.no_grad(), torch.autocast(latents.device.type, enabled=False):
        return search(log_likelihoods(latents, *prior), frames, text_lengths)


def duration_loss(
    network: VitsNetwork, batch: Mapping[str, torch.Tensor], reading: Reading, durations: torch.Tensor
) -> torch.Tensor | None:
    """Return the loss of the durations of each clip, float32 ``[B]``; None in a training in which they do not learn.

    :param durations: frames of each phoneme, int64 ``[B, L]``.
    """
    learns = reading.hidden.requires_grad or any(p.requires_grad for p in network.duration_predictor.parameters())
    if network.training and not learns:
        return None  # a number that no step changes, for a tenth of the time
    text_mask = length_mask(batch["text_lengths"], durations.shape[1])
    noise = vtune.toolkit.normal(batch["lots"], durations.shape[1], 2, stream=_DURATION_STREAM).transpose(1, 2)
    speaker = network.embed(batch.get("speakers"))
    return network.duration_loss(reading.hidden, text_mask, durations, speaker, noise)


def make_segments(
    network: VitsNetwork, batch: Mapping[str, torch.Tensor], recordings: Recordings, speaker: torch.Tensor | None
) -> Segments:
    """Make a random segment of each clip again from its latents, and compare the mels; see ``training_loss``."""
    settings, frames = network.settings, batch["frames"]
    hop = settings.hop_length
    count = max(1, (FILTERED_SEGMENT_SAMPLES if settings.source_filter else SEGMENT_SAMPLES) // hop)
    starts = vtune.toolkit.segment_starts(frames, count, batch["lots"])
    latents, magnitudes = (
        vtune.toolkit.take_segments(values.transpose(1, 2), starts, count).transpose(1, 2)
        for values in (recordings.latents, recordings.magnitudes)
    )
    f0, voiced = (
        vtune.toolkit.take_segments(batch[name], starts, count) if name in batch else None for name in ("f0", "voiced")
    )
    recorded = vtune.toolkit.take_segments(batch["samples"], hop * starts, hop * count)
    inside = length_mask(frames - starts, count)  # [B, count]
    draws, log_f0 = network.decoder.make(latents, speaker, f0, batch["lots"])
    draws = draws * inside.repeat_interleave(hop, dim=1)
    with torch.autocast(draws.device.type, enabled=False):
        mels = [log_mel(linear_spectrogram(draw, settings.fft_size, hop), settings.sample_rate) for draw in draws]
        recorded_mel = log_mel(magnitudes, settings.sample_rate)
        distance = energy_distance(recorded_mel, mels, lambda one, other: mel_distance(one, other, inside))
    pitch = None if f0 is None or voiced is None or log_f0 is None else pitch_distance(log_f0, f0, voiced)
    return Segments(recorded, draws, distance, pitch)
