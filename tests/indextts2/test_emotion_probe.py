"""The probe tells a network that answers to emotions from one that does not, and the scores show it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from vtune import Conditioning
from vtune.contract.metrics import TestSet, Utterance
from vtune.evaluation import score
from vtune.evaluation.synthesis import System, with_numbers
from vtune.testing import made_clip
from vtune_indextts2 import build_lora_model, engine_info, metrics
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.conditioning import extract
from vtune_indextts2.emotion_probe import PROBED_EMOTIONS, EmotionResponse, response
from vtune_indextts2.gpt.emotion import EMOTION_NAMES
from vtune_indextts2.speech import network_of


@pytest.fixture(scope="module")
def base(make_base: Callable[..., IndexTTS2Base]) -> IndexTTS2Base:
    return make_base()


@pytest.fixture(scope="module")
def kept(base: IndexTTS2Base) -> Conditioning:
    return extract(base, [made_clip(22_050, 1.0, 3)])


def test_it_is_the_mean_divergence_of_the_next_code(base: IndexTTS2Base, kept: Conditioning) -> None:
    """Computed again from probabilities by NumPy, with the emotion vectors mixed by hand."""
    network = base.new_network().eval()
    with torch.no_grad():
        got = response(base, network, "hello there", kept, 0)
    assert set(got) == {"emotion_response"}
    assert got["emotion_response"] > 0
    emotion, style, condition = (torch.from_numpy(kept.tensors[name]) for name in ("emotion", "style", "condition"))
    ids = base.frontend.tokenize("hello there")
    from vtune_indextts2.gpt.code_decoder import latents
    from vtune_indextts2.speaker_reference import speaker_of
    from vtune_indextts2.speech import generate_codes

    with torch.no_grad():
        codes, _ = generate_codes(base, network, speaker_of(base, kept), ids, 150, 0, base.options)

        def probabilities(vector: torch.Tensor) -> np.ndarray:
            hidden = latents(network, condition + vector[:, None], ids, codes)[0]
            logits = network.mel_head(hidden).double().numpy()
            shares = np.exp(logits - logits.max(axis=1, keepdims=True))
            return shares / shares.sum(axis=1, keepdims=True)

        plain = probabilities(emotion)
        divergences = []
        for name in PROBED_EMOTIONS:
            place = EMOTION_NAMES.index(name)
            row = torch.split(base.emotions.emotions, list(base.emotions.groups))[place][
                base.emotions.nearest(style)[place]
            ]
            told = probabilities(0.8 * row[None] + 0.2 * emotion)
            divergences.append((told * np.log(told / plain)).sum(axis=1).mean())
    assert got["emotion_response"] == pytest.approx(np.mean(divergences), rel=1e-4)


def test_a_network_that_ignores_its_conditioning_has_none(base: IndexTTS2Base, kept: Conditioning) -> None:
    model = build_lora_model(base, engine_info().lora).eval()
    with torch.no_grad():
        heard = response(base, model, "hello there", kept, 0)["emotion_response"]
        for block in network_of(model).gpt.h:
            block.attn.c_proj.base_layer.weight.zero_()  # no token hears another
        deaf = response(base, model, "hello there", kept, 0)["emotion_response"]
    assert heard > 0
    assert deaf == pytest.approx(0, abs=1e-9)


def test_a_text_without_words_has_no_number(base: IndexTTS2Base, kept: Conditioning) -> None:
    assert response(base, base.new_network(), "...", kept, 0) == {}


def test_a_voice_that_has_less_than_half_of_its_base_is_warned_about() -> None:
    assert metrics() == {"emotion": EmotionResponse}

    def spoken(system: str, number: float) -> list[Utterance]:
        utterances = [Utterance("a", 0, system, np.zeros(8, np.float32), 8_000)]
        return with_numbers(
            utterances, [System(system, lambda *_: iter(()), measure=lambda *_: {"emotion_response": number})]
        )

    from vtune.recipe import EvaluateRecipe

    class Recipe:
        evaluate = EvaluateRecipe()

    for number, warned in ((0.12, True), (0.3, False)):
        utterances = [*spoken("voice", number), *spoken("base", 0.4)]
        scores = score(utterances, TestSet(["a"], []), Recipe(), {"emotion": EmotionResponse})  # type: ignore[arg-type]
        assert scores.mean("emotion_response", "voice") == pytest.approx(number)
        assert (
            any("the voice has 30% of its base's (0.12 nats of 0.40 nats)" in line for line in scores.warnings())
            is warned
        )
