"""The conditioning of a voice: its name in the prompt, the token layout, its pace, and reference clips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vtune import Clip, Conditioning, VoiceError
from vtune.errors import shown
from vtune_orpheus.prompts import end_ids, prompt_ids, prompt_text

if TYPE_CHECKING:
    from vtune_orpheus.base import OrpheusBase


MAX_PACE_SECONDS = 5
"""Largest accepted seconds of sound for one letter; the slowest speakers need a fifth of a second."""


MAX_STRING_CHARACTERS = 1_000
"""Largest accepted length of a string in a voice's conditioning."""


def extract(base: OrpheusBase, clips: Sequence[Clip]) -> Conditioning:
    """Return the conditioning of a voice from its clips.

    Strings: ``voice``, ``voice_prefix``, ``layout``, ``fingerprint`` and ``seconds_per_character``. Tensors:
    ``reference_0`` and so on, int64 ``[P + 7*T + 2]``, whole training rows that come before a prompt as in zero-shot
    use.
    """
    options = base.options
    characters = sum(len(clip.text) for clip in clips)
    pace = sum(clip.seconds for clip in clips) / max(characters, 1)
    references = {
        f"reference_{index}": _reference(base, clip) for index, clip in enumerate(clips[: options.reference_clips])
    }
    strings = {
        "voice": clips[0].voice,
        "voice_prefix": json.dumps(options.voice_prefix),
        "layout": json.dumps(base.layout.settings()),
        "fingerprint": json.dumps(base.fingerprint()),
        "seconds_per_character": f"{pace:.5f}",
    }
    return Conditioning(references, strings)


def prompt_of(base: OrpheusBase, conditioning: Conditioning, text: str) -> list[int]:
    """Return the token ids before the first sound token: the reference clips, then the prompt of the text."""
    prefix = _string(conditioning, "voice_prefix") == "true"
    words = prompt_text(text, _string(conditioning, "voice"), prefix)
    references = [token for name in sorted(conditioning.tensors) for token in _tokens(base, conditioning, name)]
    return references + prompt_ids(base.tokenizer, base.layout, words)


def expected_tokens(conditioning: Conditioning, text: str) -> float:
    """Return the number of sound tokens that a text has at the voice's own pace: 7 for 2048 samples at 24 kHz.

    :raises VoiceError: the conditioning holds no valid pace.
    """
    _string(conditioning, "seconds_per_character")
    return len(text) * conditioning.number("seconds_per_character", MAX_PACE_SECONDS) * 7 * 24_000 / 2048


def _string(conditioning: Conditioning, name: str) -> str:
    if name not in conditioning.strings:
        raise VoiceError(f"the voice's conditioning.safetensors has no {name!r}; make the voice again")
    if len(conditioning.strings[name]) > MAX_STRING_CHARACTERS:
        raise VoiceError(
            f"the voice's conditioning.safetensors has a {name!r} of more than {MAX_STRING_CHARACTERS} characters; "
            "make the voice again"
        )
    return conditioning.strings[name]


def _tokens(base: OrpheusBase, conditioning: Conditioning, name: str) -> list[int]:
    """Return the token ids of a reference clip. :raises VoiceError: an id is not in this base's vocabulary."""
    ids = conditioning.tensors[name]
    vocabulary = base.config.vocab_size
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or not ids.size or ids.min() < 0 or ids.max() >= vocabulary:
        raise VoiceError(
            f"{shown(name)} in the voice's conditioning.safetensors does not hold ids from 0 to {vocabulary - 1}; "
            "make the voice again"
        )
    tokens: list[int] = ids.tolist()
    return tokens


def _reference(base: OrpheusBase, clip: Clip) -> np.ndarray:
    words = prompt_text(clip.text, clip.voice, base.options.voice_prefix)
    sound = base.layout.interleave(base.encode(clip.waveform)).tolist()
    ids = [*prompt_ids(base.tokenizer, base.layout, words), *sound, *end_ids(base.layout)]
    return np.asarray(ids, dtype=np.int64)
