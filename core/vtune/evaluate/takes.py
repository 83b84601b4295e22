"""Who speaks, and what was spoken."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from vtune.engines import Engine
from vtune.speak import speak
from vtune.types import Audio, Clip, Conditioning, Ending, Waveform

if TYPE_CHECKING:
    from torch import nn

VOICE, BASE, RECORDING = "voice", "base", "recording"
"""Systems that every evaluation knows: the tuned voice, the engine without it, and the person."""


@dataclass(frozen=True, slots=True)
class System:
    """Something that speaks, as listening tests call it: a voice, its base, a checkpoint, another voice.

    :param say: takes a text and a seed.
    """

    name: str
    say: Callable[[str, int], Iterator[Audio]]


@dataclass(frozen=True, slots=True)
class Take:
    """One speaking of one text.

    :param ending: how the worst utterance stopped; None where nothing says so, as in a recording.
    :param took: seconds of work; ``first`` until there was sound. None for a recording.
    """

    text: str
    seed: int
    system: str
    waveform: Waveform
    sample_rate: int
    ending: Ending | None = None
    took: float | None = None
    first: float | None = None

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.waveform) / self.sample_rate


def tuned_and_base(
    engine: Engine, base: Any, model: nn.Module, conditioning: Conditioning, *, adapter: bool = True
) -> list[System]:
    """Return the voice and its base as systems of one model in memory.

    :param adapter: whether there is one to switch off; a fully fine-tuned model speaks alone.
    """

    def system(name: str, untuned: bool) -> System:
        return System(name, lambda text, seed: speak(engine, base, model, text, conditioning, seed, untuned=untuned))

    return [system(VOICE, False), *([system(BASE, True)] if adapter else [])]


def speak_all(
    systems: Sequence[System], texts: Sequence[str], seeds: Sequence[int], *, quiet: bool = False
) -> list[Take]:
    """Let every system speak every text with every seed, text by text.

    :param quiet: show no bar, as where there is one already.
    """
    wanted = [(text, seed, system) for text in texts for seed in seeds for system in systems]
    steps = tqdm(wanted, desc="speaking", unit="sentence", disable=quiet or None)
    return [take(system, text, seed) for text, seed, system in steps]


def speak_trained(system: System, trained: Sequence[str], count: int, seed: int) -> list[Take]:
    """Let a system speak words that it was trained on, spread over all of them: better there than on others is
    learned by heart. The takes are of a system of their own, ``<name> on trained words``.
    """
    count = min(count, len(trained))
    texts = list(dict.fromkeys(trained[place * len(trained) // count] for place in range(count)))
    return speak_all([System(f"{system.name} on trained words", system.say)], texts, [seed])


def take(system: System, text: str, seed: int) -> Take:
    """Let one system speak."""
    began = time.perf_counter()
    first: float | None = None
    pieces = []
    for piece in system.say(text, seed):
        first = time.perf_counter() - began if first is None else first
        pieces.append(piece)
    took = time.perf_counter() - began
    endings = [piece.ending for piece in pieces if piece.ending is not None]
    # An utterance in the middle that ran away is no better than a last one.
    ending = next((one for one in endings if one != Ending.END_TOKEN), endings[-1] if endings else None)
    waveform = np.concatenate([piece.waveform for piece in pieces])
    return Take(text, seed, system.name, waveform, pieces[0].sample_rate, ending, took, first)


def recorded(clips: Sequence[Clip]) -> list[Take]:
    """Return recordings as takes, to be judged in the same way."""
    return [Take(clip.text, 0, RECORDING, clip.waveform, clip.sample_rate) for clip in clips]
