"""With the real weights that VTUNE_WHISPER names: silence and noise have no words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from vtune.ingest.transcribe import transcribe_folder
from vtune.recipe.data_sections import TranscribeRecipe

RATE = 16_000


def test_nothing_is_made_up_for_silence_noise_and_tones(
    folder: Callable[..., Path], whisper_weights: Path, rows_of
) -> None:
    random, times = np.random.default_rng(0), np.arange(5 * RATE) / RATE
    tones = sum(np.sin(2 * np.pi * pitch * times) for pitch in (220, 277, 330))
    root = folder(
        silence=np.zeros(5 * RATE, dtype=np.float32),
        dither=(random.integers(-1, 2, 5 * RATE) / 32768).astype(np.float32),
        fan=random.normal(0, 0.05, 5 * RATE).astype(np.float32),
        hum=(0.05 * np.sin(2 * np.pi * 50 * times)).astype(np.float32),
        bursts=(random.normal(0, 0.05, 5 * RATE) * (times % 1.5 > 0.8)).astype(np.float32),
        chords=(0.1 * tones * np.exp(-3 * (times % 0.5))).astype(np.float32),
    )
    report = transcribe_folder(root, TranscribeRecipe(model=str(whisper_weights), device="cpu"))
    unflagged = [row for row in rows_of(report.table) if not row["red_flags"]]
    assert unflagged == []
    assert len(report.empty) >= 5
