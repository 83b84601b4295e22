from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import vtune
from vtune.testing import made_clip
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.training_rows import collate, prepare

RATE = 16_000
WIDTH = 32


@pytest.fixture(scope="module")
def base(make_base: Callable[..., IndexTTS2Base]) -> IndexTTS2Base:
    return make_base()


# One clip.


@pytest.mark.parametrize("seconds", [0.5, 1.3])
def test_a_row_is_what_each_part_of_the_base_makes_of_the_clip(base: IndexTTS2Base, seconds: float) -> None:
    clip = made_clip(RATE, seconds, 0)
    row = prepare(base, clip)
    with torch.no_grad():
        features = base.semantic.encode(torch.from_numpy(clip.waveform))  # at 16 kHz nothing is resampled
        codes, _ = base.codec.quantize(features)
        expected = {
            "text_ids": np.array(base.frontend.tokenize(clip.text), dtype=np.int32),
            "codes": codes[0].numpy().astype(np.int32),
            "condition": base.conditioning_encoder.speaker(features)[0].numpy().astype(np.float16),
            "emotion": base.conditioning_encoder.emotion(features)[0].numpy().astype(np.float16),
        }
    assert row.keys() == expected.keys()
    for name, array in expected.items():
        assert row[name].dtype == array.dtype, name
        assert np.array_equal(row[name], array), name
    frames = 1 + (len(clip.waveform) - 400) // 160  # of 25 ms, 10 ms apart; two make a code
    assert row["codes"].shape == (-(-frames // 2),)
    assert row["condition"].shape == (32, WIDTH)
    assert row["emotion"].shape == (WIDTH,)


def test_the_same_clip_is_the_same_bytes(base: IndexTTS2Base, make_base: Callable[..., IndexTTS2Base]) -> None:
    clip = made_clip(22_050, 0.7, 1)
    first = prepare(base, clip)
    for again in (prepare(base, clip), prepare(make_base(), clip)):
        assert {name: array.tobytes() for name, array in first.items()} == {n: a.tobytes() for n, a in again.items()}


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_a_clip_has_about_fifty_codes_a_second_at_any_rate(base: IndexTTS2Base, rate: int) -> None:
    assert abs(len(prepare(base, made_clip(rate, 1.0, 0))["codes"]) - 50) <= 1


def test_what_is_long_in_a_row_does_not_grow_with_the_clip(base: IndexTTS2Base) -> None:
    for seconds in (0.5, 2.0):
        row = prepare(base, made_clip(RATE, seconds, 0))
        kept = row["condition"].nbytes + row["emotion"].nbytes
        assert kept * 1280 // WIDTH == 84_480  # at the width of the published model


def clip(seconds: float = 1.0, text: str = "one two three", loud: bool = True) -> vtune.Clip:
    made = replace(made_clip(RATE, seconds, 0), text=text)
    return made if loud else replace(made, waveform=np.zeros_like(made.waveform))


@pytest.mark.parametrize(
    ("refused", "says"),
    [
        (clip(1.25, loud=False), r"1\.25 s of digital silence"),
        (clip(text=" "), "the text has no words to speak: ' '"),
        (clip(36.4), r"36\.4 s, more than the 36\.3 s of the base's max_mel_tokens"),
        (clip(0.05), r"0\.050 s, less than the 0\.1 s that the encoders need"),
        (clip(0.0), r"0\.00 s of digital silence"),
    ],
)
def test_a_clip_that_cannot_be_a_row_is_skipped_with_its_numbers(
    base: IndexTTS2Base, refused: vtune.Clip, says: str
) -> None:
    with pytest.raises(vtune.SkipClip, match=f"^{says}$"):
        prepare(base, refused)


def test_a_text_of_as_many_tokens_as_there_are_places_is_taken_and_no_longer_one(base: IndexTTS2Base) -> None:
    each = len(base.frontend.tokenize(" ".join("Q" * 100))) / 100
    fits, too_long = (" ".join("Q" * count) for count in (int(600 / each), int(600 / each) + 1))
    counts = [len(base.frontend.tokenize(text)) for text in (fits, too_long)]
    assert counts[0] == 600 < counts[1]
    assert len(prepare(base, clip(0.5, fits))["text_ids"]) == counts[0]
    with pytest.raises(vtune.SkipClip, match=f"^{counts[1]} text tokens, more than the base's max_text_tokens 600$"):
        prepare(base, clip(0.5, too_long))


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 48_000])
def test_the_shortest_clip_that_is_taken_can_be_heard(base: IndexTTS2Base, rate: int) -> None:
    row = prepare(base, made_clip(rate, 0.1, 0))
    assert len(row["codes"]) in (4, 5)
    assert np.isfinite(row["condition"]).all()


def test_the_longest_clip_that_is_taken_has_places_for_its_codes(base: IndexTTS2Base) -> None:
    sizes = base.config.gpt
    for samples in range(36_300 * 16 - 320, 36_300 * 16 + 1, 40):
        assert samples / RATE <= sizes.max_mel_tokens / 50
    features, _ = base.semantic.input_features([torch.ones(36_300 * 16)])
    assert features.shape[1] <= sizes.max_mel_tokens


# Rows to a batch.


def row(seed: int, text: int = 3, codes: int = 5, partner: int | None = None, lot: float | None = None) -> Any:
    """Return invented features; every condition and emotion is one number, so that a sum shows where it comes from."""
    random = np.random.default_rng(seed)
    features = {
        "text_ids": random.integers(2, 40, text).astype(np.int32),
        "codes": random.integers(0, 256, codes).astype(np.int32),
        "condition": np.full((32, WIDTH), seed, dtype=np.float16),
        "emotion": np.full(WIDTH, seed / 100, dtype=np.float16),
    }
    if partner is not None:
        features["paired.condition"] = np.full((32, WIDTH), partner, dtype=np.float16)
        features["paired.emotion"] = np.full(WIDTH, partner / 100, dtype=np.float16)
    if lot is not None:
        features["lot"] = np.asarray(lot)
    return features


OWN, OTHER = 1, 2


@pytest.mark.parametrize(
    ("options", "lot", "speaker", "emotion"),
    [
        ({}, 0.0, OTHER, OWN),  # the defaults: another clip's speaker, its own emotion
        ({"prompt": "self"}, 0.0, OWN, OWN),
        ({"emo_source": "prompt"}, 0.99, OTHER, OTHER),
        ({"prompt": "self", "emo_source": "prompt"}, 0.99, OWN, OTHER),
        ({"emo_source": "mix", "emo_mix": 0.25}, 0.24, OTHER, OTHER),
        ({"emo_source": "mix", "emo_mix": 0.25}, 0.25, OTHER, OWN),
        ({"emo_source": "mix", "emo_mix": 0.25}, 0.9, OTHER, OWN),
        ({"emo_source": "mix", "emo_mix": 0.0}, 0.0, OTHER, OWN),
        ({"emo_source": "mix", "emo_mix": 1.0}, 0.999, OTHER, OTHER),
    ],
)
def test_options_say_whose_speaker_and_whose_emotion_a_row_has(
    make_base: Callable[..., IndexTTS2Base], options: dict[str, Any], lot: float, speaker: int, emotion: int
) -> None:
    batch = collate(make_base(**options), [row(OWN, partner=OTHER, lot=lot)])
    expected = np.float32(speaker) + np.float32(np.float16(emotion / 100))
    assert batch["conditioning"].shape == (1, 32, WIDTH)
    assert batch["conditioning"].dtype == torch.float32
    assert (batch["conditioning"] == expected).all()
    alone = collate(make_base(**options), [row(OWN)])
    for name in batch.keys() - {"conditioning"}:  # what is said is always the row's own
        assert torch.equal(batch[name], alone[name]), name


@pytest.mark.parametrize("source", ["target", "prompt", "mix"])
@pytest.mark.parametrize("prompt", ["other", "self"])
def test_a_row_without_a_partner_prompts_itself(
    make_base: Callable[..., IndexTTS2Base], prompt: str, source: str
) -> None:
    base = make_base(prompt=prompt, emo_source=source, emo_mix=1.0)
    both = collate(base, [row(1), row(3, partner=4, lot=0.0)])["conditioning"]
    assert (both[0] == np.float32(1) + np.float32(np.float16(0.01))).all()
    speaker = 4 if prompt == "other" else 3
    emotion = 3 if source == "target" else 4
    assert (both[1] == np.float32(speaker) + np.float32(np.float16(emotion / 100))).all()


def test_conditions_and_emotions_are_added_in_float32(base: IndexTTS2Base) -> None:
    features = row(2048)
    features["emotion"][:] = 1  # in float16 2048 + 1 is 2048
    assert (collate(base, [features])["conditioning"] == 2049).all()


def test_rows_are_padded_on_the_right_to_a_multiple_of_eight(base: IndexTTS2Base) -> None:
    sizes: Sequence[tuple[int, int]] = [(1, 1), (4, 9), (2, 3)]
    rows = [row(seed, *size) for seed, size in enumerate(sizes)]
    batch = collate(base, rows)
    lengths = [text + 2 + codes + 1 for text, codes in sizes]
    assert max(lengths) == 16
    for name in ("input_ids", "kinds", "positions", "attention_mask", "text_labels", "labels"):
        assert batch[name].shape == (3, 16), name
        assert batch[name].dtype == torch.int64, name
    for number, (features, length) in enumerate(zip(rows, lengths, strict=True)):
        text, codes = features["text_ids"].tolist(), features["codes"].tolist()
        ids = [0, *text, 1, 256, *codes]
        padding = [0] * (16 - length)
        assert batch["input_ids"][number].tolist() == ids + padding
        assert batch["attention_mask"][number].tolist() == [1] * length + padding
        assert batch["kinds"][number].tolist() == [1] * (len(text) + 2) + [2] * (len(codes) + 1) + padding
        assert batch["text_labels"][number, : len(text) + 1].tolist() == [*text, 1]
        assert batch["labels"][number, len(text) + 2 : length].tolist() == [*codes, 257]
        assert (batch["text_labels"][number] != -100).sum() == len(text) + 1
        assert (batch["labels"][number] != -100).sum() == len(codes) + 1
    assert collate(base, [row(0, 1, 13)])["labels"].shape == (1, 24)  # 17 places


def test_rows_as_the_store_gives_them_back_make_the_same_batch(base: IndexTTS2Base) -> None:
    """The store widens small types: int32 to int64, and float16 to float32."""
    kept = [row(seed, partner=seed + 5, lot=0.5) for seed in range(3)]
    wide = [{name: a.astype(np.int64 if a.dtype.kind == "i" else np.float32) for name, a in r.items()} for r in kept]
    before, after = collate(base, kept), collate(base, wide)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
