"""Measure how far the GPT still answers to an emotion: a training on calm speech makes it deaf to it.

For a text, codes are generated with the voice's own emotion. Then the network is told four emotions in turn, and for
each code of the same row the distribution over the next code is compared with that of the voice's own emotion. The
number is the mean Kullback-Leibler divergence in nats a code: 0 for a network that ignores the emotion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from vtune import Conditioning
from vtune.contract.metrics import MetricResult, MetricSpec, MetricValues, Ratio, TestSet, Utterance
from vtune.recipe import Recipe
from vtune_indextts2.gpt.code_decoder import latents
from vtune_indextts2.gpt.emotion import EMOTION_NAMES
from vtune_indextts2.speaker_reference import SpeakerPrompt, speaker_of
from vtune_indextts2.speech import generate_codes, network_of

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base
    from vtune_indextts2.gpt.network import SemanticGPT

PROBED_EMOTIONS = ("happy", "angry", "sad", "afraid")
PROBED_CODES, PROBED_STRENGTH = 150, 0.8
"""Codes of a text that are compared, and the weight of each emotion: the largest that ``emotion_cap`` lets through."""

SPEC = MetricSpec("emotion_response", "response to emotion", "high", "nats", headline=True, scale=(0.0, 1.0), kept=0.5)


class EmotionResponse:
    """The metric that shows what ``response`` measured."""

    specs: ClassVar[Sequence[MetricSpec]] = (SPEC,)

    def __init__(self, test_set: TestSet, recipe: Recipe) -> None:
        """Take what every metric is made with; nothing of it is needed."""

    def measure(self, utterances: Sequence[Utterance]) -> MetricResult:
        """Return the numbers of the utterances whose network was measured."""
        values: MetricValues = [
            Ratio(utterance.numbers[SPEC.name]) if SPEC.name in utterance.numbers else None for utterance in utterances
        ]
        return MetricResult({SPEC.name: values})


def response(
    base: IndexTTS2Base, model: nn.Module, text: str, conditioning: Conditioning, seed: int
) -> dict[str, float]:
    """Return ``emotion_response`` of a text in nats a code; nothing for a text without words."""
    options, network = base.options, network_of(model)
    tag = base.frontend.resolve(text, options.language, conditioning.strings.get("language"))
    longest = min(options.segment_tokens, base.config.gpt.max_text_tokens)
    ids = next(filter(None, base.frontend.spoken_segments(text, longest, 0, tag)), [])
    if not ids:
        return {}
    plain = {"emotion_audio": None, "emotion_text": None, "emotion_weights": None, "emotion_bias": False}
    own = speaker_of(base, conditioning, options.model_copy(update=plain), tag)
    codes, _ = generate_codes(base, network, own, ids, PROBED_CODES, seed, options)
    if not codes:
        return {}
    expected = _next_codes(network, own, ids, codes)
    divergences = []
    for name in PROBED_EMOTIONS:
        weights = tuple(PROBED_STRENGTH if name == other else 0.0 for other in EMOTION_NAMES)
        emotional = options.model_copy(update={**plain, "emotion_weights": weights, "emotion_strength": None})
        answer = _next_codes(network, speaker_of(base, conditioning, emotional, tag), ids, codes)
        divergences.append(F.kl_div(expected, answer, reduction="none", log_target=True).sum(dim=-1).mean())
    return {SPEC.name: float(torch.stack(divergences).mean())}


def _next_codes(network: SemanticGPT, speaker: SpeakerPrompt, ids: Sequence[int], codes: Sequence[int]) -> torch.Tensor:
    """Return the logarithms of the probabilities of each next code, float64 ``[N x V]``."""
    prompt = speaker.conditioning.to(network.mel_embedding.weight.device)
    hidden = latents(network, prompt, ids, codes, speaker.language)[0]
    return F.log_softmax(network.mel_head(hidden).double(), dim=-1)
