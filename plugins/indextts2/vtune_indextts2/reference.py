"""Whom a voice speaks as: its stored reference or a recording, with the emotion that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from vtune import Conditioning, VoiceError
from vtune.audio import recorded
from vtune_indextts2.gpt.emotion import BIAS, damped, merge
from vtune_indextts2.listening import SHORTEST, Heard, Portrait, hear, portray

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base
    from vtune_indextts2.options import IndexTTS2Options


MAX_PACE_SECONDS = 20
"""Seconds of sound a token of text; the slowest speaker takes one."""


@dataclass(frozen=True)
class Speaker:
    """All that synthesis takes of a voice.

    :param conditioning: speaker latents with emotion, float32 ``[1, 32, D]``.
    :param portrait: what the flow continues.
    """

    conditioning: torch.Tensor
    portrait: Portrait


@dataclass(frozen=True)
class CodeTable:
    """The codec's embeddings of its codes, as a voice keeps them."""

    codebook: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor

    def lookup(self, codes: torch.Tensor) -> torch.Tensor:
        """Embed codes ``[B, N]`` as ``[B, N, H]``."""
        return F.linear(F.embedding(codes, self.codebook), self.weight, self.bias)


def code_table(base: IndexTTS2Base, conditioning: Conditioning) -> CodeTable:
    """Return the voice's table. :raises VoiceError: the voice lacks it."""
    return CodeTable(*(_stored(base, conditioning, name) for name in ("codebook", "codebook_weight", "codebook_bias")))


def speaker_of(base: IndexTTS2Base, conditioning: Conditioning, options: IndexTTS2Options | None = None) -> Speaker:
    """Put together whom to speak as, by the voice and the options.

    :param options: of the utterance; default: the base's.
    :raises VoiceError: a recording is silent, too short or too long; the voice lacks a tensor.
    """
    options = options or base.options
    if options.reference_audio is not None:
        heard, portrait = _listen(base, options, "reference_audio", options.reference_audio)
        condition, own = heard.condition, heard.emotion
    else:
        portrait = Portrait(*(_stored(base, conditioning, name) for name in ("style", "ref_mel", "prompt_condition")))
        condition, own = (_stored(base, conditioning, name) for name in ("condition", "emotion"))
    emotion = _emotion(base, options, own, portrait.style, _stored(base, conditioning, "emotion"))
    return Speaker(condition + emotion[:, None], portrait)


def _emotion(
    base: IndexTTS2Base, options: IndexTTS2Options, own: torch.Tensor, style: torch.Tensor, stored: torch.Tensor
) -> torch.Tensor:
    strength = 1.0 if options.emotion_strength is None else options.emotion_strength
    if options.emotion_audio is not None:
        return merge(own, _listen(base, options, "emotion_audio", options.emotion_audio)[0].emotion, strength)
    if options.emotion_weights is not None:
        weights = [strength * weight for weight in options.emotion_weights]
        mixed = damped(weights, BIAS if options.emotion_bias else None).to(own)
        return base.emotions.mix(mixed, own, style)
    if options.reference_audio is None:
        return strength * own
    # Somebody else's sound with this voice's emotion, as far as it is asked for.
    return own if options.emotion_strength is None else merge(own, stored, strength)


def _listen(base: IndexTTS2Base, options: IndexTTS2Options, option: str, path: Path) -> tuple[Heard, Portrait]:
    changed = path.stat().st_mtime_ns if path.is_file() else 0
    longest = options.reference_seconds
    key = (str(path), changed, longest)  # voices that share the base may allow different lengths
    if key not in base.heard_recordings:
        waveform, rate = recorded(path)
        seconds = len(waveform) / rate
        if not SHORTEST <= seconds <= longest:
            raise VoiceError(
                f"{option} {path} has {seconds:.1f} s; it takes {SHORTEST:g} to {longest:g} s "
                "(engine_options.reference_seconds): cut a piece with one person speaking"
            )
        if not waveform.any():
            raise VoiceError(f"{option} {path} is {seconds:.1f} s of digital silence; nobody can be heard in it")
        heard = hear(base, waveform, rate)
        base.heard_recordings[key] = (heard, portray(base, waveform, rate, heard))
    return base.heard_recordings[key]


def _stored(base: IndexTTS2Base, conditioning: Conditioning, name: str) -> torch.Tensor:
    if name not in conditioning.tensors:
        raise VoiceError(f"the voice's conditioning.safetensors has no {name!r}; make the voice again")
    array, axes = conditioning.tensors[name], _axes(base)[name]
    fits = len(axes) == array.ndim and all(a in (None, size) for a, size in zip(axes, array.shape, strict=True))
    if array.dtype.kind != "f" or not fits or not array.size:
        expected = ", ".join("any" if wanted is None else str(wanted) for wanted in axes)
        raise VoiceError(
            f"the voice's conditioning.safetensors holds {name!r} as {array.dtype} {list(array.shape)}, expected "
            f"floats [{expected}]; make the voice again"
        )
    return torch.from_numpy(array).to(base.frozen_device)


def _axes(base: IndexTTS2Base) -> dict[str, tuple[int | None, ...]]:
    """Return the sizes of the axes of what a voice keeps; None where the length of its reference decides."""
    config = base.config
    codec, width = config.semantic_codec, config.gpt.model_dim
    return {
        "style": (1, config.s2mel.style_encoder.dim),
        "ref_mel": (1, config.mel.bins, None),
        "prompt_condition": (1, None, config.s2mel.dit.content_dim),
        "condition": (1, None, width),
        "emotion": (1, width),
        "codebook": (codec.codebook_size, codec.codebook_dim),
        "codebook_weight": (codec.hidden_size, codec.codebook_dim),
        "codebook_bias": (codec.hidden_size,),
    }


def pace_of(conditioning: Conditioning) -> float:
    """Return the voice's seconds a token. :raises VoiceError: it has none, or a pace of nobody."""
    return conditioning.number("seconds_per_token", MAX_PACE_SECONDS)
