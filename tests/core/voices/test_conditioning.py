"""The conditioning of voices that share one adapter must tell them apart."""

from __future__ import annotations

import numpy as np
import pytest

from vtune.engines import load_engine
from vtune.errors import VoiceError
from vtune.types import Conditioning
from vtune.voices.conditioning import require_different

LATENTS = np.arange(6, dtype=np.float32)


def kept(clips: str, latents: np.ndarray = LATENTS, **strings: str) -> Conditioning:
    return Conditioning({"latents": latents}, {**strings, "vtune.clips": clips})


@pytest.mark.parametrize(
    "other", [kept("b", LATENTS + 1), kept("b", speaker="1"), kept("b", LATENTS[:5]), Conditioning({}, {})]
)
def test_voices_with_another_tensor_or_string_are_told_apart(other: Conditioning) -> None:
    voices = {"anna": kept("a", speaker="0"), "ben": other}
    require_different(load_engine("toy"), voices.__getitem__, voices)


def test_voices_with_nothing_but_other_clips_would_be_one() -> None:
    voices = {"anna": kept("a"), "ben": kept("b", LATENTS + 1), "cara": kept("c", LATENTS.copy())}
    with pytest.raises(VoiceError, match=r"^voices 'anna' and 'cara' would be one voice: .* engine 'toy' keeps"):
        require_different(load_engine("toy"), voices.__getitem__, voices)
