"""The training loss: the same for a clip in every batch, and learning it moves a voice towards its recordings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small_hibari import small_network

import vtune
import vtune_hibari
from vtune_hibari.network.voice import HibariNetwork
from vtune_hibari.training.rows import collate

LORA = vtune.LoraSettings(rank=4, alpha=8, targets=("filter", "pitch"))


def recorded_clips(network: HibariNetwork, pitch_factor: float, louder: float) -> list[dict[str, Any]]:
    """Return rows of sentences that a network has spoken with another pitch, and louder."""
    from vtune_hibari.network.settings import BINS
    from vtune_hibari.network.sound import complex_noise, synthesise
    from vtune_hibari.network.voice import frame_counts

    rows = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        ids = torch.tensor([[0, *random.integers(43, 69, 12 + seed), 0]])
        durations = torch.from_numpy(random.integers(1, 4, ids.shape))
        with torch.no_grad():
            reading = network.read(ids, torch.ones_like(ids, dtype=torch.bool))
            prosody = network.predict_prosody(reading, durations)
            f0 = prosody.f0 * pitch_factor
            parts = network.decode(reading, durations, f0, prosody.energy)
            noise = complex_noise(torch.from_numpy(random.standard_normal((1, f0.shape[1], 2 * BINS), np.float32)))
            sound = louder * synthesise(parts, f0, noise, frame_counts(durations))[0]
        rows.append(
            {
                "samples": np.rint(sound.clamp(-1, 1).numpy() * 32767).astype(np.int16),
                "input_ids": ids[0].numpy().astype(np.int32),
                "durations": durations[0].numpy().astype(np.int32),
                "f0": f0[0].numpy(),
                "melody": f0[0].numpy(),
                "lot": np.float64(random.random()),
            }
        )
    return rows


def test_a_clip_has_the_same_loss_in_every_batch() -> None:
    network = small_network()
    rows = recorded_clips(network, 0.9, 1.5)
    alone = [network(**collate([row])) for row in rows]
    together = network(**collate(rows))
    for name, share in together["metrics"].items():
        summed = torch.stack([output["metrics"][name] for output in alone]).sum(0)
        torch.testing.assert_close(share, summed, rtol=1e-3, atol=1e-3)


def test_an_adapter_learns_pitch_and_colour() -> None:
    network = small_network()
    network.prosody_predictor.conv_out.weight *= 0.3  # a calm voice, nowhere near 40 Hz
    rows = recorded_clips(network, 0.8, 4.0)[:2]
    model: Any = vtune.attach_lora(network, LORA, vtune_hibari.engine_info().lora_targets)
    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], 3e-2)
    batch = collate(rows)
    ideal = small_network()  # the levels of three of the five parts are louder, as the recordings are
    for part in (0, 2, 3):
        ideal.decoder.head.bias[601 * part : 601 * (part + 1)] += np.log(4.0)
    total, count = ideal(**batch)["metrics"]["spectrum"]  # two draws of noise are never the same
    lowest = float(total / count)
    before = {name: float(total / count) for name, (total, count) in model(**batch)["metrics"].items()}
    for _ in range(25):
        optimizer.zero_grad()
        model(**batch)["loss"].backward()
        optimizer.step()
    after = {name: float(total / count) for name, (total, count) in model(**batch)["metrics"].items()}
    assert after["spectrum"] - lowest < 0.4 * (before["spectrum"] - lowest)
    assert after["pitch"] < 0.4 * before["pitch"]
    assert after["durations"] == pytest.approx(before["durations"])


def test_the_filter_leaves_phases_as_they_are_and_energy_too() -> None:
    network = small_network()
    batch = collate(recorded_clips(network, 0.8, 2.0))
    model: Any = vtune.attach_lora(network, LORA, vtune_hibari.engine_info().lora_targets)
    model(**batch)["loss"].backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters() if "lora_B" in name}
    head = next(gradient for name, gradient in gradients.items() if "head" in name)
    harmonic, phase, noise, residual, residual_phase = head.split(601)
    assert not phase.any()
    assert not residual_phase.any()
    torch.testing.assert_close(harmonic, noise)
    torch.testing.assert_close(harmonic, residual)
    pitch = next(gradient for name, gradient in gradients.items() if "conv_out" in name)
    assert pitch[:2].any()
    assert not pitch[2:].any()
