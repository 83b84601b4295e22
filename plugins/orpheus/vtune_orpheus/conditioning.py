"""What a voice keeps beside its adapter: its name in the prompt, the layout, its pace, and reference clips."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vtune import Clip, Conditioning
from vtune_orpheus.prompts import end_ids, prompt_ids, spoken

if TYPE_CHECKING:
    from vtune_orpheus.base import OrpheusBase


def extract(base: OrpheusBase, clips: Sequence[Clip]) -> Conditioning:
    """Keep strings ``voice``, ``layout``, ``fingerprint``, ``seconds_per_character``; as tensors,
    ``reference_0`` ... int64 ``[P + 7 T + 2]``: whole training rows, put before a prompt as in zero-shot use.
    """
    options = base.options
    characters = sum(len(clip.text) for clip in clips)
    pace = sum(clip.seconds for clip in clips) / max(characters, 1)
    references = {
        f"reference_{place}": _reference(base, clip) for place, clip in enumerate(clips[: options.reference_clips])
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
    """Return the ids before the first sound token: reference clips, then the prompt."""
    prefix = bool(json.loads(conditioning.strings["voice_prefix"]))
    words = spoken(text, conditioning.strings["voice"], prefix)
    references = [token for name in sorted(conditioning.tensors) for token in conditioning.tensors[name].tolist()]
    return references + prompt_ids(base.tokenizer, base.layout, words)


def expected_tokens(conditioning: Conditioning, text: str) -> float:
    """Return how many sound tokens the voice's own pace gives for a text: 7 a frame of 2048 samples at 24 kHz."""
    return len(text) * float(conditioning.strings["seconds_per_character"]) * 7 * 24_000 / 2048


def _reference(base: OrpheusBase, clip: Clip) -> np.ndarray:
    words = spoken(clip.text, clip.voice, base.options.voice_prefix)
    sound = base.layout.interleave(base.encode(clip.waveform)).tolist()
    ids = [*prompt_ids(base.tokenizer, base.layout, words), *sound, *end_ids(base.layout)]
    return np.asarray(ids, dtype=np.int64)
