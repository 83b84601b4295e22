from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vtune import EngineError
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.gpt.emotion import (
    EMOTION_BIAS,
    EMOTION_NAMES,
    MAX_EMOTION_SUM,
    EmotionTable,
    interpolate_emotion,
    limit_weights,
)

GROUPS = (3, 1, 2, 5, 1, 1, 4, 2)
WEIGHTS = st.lists(st.floats(0, 1.4), min_size=8, max_size=8)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def table() -> EmotionTable:
    return EmotionTable(noise(19, 6), noise(19, 4, seed=1), GROUPS)


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, 1.7])
def test_merging_goes_from_one_emotion_towards_another(strength: float) -> None:
    base, other = noise(1, 6), noise(1, 6, seed=1)
    expected = (1 - strength) * base.double() + strength * other.double()
    torch.testing.assert_close(interpolate_emotion(base, other, strength).double(), expected, rtol=0, atol=1e-6)


@given(WEIGHTS, st.booleans())
def test_weights_keep_their_proportions_and_leave_a_fifth(weights: list[float], biased: bool) -> None:
    got = limit_weights(weights, EMOTION_BIAS if biased else None)
    raw = np.array(weights) * (EMOTION_BIAS if biased else 1)
    scale = min(1.0, 0.8 / raw.sum()) if raw.sum() else 1.0
    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), raw * scale, rtol=1e-5, atol=1e-7)
    assert float(got.sum()) <= MAX_EMOTION_SUM + 1e-6


def test_the_bias_is_upstreams_and_stands_by_name() -> None:
    bias = dict(zip(EMOTION_NAMES, EMOTION_BIAS, strict=True))
    assert bias == {
        "happy": 0.9375, "angry": 0.875, "sad": 1.0, "afraid": 1.0, "disgusted": 0.9375, "melancholic": 0.9375,
        "surprised": 0.6875, "calm": 0.5625,
    }  # fmt: skip
    for index, share in enumerate(EMOTION_BIAS):
        assert limit_weights([0.5 * (index == own) for own in range(8)]).tolist()[index] == pytest.approx(0.5 * share)


@pytest.mark.parametrize("seed", range(5))
def test_a_mix_is_the_nearest_speakers_row_of_each_emotion_by_its_weight(seed: int) -> None:
    emotions, speakers = table().emotions.double().numpy(), table().speakers.double().numpy()
    style, base = noise(1, 4, seed=10 + seed), noise(1, 6, seed=20 + seed)
    weights = limit_weights(np.random.default_rng(seed).uniform(0, 0.3, 8).tolist())
    asked, expected, nearest, first = style[0].double().numpy(), np.zeros(6), [], 0
    for weight, rows in zip(weights.tolist(), GROUPS, strict=True):
        own = speakers[first : first + rows]
        similarity = own @ asked / (np.linalg.norm(own, axis=1) * np.linalg.norm(asked))
        nearest.append(int(similarity.argmax()))
        expected += weight * emotions[first + nearest[-1]]
        first += rows
    expected += (1 - sum(weights.tolist())) * base[0].double().numpy()
    assert table().nearest(style).tolist() == nearest
    mixed = table().mix(weights, base, style)
    assert mixed.shape == (1, 6)
    np.testing.assert_allclose(mixed[0].numpy(), expected, atol=1e-5)


def test_how_loud_a_style_is_does_not_matter() -> None:
    style = noise(1, 4, seed=3)
    assert torch.equal(table().nearest(style), table().nearest(50 * style))


def test_without_weights_the_speakers_own_emotion_stays() -> None:
    base = noise(1, 6, seed=2)
    assert torch.equal(table().mix(limit_weights([0.0] * 8), base, noise(1, 4)), base)


@pytest.mark.parametrize(
    ("emotions", "speakers", "groups", "says"),
    [
        (18, 19, GROUPS, "18 emotions, 19 speakers, 19 rows by emo_num"),
        (19, 20, GROUPS, "19 emotions, 20 speakers, 19 rows by emo_num"),
        (19, 19, (GROUPS[0] + 1, *GROUPS[1:]), "19 emotions, 19 speakers, 20 rows by emo_num"),
        (19, 19, (*GROUPS, 1), "emo_num has 9 groups, the emotions are 8"),
    ],
)
def test_tables_that_do_not_fit_are_one_line(emotions: int, speakers: int, groups: tuple[int, ...], says: str) -> None:
    with pytest.raises(EngineError, match=says) as caught:
        EmotionTable(noise(emotions, 6), noise(speakers, 4), groups)
    assert "\n" not in str(caught.value)


def test_a_checkpoints_tables_are_checked_where_they_are_read(
    tiny: Path, tmp_path: Path, make_base: Callable[..., IndexTTS2Base]
) -> None:
    rows = sum(make_base().config.emo_num)
    assert make_base().emotions.emotions.shape == (rows, 32)
    other = tmp_path / "other"
    shutil.copytree(tiny, other)
    for name, content, says in (
        ("feat2.pt", noise(rows, 31), r"feat2\.pt holds vectors of 31 numbers, .* 32$"),
        ("feat1.pt", noise(rows, 191), r"feat1\.pt holds vectors of 191 numbers, .* 192$"),
        ("feat2.pt", noise(5, 32), f"5 emotions, {rows} speakers"),
        ("feat2.pt", noise(5), r"feat2\.pt does not hold one table"),
    ):
        torch.save(content, other / name)
        with pytest.raises(EngineError, match=says):
            _ = make_base(base_model=str(other)).emotions
        shutil.copy(tiny / name, other / name)
