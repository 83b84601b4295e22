"""The emotion of an utterance: that of the voice, of a recording, of eight weights, or of a description in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from vtune import VoiceError
from vtune_indextts2.emotion_reader import read_emotion
from vtune_indextts2.gpt.emotion import EMOTION_BIAS, interpolate_emotion, limit_weights
from vtune_indextts2.reference_recording import recording_of

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base
    from vtune_indextts2.options import IndexTTS2Options

WEIGHT_DIGITS = 10_000
"""Upstream's Python API cuts weights that it scales to four decimals."""


@dataclass(frozen=True)
class KnownEmotions:
    """The emotion vectors that an utterance begins with.

    :param own: of the reference that is spoken with, ``[1 x D]``; ``stored`` is that of the voice.
    :param style: speaker embedding of the reference ``[1 x S]``.
    """

    own: torch.Tensor
    stored: torch.Tensor
    style: torch.Tensor


def requested_emotion(base: IndexTTS2Base, options: IndexTTS2Options, known: KnownEmotions, seed: int) -> torch.Tensor:
    """Return the emotion vector of an utterance ``[1 x D]``.

    :param seed: of the utterance; ``use_random`` chooses by it.
    :raises VoiceError: two options ask for an emotion, or a recording cannot be used.
    :raises EngineError: the language model that reads descriptions is not there.
    """
    strength = 1.0 if options.emotion_strength is None else options.emotion_strength
    if options.emotion_text is not None and (options.emotion_audio or options.emotion_weights):
        other = "emotion_audio" if options.emotion_audio else "emotion_weights"
        raise VoiceError(f"emotion_text and {other} both ask for an emotion; leave one of them out")
    if options.emotion_audio is not None:
        recording, _ = recording_of(base, options, "emotion_audio", options.emotion_audio)
        return interpolate_emotion(known.own, recording.emotion, strength)
    weights: Sequence[float] | None = options.emotion_weights
    if options.emotion_text is not None:
        weights = read_emotion(base.files.emotion_model, options.emotion_text, base.frozen_device)
    if weights is not None:
        scaled = effective_weights(options, weights, strength).to(known.own)
        rows = base.emotions.random_rows(seed) if options.use_random else None
        return base.emotions.mix(scaled, known.own, known.style, rows)
    if options.reference_audio is None:
        return strength * known.own
    # The sound of another person with this voice's emotion, if it is requested.
    return known.own if options.emotion_strength is None else interpolate_emotion(known.own, known.stored, strength)


def effective_weights(options: IndexTTS2Options, weights: Sequence[float], strength: float) -> torch.Tensor:
    """Return the weights that are mixed, float32 ``[8]``.

    With ``emotion_cap`` they are weakened and limited as upstream's web page does. Without it they count as they are,
    as in upstream's Python API, where a strength below 1 cuts them to four decimals.
    """
    is_biased = options.emotion_cap if options.emotion_bias is None else options.emotion_bias
    bias = EMOTION_BIAS if is_biased else None
    if options.emotion_cap:
        return limit_weights([strength * weight for weight in weights], bias)
    share = min(max(strength, 0.0), 1.0)
    if share != 1:
        weights = [int(weight * share * WEIGHT_DIGITS) / WEIGHT_DIGITS for weight in weights]
    scaled = torch.tensor(weights, dtype=torch.float32)
    return scaled if bias is None else scaled * torch.tensor(bias)
