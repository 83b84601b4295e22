"""The same words again: every held-out clip spoken by the voice and by its untuned base."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from vtune.engines import Engine
from vtune.speak import speak
from vtune.types import Clip, Conditioning, Ending, Waveform

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Take:
    """One speaking of one text.

    :param text: number of the held-out clip whose words these are.
    :param ending: how the last utterance stopped.
    :param took: seconds of work.
    """

    text: int
    seed: int
    untuned: bool
    waveform: Waveform
    sample_rate: int
    ending: Ending | None
    took: float

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.waveform) / self.sample_rate


def speak_all(
    engine: Engine,
    base: Any,
    model: nn.Module,
    conditioning: Conditioning,
    clips: Sequence[Clip],
    seeds: Sequence[int],
    *,
    untuned: Sequence[bool] = (False, True),
) -> list[Take]:
    """Speak the words of every clip with every seed, tuned and untuned."""
    wanted = [(text, seed, plain) for text in range(len(clips)) for seed in seeds for plain in untuned]
    takes = []
    for text, seed, plain in tqdm(wanted, desc="speaking", unit="sentence", disable=None):
        began = time.perf_counter()
        pieces = list(speak(engine, base, model, clips[text].text, conditioning, seed, untuned=plain))
        waveform = np.concatenate([piece.waveform for piece in pieces])
        endings = [piece.ending for piece in pieces if piece.ending is not None]
        # An utterance in the middle that ran away is no better than a last one.
        ending = next((one for one in endings if one != Ending.END_TOKEN), endings[-1] if endings else None)
        took = time.perf_counter() - began
        takes.append(Take(text, seed, plain, waveform, pieces[0].sample_rate, ending, took))
    return takes
