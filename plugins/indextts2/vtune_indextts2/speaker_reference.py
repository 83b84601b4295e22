"""Choose the speaker of an utterance: the voice's stored reference or a recording, with the requested emotion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from vtune import Conditioning, VoiceError
from vtune_indextts2.emotion_request import KnownEmotions, requested_emotion
from vtune_indextts2.recording_tensors import FlowPrompt
from vtune_indextts2.reference_recording import recording_of

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base
    from vtune_indextts2.options import IndexTTS2Options


MAX_PACE_SECONDS = 20
"""Largest accepted seconds of sound for one text token; the slowest speakers need one second."""


@dataclass(frozen=True)
class SpeakerPrompt:
    """The speaker of an utterance.

    :param conditioning: speaker with emotion as the GPT takes them: float32 ``[1 x 32 x D]``, of IndexTTS-2.5
        ``[1 x (S + D)]``.
    :param flow_prompt: the reference that the flow continues.
    :param language: the row of the language that is spoken, for a release that has rows.
    """

    conditioning: torch.Tensor
    flow_prompt: FlowPrompt
    language: int | None = None


@dataclass(frozen=True)
class CodeEmbeddings:
    """The codec's embeddings of its codes, as a voice stores them."""

    codebook: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor

    def lookup(self, codes: torch.Tensor) -> torch.Tensor:
        """Embed codes ``[B x N]`` to ``[B x N x H]``."""
        return F.linear(F.embedding(codes, self.codebook), self.weight, self.bias)


def code_embeddings_of(base: IndexTTS2Base, conditioning: Conditioning) -> CodeEmbeddings:
    """Return the code embeddings of a voice. :raises VoiceError: the voice has none."""
    return CodeEmbeddings(
        *(stored_tensor(base, conditioning, name) for name in ("codebook", "codebook_weight", "codebook_bias"))
    )


def speaker_of(
    base: IndexTTS2Base, conditioning: Conditioning, options: IndexTTS2Options | None = None, tag: str = "",
    seed: int = 0,
) -> SpeakerPrompt:  # fmt: skip
    """Return the speaker of an utterance from the voice and the options.

    :param options: the options of the utterance; default: the base's.
    :param tag: the language of the utterance, for a release that has tags.
    :param seed: of the utterance, for an emotion that is chosen at random.
    :raises VoiceError: a recording is silent, too short or too long, or the voice lacks a tensor.
    """
    options = options or base.options
    if options.reference_audio is not None:
        features, flow_prompt = recording_of(base, options, "reference_audio", options.reference_audio)
        condition, own = features.condition, features.emotion
    else:
        flow_prompt = FlowPrompt(
            *(stored_tensor(base, conditioning, name) for name in ("style", "ref_mel", "prompt_condition"))
        )
        condition, own = (stored_tensor(base, conditioning, name) for name in (base.release.stored_speaker, "emotion"))
    known = KnownEmotions(own, stored_tensor(base, conditioning, "emotion"), flow_prompt.style)
    emotion = requested_emotion(base, options, known, seed)
    return SpeakerPrompt(base.release.join(condition, emotion), flow_prompt, base.frontend.row(tag))


def stored_tensor(base: IndexTTS2Base, conditioning: Conditioning, name: str) -> torch.Tensor:
    """Return a tensor of a voice. :raises VoiceError: the voice has none, or one of another shape."""
    if name not in conditioning.tensors:
        raise VoiceError(f"the voice's conditioning.safetensors has no {name!r}; make the voice again")
    array, axes = conditioning.tensors[name], _axes(base)[name]
    fits = len(axes) == array.ndim and all(a in (None, size) for a, size in zip(axes, array.shape, strict=True))
    if array.dtype.kind != "f" or not fits or not array.size:
        expected = ", ".join("any" if size is None else str(size) for size in axes)
        raise VoiceError(
            f"the voice's conditioning.safetensors holds {name!r} as {array.dtype} {list(array.shape)}, expected "
            f"floats [{expected}]; make the voice again"
        )
    return torch.from_numpy(array).to(base.frozen_device)


def _axes(base: IndexTTS2Base) -> dict[str, tuple[int | None, ...]]:
    """Return the shape of each tensor of a voice; None for an axis that depends on the length of its reference."""
    config = base.config
    return {
        "style": (1, config.s2mel.style_encoder.dim),
        "ref_mel": (1, config.mel.bins, None),
        "prompt_condition": (1, None, config.s2mel.dit.content_dim),
        "emotion": (1, config.gpt.model_dim),
        **base.release.stored_shapes(config),
    }


def pace_of(conditioning: Conditioning) -> float:
    """Return the voice's seconds for one text token. :raises VoiceError: the conditioning holds no valid pace."""
    return conditioning.number("seconds_per_token", MAX_PACE_SECONDS)
