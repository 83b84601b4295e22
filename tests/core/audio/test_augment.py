"""Changed copies of a clip: equal for the same seed, different for another seed, and never damaged sound."""

from __future__ import annotations

import random
from typing import Any

import audiomentations
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.audio.augment import Augmenter
from vtune.errors import DataError, RecipeError
from vtune.recipe.data_sections import AugmentRecipe

RATE = 16000
SOUND = (0.3 * np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE)).astype(np.float32)


def augmenter(*transforms: dict[str, Any], seed: int = 0) -> Augmenter:
    return Augmenter(AugmentRecipe(variants=1, seed=seed, transforms=list(transforms)))


SNR = {"AddGaussianSNR": {"min_snr_db": 10, "max_snr_db": 20}}
GAIN = {"Gain": {"min_gain_db": -12, "max_gain_db": -1}}


def test_the_same_seed_clip_and_number_give_the_same_copy_whatever_came_before() -> None:
    first = augmenter(SNR, GAIN).variant(SOUND, RATE, "clip", 1)
    other = augmenter(SNR, GAIN)
    for number in (5, 2, 9):
        other.variant(SOUND, RATE, "else", number)
    random.seed(1)
    np.random.seed(2)
    np.testing.assert_array_equal(other.variant(SOUND, RATE, "clip", 1), first)


@pytest.mark.parametrize(("key", "number", "seed"), [("other", 1, 0), ("clip", 2, 0), ("clip", 1, 1)])
def test_another_clip_number_or_seed_gives_another_copy(key: str, number: int, seed: int) -> None:
    first = augmenter(SNR).variant(SOUND, RATE, "clip", 1)
    assert not np.array_equal(augmenter(SNR, seed=seed).variant(SOUND, RATE, key, number), first)


def test_every_copy_differs_from_the_clip_unless_p_says_otherwise() -> None:
    """audiomentations by default leaves half of the copies unchanged."""
    made = augmenter(SNR)
    assert not any(np.array_equal(made.variant(SOUND, RATE, "clip", number), SOUND) for number in range(1, 40))
    never = augmenter({"AddGaussianSNR": {"min_snr_db": 10, "max_snr_db": 20, "p": 0.0}})
    np.testing.assert_array_equal(never.variant(SOUND, RATE, "clip", 1), SOUND)


def test_the_clip_itself_is_not_changed() -> None:
    kept = SOUND.copy()
    augmenter(SNR, GAIN, {"Reverse": None}).variant(SOUND, RATE, "clip", 1)
    np.testing.assert_array_equal(SOUND, kept)


def test_the_program_s_own_random_numbers_go_on_as_they_would_have() -> None:
    """Training must not depend on whether a copy was made or came from the store."""
    random.seed(7)
    np.random.seed(7)
    expected = random.random(), np.random.random()
    random.seed(7)
    np.random.seed(7)
    augmenter(SNR).variant(SOUND, RATE, "clip", 1)
    assert (random.random(), np.random.random()) == expected


def test_transforms_are_applied_one_after_the_other() -> None:
    fixed = {"Gain": {"min_gain_db": -6, "max_gain_db": -6}}
    changed = augmenter(fixed, {"Reverse": {}}, fixed).variant(SOUND, RATE, "clip", 1)
    np.testing.assert_allclose(changed, SOUND[::-1] * 10 ** (-12 / 20), atol=1e-6)


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_stretched_copies_are_whole(rate: float) -> None:
    changed = augmenter({"TimeStretch": {"min_rate": rate, "max_rate": rate}}).variant(SOUND, RATE, "clip", 1)
    assert len(changed) / RATE == pytest.approx(1 / rate, rel=0.02)
    cut = {"min_rate": rate, "max_rate": rate, "leave_length_unchanged": True}
    assert len(augmenter({"TimeStretch": cut}).variant(SOUND, RATE, "clip", 1)) == RATE, "who asks for it gets it"


def test_copies_stay_within_full_scale_without_clipping() -> None:
    changed = augmenter({"Gain": {"min_gain_db": 20, "max_gain_db": 20}}).variant(SOUND, RATE, "clip", 1)
    assert np.abs(changed).max() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(changed, SOUND / np.abs(SOUND).max(), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(key=st.text(max_size=10), number=st.integers(1, 100), seed=st.integers(0, 2**40))
def test_any_key_gives_finite_sound_of_the_engine_s_kind(key: str, number: int, seed: int) -> None:
    changed = augmenter(SNR, GAIN, seed=seed).variant(SOUND, RATE, key, number)
    assert changed.dtype == np.float32
    assert changed.flags.c_contiguous
    assert np.isfinite(changed).all()
    assert np.abs(changed).max() <= 1


def test_a_transform_that_fails_on_a_clip_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    made = augmenter({"Reverse": {}})

    def fail(self: Any, samples: Any, sample_rate: int) -> Any:
        raise RuntimeError("out of\nluck")

    monkeypatch.setattr(audiomentations.Reverse, "apply", fail)
    before = random.getstate()
    with pytest.raises(DataError, match=r"^changed copy 3: Reverse failed: out of luck$"):
        made.variant(SOUND, RATE, "clip", 3)
    assert random.getstate() == before


@pytest.mark.parametrize(("left", "message"), [(SOUND[:0], "no samples"), (SOUND * np.nan, "not numbers")])
def test_copies_without_sound_are_a_reason(monkeypatch: pytest.MonkeyPatch, left: np.ndarray, message: str) -> None:
    made = augmenter({"Reverse": {}})
    monkeypatch.setattr(audiomentations.Reverse, "__call__", lambda self, samples, sample_rate: left)
    with pytest.raises(DataError, match=f"changed copy 1: the transforms leave .*{message}"):
        made.variant(SOUND, RATE, "clip", 1)


MISTAKES = {
    "a name that is nearly right": ([SNR, {"AddGausianNoise": {}}], r"transforms\.1': .*'; did you mean 'AddGaussianN"),
    "a name that is nothing": ([{"Xyzzy": None}], r"\.0': .* no transform 'Xyzzy' \(transforms: AddBackgroundNoise, "),
    "a name of something else": ([{"Compose": None}], "no transform 'Compose'"),
    "an argument it does not take": ([{"Gain": {"loudness": 3}}], r"Gain does not take these arguments: .*loudness"),
    "an argument out of range": ([{"AddGaussianSNR": {"min_snr_db": 20, "max_snr_db": 5}}], "not take these arguments"),
    "a folder that is not there": ([{"AddBackgroundNoise": {"sounds_path": "/no/where"}}], "not take these arguments"),
    "two in one item": ([{"Gain": {}, "Reverse": {}}], "must be one transform, found Gain, Reverse"),
    "none in an item": ([{}], "must be one transform, found none"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_in_a_recipe_is_one_line_that_names_its_place(kind: str) -> None:
    transforms, message = MISTAKES[kind]
    with pytest.raises(RecipeError, match=message) as caught:
        augmenter(*transforms)
    assert len(caught.value.problems) == 1
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("'augment.transforms.")
