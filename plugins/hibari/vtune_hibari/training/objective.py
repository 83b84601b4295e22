"""The training loss of a batch: durations, and the spectra of what the network makes of a clip's text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

import vtune
from vtune_hibari.network.masks import length_mask
from vtune_hibari.network.settings import BINS
from vtune_hibari.network.sound import complex_noise, stft, synthesise
from vtune_hibari.network.voice import frame_counts

if TYPE_CHECKING:
    from vtune_hibari.network.voice import HibariNetwork


def training_loss(network: HibariNetwork, batch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the loss and the metrics of a batch of ``rows.collate``."""
    ids, durations = batch["input_ids"], batch["durations"]
    mask = length_mask(batch["text_lengths"], ids.shape[1])
    reading = network.read(ids, mask)
    log_durations = network.predict_log_durations(reading, mask)
    prosody = network.predict_prosody(reading, durations)
    parts = network.decode(reading, durations, prosody.f0, prosody.energy)
    counts = frame_counts(durations)
    noise = complex_noise(vtune.toolkit.normal(batch["lots"], prosody.f0.shape[1], 2 * BINS))
    made = stft(synthesise(parts, prosody.f0.detach(), noise, counts), counts)
    recorded = stft(batch["samples"], counts)
    inside = length_mask(counts, made.shape[1])
    spectra = ((made.abs() + 1e-3).log() - (recorded.abs() + 1e-3).log()).abs().mean(2)  # [B, F]
    spectral = (spectra * inside).sum(1) / counts
    duration = ((log_durations - torch.log1p(durations.float())).abs() * mask).sum(1) / batch["text_lengths"]
    pitch = (prosody.f0 / 1000).square().sum(1) / counts + prosody.energy.square().sum(1) / counts
    each = batch["items"] * (spectral + duration + 0.01 * pitch)
    count = batch.get("num_items_in_batch")
    return {"loss": each.sum() / (batch["items"].sum() if count is None else count)}
