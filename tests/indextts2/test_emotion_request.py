"""Which emotion an utterance has: weights with and without the cap, random rows, a description in words."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from vtune import Conditioning, EngineError, VoiceError
from vtune.testing import made_clip
from vtune_indextts2 import emotion_reader, emotion_request
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.conditioning import extract
from vtune_indextts2.emotion_reader import ANSWER_NAMES, read_emotion, weights_of
from vtune_indextts2.emotion_request import KnownEmotions, effective_weights, requested_emotion
from vtune_indextts2.options import IndexTTS2Options

HAPPY_AND_SAD = (0.9, 0.0, 0.7, 0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def kept(make_base: Callable[..., IndexTTS2Base]) -> Conditioning:
    return extract(make_base(), [made_clip(22_050, 1.0, 3)])


def known(conditioning: Conditioning) -> KnownEmotions:
    emotion, style = (torch.from_numpy(conditioning.tensors[name]) for name in ("emotion", "style"))
    return KnownEmotions(emotion, emotion, style)


# The cap


@pytest.mark.parametrize(
    ("options", "strength", "expected"),
    [
        # As upstream's web page: weakened by its factors, then scaled to a sum of 0.8.
        ({}, 1.0, np.array(HAPPY_AND_SAD) * [0.9375, 1, 1, 1, 1, 1, 1, 1] * 0.8 / (0.9 * 0.9375 + 0.7)),
        ({"emotion_bias": False}, 1.0, np.array(HAPPY_AND_SAD) * 0.8 / 1.6),
        # As upstream's Python API: as they are; a strength below 1 cuts to four decimals, one above 1 counts as 1.
        ({"emotion_cap": False}, 1.0, HAPPY_AND_SAD),
        ({"emotion_cap": False}, 2.0, HAPPY_AND_SAD),
        ({"emotion_cap": False}, 0.333, [int(w * 0.333 * 10000) / 10000 for w in HAPPY_AND_SAD]),
        ({"emotion_cap": False, "emotion_bias": True}, 1.0, np.array(HAPPY_AND_SAD) * [0.9375, 1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_weights_count_as_upstreams_page_or_its_python_api_has_them(
    options: dict[str, bool], strength: float, expected: list[float]
) -> None:
    got = effective_weights(IndexTTS2Options.model_validate(options), HAPPY_AND_SAD, strength)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6)


def test_without_the_cap_nothing_of_the_speaker_need_stay(
    make_base: Callable[..., IndexTTS2Base], kept: Conditioning
) -> None:
    base = make_base(emotion_weights=[1.0] + [0.0] * 7, emotion_cap=False)
    got = requested_emotion(base, base.options, known(kept), 0)
    row = int(base.emotions.nearest(known(kept).style)[0])
    torch.testing.assert_close(got[0], base.emotions.emotions[row])


# Random rows


def test_random_rows_follow_the_seed_and_reach_every_row(
    make_base: Callable[..., IndexTTS2Base], kept: Conditioning
) -> None:
    base = make_base(emotion_weights=[0.8] + [0.0] * 7, use_random=True, emotion_bias=False)
    results = [requested_emotion(base, base.options, known(kept), seed) for seed in range(40)]
    assert torch.equal(results[5], requested_emotion(base, base.options, known(kept), 5))
    rows = base.emotions.emotions[: base.emotions.groups[0]]
    expected = [0.8 * row + 0.2 * known(kept).own[0] for row in rows]
    hit = {min(range(len(rows)), key=lambda n: float((result[0] - expected[n]).abs().sum())) for result in results}
    assert hit == set(range(len(rows)))


# A description in words


@pytest.mark.parametrize(
    ("answer", "description", "weights"),
    [
        (json.dumps(dict(zip(ANSWER_NAMES, (0.9, 0, 0.1, 0, 0, 0, 0, 0), strict=True))), "a party",
         (0.9, 0, 0.1, 0, 0, 0, 0, 0)),
        (f"{ANSWER_NAMES[1]}: 0.75, {ANSWER_NAMES[3]}: 0.2", "a fight", (0, 0.75, 0, 0.2, 0, 0, 0, 0)),
        (f'{{"{ANSWER_NAMES[2]}": 0.8}}', "so Gloomy today", (0, 0, 0, 0, 0, 0.8, 0, 0)),
        (f'{{"{ANSWER_NAMES[0]}": 7, "{ANSWER_NAMES[2]}": -1}}', "x", (1.2, 0, 0, 0, 0, 0, 0, 0)),
        (f'{{"{ANSWER_NAMES[0]}": 0.0}}', "nothing", (0, 0, 0, 0, 0, 0, 0, 1.0)),
    ],
)  # fmt: skip
def test_an_answer_of_the_language_model_gives_eight_weights(
    answer: str, description: str, weights: tuple[float, ...]
) -> None:
    """Upstream's rules: JSON or pairs, each 0 to 1.2, melancholic by its words, calm if nothing is said."""
    assert weights_of(answer, description) == weights


def test_an_answer_without_emotions_is_one_line() -> None:
    with pytest.raises(EngineError, match="the language model answered 'I am a model', which names no emotion"):
        weights_of("I am a model", "x")


def test_a_description_is_read_once_and_mixed_as_weights_are(
    make_base: Callable[..., IndexTTS2Base], kept: Conditioning, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")
    base = make_base(emotion_text="furious", emotion_model=str(tmp_path))
    calls = []

    def read(folder: Path, text: str, device: torch.device) -> tuple[float, ...]:
        calls.append((folder, text))
        return (0.0, 0.6, *[0.0] * 6)

    monkeypatch.setattr(emotion_request, "read_emotion", read)
    got = requested_emotion(base, base.options, known(kept), 0)
    weights = base.options.model_copy(update={"emotion_text": None, "emotion_weights": (0.0, 0.6, *[0.0] * 6)})
    assert torch.equal(got, requested_emotion(base, weights, known(kept), 0))
    assert calls == [(tmp_path, "furious")]


def test_the_language_model_is_loaded_by_its_own_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A tiny Qwen3 whose answer is written by its tokenizer alone: whatever it says, the last words are read."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    caplog.set_level(logging.INFO)
    answer = f'{{"{ANSWER_NAMES[6]}":0.5}}'
    inner = Tokenizer(models.WordLevel({"<unk>": 0, "<eos>": 1, answer: 2}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="<eos>")
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    tokenizer.save_pretrained(tmp_path)
    network = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=3, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1, head_dim=8,
            intermediate_size=8, eos_token_id=1, pad_token_id=1,
        )
    )  # fmt: skip
    with torch.no_grad():
        network.lm_head.weight.zero_()  # every token is equally likely: greedy decoding takes the first
    network.save_pretrained(tmp_path)
    monkeypatch.setattr(emotion_reader, "MAX_ANSWER_TOKENS", 1)
    read_emotion.cache_clear()
    with pytest.raises(EngineError, match="which names no emotion"):
        read_emotion(tmp_path, "a surprise", torch.device("cpu"))
    with torch.no_grad():
        network.model.norm.weight.zero_()
        network.lm_head.bias = torch.nn.Parameter(torch.tensor([0.0, 0.0, 1.0]))
    monkeypatch.setattr(emotion_reader, "_load", lambda folder, device: (tokenizer, network.eval()))
    expected = (0, 0, 0, 0, 0, 0, 0.5, 0)
    assert read_emotion(tmp_path, "a surprise", torch.device("cpu")) == expected
    monkeypatch.setattr(emotion_reader, "_load", lambda *_: pytest.fail("it is computed once"))
    assert read_emotion(tmp_path, "a surprise", torch.device("cpu")) == expected
    assert f"{tmp_path.name} reads 'a surprise' as surprised 0.5" in caplog.text


def test_what_cannot_be_asked_is_one_line(make_base: Callable[..., IndexTTS2Base], kept: Conditioning) -> None:
    both = make_base(emotion_text="sad", emotion_weights=list(HAPPY_AND_SAD))
    with pytest.raises(VoiceError, match="emotion_text and emotion_weights both ask for an emotion"):
        requested_emotion(both, both.options, known(kept), 0)
    absent = make_base(emotion_text="sad")
    with pytest.raises(EngineError, match=r"emotion_text needs the small language model of IndexTTS-2, and .* is not"):
        requested_emotion(absent, absent.options, known(kept), 0)
