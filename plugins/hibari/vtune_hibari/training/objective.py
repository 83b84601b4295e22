"""The training loss of a batch: the spectra of a clip that is made again, its pitch and its durations.

Each part of the network gets what it gets when the voice speaks, so that it learns nothing that is missing then: the
decoder has the energy that the base predicts for the clip's durations, and the clip's pitch with the base's own pauses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

import vtune
from vtune.toolkit.masks import length_mask
from vtune_hibari.network.settings import BINS
from vtune_hibari.network.sound import complex_noise, synthesise
from vtune_hibari.network.voice import frame_counts
from vtune_hibari.training.losses import mel_distance, pitch_distance
from vtune_hibari.training.speaker_filter import learn_filter

if TYPE_CHECKING:
    from vtune_hibari.network.voice import HibariNetwork


def training_loss(network: HibariNetwork, batch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the loss and the metrics of a batch of ``rows.collate``; a clip counts by its frames."""
    ids, durations, f0 = batch["input_ids"], batch["durations"], batch["f0"]
    mask = length_mask(batch["text_lengths"], ids.shape[1])
    reading = network.read(ids, mask)
    log_durations = network.predict_log_durations(reading, mask)
    pace = ((log_durations - torch.log1p(durations.float())).abs() * mask).sum(1) / batch["text_lengths"]
    counts = frame_counts(durations)
    prosody = network.predict_prosody(reading, durations)
    pitch = pitch_distance(prosody.f0, batch["melody"], counts)
    parts = learn_filter(network.decode(reading, durations, f0, prosody.energy.detach()))
    noise = complex_noise(vtune.toolkit.normal(batch["lots"], f0.shape[1], 2 * BINS))
    spectrum = mel_distance(synthesise(parts, f0, noise, counts), batch["samples"], counts)
    items = batch["items"]
    total = batch.get("num_items_in_batch")
    loss = (items * (spectrum + pitch + pace)).sum() / (items.sum() if total is None else total)
    shares = {"spectrum": spectrum, "pitch": pitch, "durations": pace}
    metrics = {
        name: torch.stack([(items * share).sum().detach(), items.sum().to(share.dtype)])
        for name, share in shares.items()
    }
    return {"loss": loss, "metrics": metrics}
