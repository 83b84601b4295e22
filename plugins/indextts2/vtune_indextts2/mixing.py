"""What a mix of voices keeps: speakers are averaged, sound is one speaker's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vtune import Conditioning, VoiceError

AVERAGED_TENSORS = ("style", "condition", "emotion")
"""A speaker in a fixed number of vectors. Everything else goes frame by frame: a mean of two recordings is neither."""


def mix(parts: Sequence[Conditioning], weights: Sequence[float]) -> Conditioning:
    """Average what has no time axis; the reference's sound, codes and settings stay the heaviest voice's, together.

    :raises VoiceError: a voice lacks a tensor.
    """
    # A voice of IndexTTS-2.5 has no latents: its style is the speaker.
    names = [name for name in AVERAGED_TENSORS if name != "condition" or any(name in part.tensors for part in parts)]
    means = {name: _mean([_stored(part, name) for part in parts], weights) for name in names}
    return Conditioning({**parts[0].tensors, **means}, parts[0].strings)


def _mean(arrays: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    mean: np.ndarray = np.average(arrays, axis=0, weights=weights).astype(arrays[0].dtype)
    return mean


def _stored(part: Conditioning, name: str) -> np.ndarray:
    if name not in part.tensors:
        raise VoiceError(f"a voice of the mix has no {name!r} in its conditioning.safetensors; make the voice again")
    return part.tensors[name]
