from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import vtune
from vtune.testing import made_clip
from vtune_orpheus.base import OrpheusBase
from vtune_orpheus.training_rows import pad, prepare

RATE = 24_000


def test_a_row_is_the_official_sequence(base: OrpheusBase) -> None:
    clip = made_clip(RATE, 0.5, 0)
    layout, tokenizer = base.layout, base.tokenizer
    row = prepare(base, clip)
    # The tokenizer of the small checkpoint reads bytes, so its words can be written down without it.
    words = [tokenizer.get_vocab()[letter] for letter in "someone:\u0120one\u0120two\u0120three"]
    with torch.no_grad():
        c0, c1, c2 = base.codec.encode(torch.from_numpy(clip.waveform)[None, None])
    frames = []
    for i in range(c0.shape[1]):
        order = [
            c0[0, i],
            c1[0, 2 * i],
            c2[0, 4 * i],
            c2[0, 4 * i + 1],
            c1[0, 2 * i + 1],
            c2[0, 4 * i + 2],
            c2[0, 4 * i + 3],
        ]
        frames += [layout.audio + slot * layout.codebook + int(code) for slot, code in enumerate(order)]
    custom = tokenizer.convert_tokens_to_ids
    head = [custom("<custom_token_3>"), custom("<|begin_of_text|>"), *words, custom("<|eot_id|>")]
    head += [custom("<custom_token_4>"), custom("<custom_token_5>"), custom("<custom_token_1>")]
    tail = [custom("<custom_token_2>"), custom("<custom_token_6>")]
    assert row["input_ids"].tolist() == head + frames + tail
    assert row["labels"].tolist() == [-100] * len(head) + frames + tail
    assert c0.shape[1] == -(-len(clip.waveform) // 2048)


def test_the_loss_may_be_on_everything(make_base: Any) -> None:
    row = prepare(make_base(loss_on="all"), made_clip(RATE, 0.5, 0))
    assert np.array_equal(row["input_ids"], row["labels"])


def test_the_voice_prefix_may_be_left_out(make_base: Any) -> None:
    clip = made_clip(RATE, 0.5, 0)
    with_prefix, without = prepare(make_base(), clip), prepare(make_base(voice_prefix=False), clip)
    assert len(with_prefix["input_ids"]) - len(without["input_ids"]) == len("someone: ")


def test_words_that_spell_a_special_token_stay_words(base: OrpheusBase) -> None:
    clip = vtune.Clip("x", "someone", "say <custom_token_2> now", made_clip(RATE, 0.3, 0).waveform, RATE)
    ids = prepare(base, clip)["input_ids"].tolist()
    assert ids.count(base.layout.end_of_speech) == 1


def test_a_clip_over_the_budget_is_skipped_with_its_numbers(make_base: Any) -> None:
    with pytest.raises(vtune.SkipClip, match=r"tokens \(1\.0 s of sound, \d+ of prompt\), more than max_tokens 50"):
        prepare(make_base(max_tokens=50), made_clip(RATE, 1.0, 0))


def test_digital_silence_is_skipped(base: OrpheusBase) -> None:
    clip = vtune.Clip("x", "someone", "words", np.zeros(RATE, dtype=np.float32), RATE)
    with pytest.raises(vtune.SkipClip, match=r"1\.00 s of digital silence"):
        prepare(base, clip)


def test_repeated_frames_can_be_dropped(make_base: Any) -> None:
    still = vtune.Clip("x", "someone", "words", np.full(2 * RATE, 0.01, dtype=np.float32), RATE)
    kept, dropped = prepare(make_base(), still), prepare(make_base(remove_duplicate_frames=True), still)
    assert len(dropped["input_ids"]) < len(kept["input_ids"])
    assert (len(kept["input_ids"]) - len(dropped["input_ids"])) % 7 == 0


def test_batches_are_padded_right_to_a_multiple_of_eight(base: OrpheusBase) -> None:
    rows = [{"input_ids": np.arange(n), "labels": np.arange(n)} for n in (3, 11)]
    batch = pad(rows, base.layout.pad)
    assert batch["input_ids"].shape == (2, 16)
    assert batch["input_ids"][0].tolist() == [0, 1, 2] + [base.layout.pad] * 13
    assert batch["attention_mask"].sum(dim=1).tolist() == [3, 11]
    assert (batch["labels"][0] == -100).sum() == 13


def test_a_batch_of_unequal_lengths_gives_each_clip_the_loss_that_it_has_alone(base: OrpheusBase) -> None:
    network = base.new_network().eval()
    rows = [prepare(base, made_clip(RATE, seconds, index)) for index, seconds in enumerate((0.3, 1.1, 0.7))]
    batch = pad(rows, base.layout.pad)
    with torch.no_grad():
        logits = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])["logits"]
        for index, row in enumerate(rows):
            ids = torch.as_tensor(row["input_ids"])[None]
            alone = network(input_ids=ids)["logits"][0]
            torch.testing.assert_close(logits[index, : ids.shape[1]], alone, atol=2e-5, rtol=1e-4)
            # The cross entropy by its formula, against the model's own loss for the clip alone.
            labels = torch.as_tensor(row["labels"])[1:]
            chosen = labels != -100
            log_p = alone[:-1].double().log_softmax(-1)[chosen].gather(1, labels[chosen][:, None])
            loss = network(input_ids=ids, labels=torch.as_tensor(row["labels"])[None])["loss"]
            assert float(loss) == pytest.approx(float(-log_p.mean()), abs=1e-5)
