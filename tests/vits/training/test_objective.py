"""The training loss: the same for a clip whatever its neighbours and padding are, and made of what it should be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from vtune_vits.network.settings import SourceFilterSettings, VitsSettings, VocoderSettings
from vtune_vits.network.voice import VitsNetwork, new_network
from vtune_vits.training import objective

SMALL = VitsSettings(
    vocab_size=20, hidden_size=16, flow_size=8, layers=1, ffn_size=16, spectrogram_bins=33, flow_steps=2, flow_layers=2,
    posterior_layers=2, vocoder=VocoderSettings(2, (4, 4), (8, 8), (3,), ((1,),), 16),
)  # fmt: skip
"""A hop of 16 samples, a window of 64."""

FILTERED = replace(SMALL, source_filter=SourceFilterSettings(8, 1, 8, 1, 3))

BOTH = pytest.mark.parametrize("settings", [SMALL, FILTERED], ids=["own vocoder", "source and filters"])


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective, "SEGMENT_SAMPLES", 8 * 16)
    monkeypatch.setattr(objective, "FILTERED_SEGMENT_SAMPLES", 8 * 16)


def network(settings: VitsSettings = SMALL) -> VitsNetwork:
    made = new_network(settings)
    with torch.no_grad():  # nothing of it may be zero, as the last layers of new flows are
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return made.eval()


def clip(phonemes: int, frames: int, lot: float) -> dict[str, Any]:
    random = np.random.default_rng([phonemes, frames])
    return {
        "ids": random.integers(1, 20, phonemes), "samples": random.uniform(-0.5, 0.5, 16 * frames).astype(np.float32),
        "lot": lot, "f0": random.uniform(100, 200, frames).astype(np.float32),
    }  # fmt: skip


def batch(*clips: dict[str, Any], padding: int = 0) -> dict[str, torch.Tensor]:
    """Collate clips; ``padding`` further phonemes and frames of every clip are padding."""
    text_lengths = torch.tensor([len(row["ids"]) for row in clips])
    frames = torch.tensor([len(row["samples"]) // 16 for row in clips])
    ids = torch.zeros(len(clips), int(text_lengths.max()) + padding, dtype=torch.long)
    samples = torch.zeros(len(clips), 16 * (int(frames.max()) + padding))
    f0, voiced = (
        torch.zeros(len(clips), int(frames.max()) + padding),
        torch.zeros(len(clips), int(frames.max()) + padding),
    )
    for row, entry in enumerate(clips):
        f0[row, : len(entry["f0"])] = torch.from_numpy(entry["f0"])
        voiced[row, : len(entry["f0"]) // 2] = 1
        ids[row, : len(entry["ids"])] = torch.from_numpy(entry["ids"])
        samples[row, : len(entry["samples"])] = torch.from_numpy(entry["samples"])
    lots = torch.tensor([row["lot"] for row in clips], dtype=torch.float64)
    return {
        "input_ids": ids, "text_lengths": text_lengths, "samples": samples, "frames": frames, "items": frames,
        "lots": lots, "f0": f0, "voiced": voiced.bool(),
    }  # fmt: skip


CLIPS = (clip(5, 30, 0.1), clip(9, 41, 0.6), clip(3, 6, 0.9))
"""The last one is shorter than a segment."""


@BOTH
def test_a_batch_has_the_mean_loss_of_its_frames(settings: VitsSettings) -> None:
    model = network(settings)
    with torch.no_grad():
        alone = [float(model(**batch(entry))["loss"]) for entry in CLIPS]
        together = model(**batch(*CLIPS, padding=3))

    assert float(together["loss"]) == pytest.approx(np.average(alone, weights=[30, 41, 6]), rel=1e-5)


def test_the_loss_of_a_share_of_a_step_is_divided_by_the_frames_of_the_step() -> None:
    model = network()
    with torch.no_grad():
        shares = [model(**batch(entry), num_items_in_batch=torch.tensor(77)) for entry in CLIPS]
        together = model(**batch(*CLIPS))

    assert sum(float(share["loss"]) for share in shares) == pytest.approx(float(together["loss"]), rel=1e-5)


def test_metrics_are_means_by_frames_and_phonemes() -> None:
    model = network()
    with torch.no_grad():
        output = model(**batch(*CLIPS))
        alone = [model(**batch(entry))["metrics"] for entry in CLIPS]

    for name, count in (("kl", 77), ("duration", 17), ("mel", 77)):
        assert float(output["metrics"][name][1]) == count
        assert float(output["metrics"][name][0]) == pytest.approx(sum(float(row[name][0]) for row in alone), rel=1e-4)
    kl, mel = (float(output["metrics"][name][0] / 77) for name in ("kl", "mel"))
    duration = (
        sum(
            float(row["duration"][0] / row["duration"][1]) * frames
            for row, frames in zip(alone, (30, 41, 6), strict=True)
        )
        / 77
    )
    assert float(output["loss"]) == pytest.approx(kl + duration + 45 * mel, rel=1e-4)


def test_the_pitch_is_part_of_the_loss_of_a_vocoder_that_reads_it() -> None:
    model = network(FILTERED)
    with torch.no_grad():
        output = model(**batch(*CLIPS))
        higher = model(**{**batch(*CLIPS), "voiced": torch.zeros(3, 41, dtype=torch.bool)})

    pitch = float(output["metrics"]["pitch"][0] / 77)
    assert pitch > 0
    assert float(higher["metrics"]["pitch"][0]) == 0
    assert float(output["loss"] - higher["loss"]) == pytest.approx(20 * pitch, rel=1e-4)
    assert output["made"].shape == (2, 3, 128)


@BOTH
def test_the_same_batch_has_the_same_loss_and_other_lots_another_one(settings: VitsSettings) -> None:
    model = network(settings)
    with torch.no_grad():
        first, second = model(**batch(*CLIPS)), model(**batch(*CLIPS))
        other = model(**batch(*({**row, "lot": row["lot"] / 2} for row in CLIPS)))

    assert torch.equal(first["loss"], second["loss"])
    assert not torch.equal(first["loss"], other["loss"])


def test_segments_are_pieces_of_the_recordings() -> None:
    rows = batch(*CLIPS)
    with torch.no_grad():
        output = network()(**rows)

    (made,) = output["made"]
    assert output["recorded"].shape == made.shape == (3, 128)
    for row in range(2):
        starts = [start for start in range(0, rows["samples"].shape[1] - 127, 16)
                  if torch.equal(rows["samples"][row, start : start + 128], output["recorded"][row])]  # fmt: skip
        assert len(starts) == 1
    assert not output["recorded"][2, 96:].any()
    assert not made[2, 96:].any()
    assert made[2, :96].any()


@BOTH
def test_every_part_learns_from_the_loss(settings: VitsSettings) -> None:
    model = network(settings)
    model(**batch(*CLIPS))["loss"].backward()

    without = [
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    # The bias of attention's keys changes no weight of attention.
    assert [name for name in without if not name.endswith("k_proj.bias")] == []
