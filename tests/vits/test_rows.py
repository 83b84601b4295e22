"""Training rows: what becomes of a clip, and how rows become a batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_voice import new_base

from vtune import Clip, SkipClip
from vtune.testing import made_clip
from vtune_vits.base import VitsBase
from vtune_vits.rows import SAMPLE_SCALE, collate, prepare


@pytest.fixture(scope="module")
def base(letters: Path) -> VitsBase:
    return new_base(letters)


def test_a_clip_becomes_whole_frames_of_its_sound_and_the_ids_of_its_text(base: VitsBase) -> None:
    clip = replace(made_clip(22_050, 1.0, 0), text="ab\tab")

    row = prepare(base, clip)

    assert row["samples"].dtype == np.int16
    assert len(row["samples"]) == 87 * 256  # 22,050 samples are 86.1 frames
    assert not row["samples"][22_050:].any()
    assert np.abs(row["samples"][:22_050] / SAMPLE_SCALE - clip.waveform).max() <= 0.5 / SAMPLE_SCALE + 1e-7
    symbols = {symbol: ids[0] for symbol, ids in base.text.symbols.items()}
    assert row["input_ids"].tolist() == [0, symbols["a"], 0, symbols["b"], 0]


def test_a_clip_comes_at_the_rate_of_the_base(low_rate: Path) -> None:
    row = prepare(new_base(low_rate), replace(made_clip(22_050, 1.0, 0), text="ab\tab"))

    assert len(row["samples"]) == 63 * 256  # 16,000 samples are 62.5 frames
    spectrum = np.abs(np.fft.rfft(row["samples"][:16_000]))
    expected = np.abs(np.fft.rfft(made_clip(16_000, 1.0, 0).waveform))
    assert abs(int(np.argmax(spectrum)) - int(np.argmax(expected))) <= 2


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        (made_clip(22_050, 0.1, 2), r"^103 symbols in 9 frames of sound: each symbol needs a frame$"),
        (made_clip(22_050, 3.0, 2), r"^3\.0 s, more than max_seconds 2$"),
    ],
)
def test_clips_that_do_not_fit_are_left_out_with_numbers(letters: Path, clip: Clip, reason: str) -> None:
    with pytest.raises(SkipClip, match=reason):
        prepare(new_base(letters, max_seconds=2), replace(clip, text="a" * 51))


def test_rows_are_padded_on_the_right(base: VitsBase) -> None:
    rows = [
        {"samples": np.full(512, 32767), "input_ids": np.array([1, 5, 2]), "speaker": np.array([0]), "lot": 0.25},
        {"samples": np.full(256, -32767), "input_ids": np.array([1, 2]), "speaker": np.array([2]), "lot": 0.5},
    ]

    batch = collate(base, rows)  # type: ignore[arg-type]

    assert batch["input_ids"].tolist() == [[1, 5, 2], [1, 2, 0]]
    assert batch["text_lengths"].tolist() == [3, 2]
    assert batch["frames"].tolist() == batch["items"].tolist() == [2, 1]
    assert batch["samples"].sum(1).tolist() == [512, -256]
    assert batch["speakers"].tolist() == [0, 2]
    assert batch["lots"].tolist() == [0.25, 0.5]
