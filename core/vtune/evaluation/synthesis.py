"""Who speaks, and what was spoken."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune.contract.metrics import BASE, RECORDING, VOICE, Utterance
from vtune.engines import Engine
from vtune.runtime.progress import ProgressBar
from vtune.types import Audio, Clip, Conditioning, Ending
from vtune.voices.speech import speak, speak_together

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class System:
    """Something that speaks, as listening tests call it: a voice, its base, a checkpoint, another voice.

    :param say: takes a text and a seed.
    :param together: takes several, and gives their places as they are done, with what ``say`` gives for each; None
        where that is not quicker.
    """

    name: str
    say: Callable[[str, int], Iterator[Audio]]
    together: Callable[[Sequence[tuple[str, int]]], Iterator[tuple[int, Sequence[Audio]]]] | None = None


def system_of(
    name: str, engine: Engine, base: Any, model: nn.Module, conditioning: Conditioning, *, untuned: bool = False
) -> System:
    """Return a model in memory as a system; ``untuned`` is without its adapter."""
    said = (engine, base, model)
    return System(
        name,
        lambda text, seed: speak(*said, text, conditioning, seed, untuned=untuned),
        (lambda lines: speak_together(*said, lines, conditioning, untuned=untuned)) if engine.can_batch else None,
    )


def tuned_and_base(
    engine: Engine, base: Any, model: nn.Module, conditioning: Conditioning, *, adapter: bool = True
) -> list[System]:
    """Return the voice and its base as systems of one model in memory.

    :param adapter: whether there is one to switch off; a fully fine-tuned model speaks alone.
    """
    names = [VOICE, *([BASE] if adapter else [])]
    return [system_of(name, engine, base, model, conditioning, untuned=name == BASE) for name in names]


def speak_all(systems: Sequence[System], texts: Sequence[str], seeds: Sequence[int]) -> list[Utterance]:
    """Let every system speak every text with every seed; takes are in the order of texts.

    What the first text costs is measured: it is spoken alone, as it is for somebody who waits for it. The others are
    spoken together, if all systems can.
    """
    lines = [(text, seed) for text in texts for seed in seeds]
    alone = len(seeds) if all(system.together for system in systems) else len(lines)
    with ProgressBar("speaking", len(lines) * len(systems), "sentences") as bar:
        takes = []
        for text, seed in lines[:alone]:
            for system in systems:
                takes.append(synthesize_one(system, text, seed))
                bar.advance()
        several = [synthesize_batch(system, lines[alone:], bar.advance) for system in systems if lines[alone:]]
    return [*takes, *chain.from_iterable(zip(*several, strict=True))]


def speak_trained(system: System, trained: Sequence[str], count: int, seed: int) -> list[Utterance]:
    """Let a system speak words that it was trained on, spread over all of them: better there than on others is
    learned by heart. The takes are of a system of their own, ``<name> on trained words``.
    """
    count = min(count, len(trained))
    texts = list(dict.fromkeys(trained[place * len(trained) // count] for place in range(count)))
    return speak_all([replace(system, name=f"{system.name} on trained words")], texts, [seed])


def synthesize_one(system: System, text: str, seed: int) -> Utterance:
    """Let one system speak."""
    began = time.perf_counter()
    first: float | None = None
    pieces = []
    for piece in system.say(text, seed):
        first = time.perf_counter() - began if first is None else first
        pieces.append(piece)
    return replace(_joined(system, text, seed, pieces), took=time.perf_counter() - began, first=first)


def synthesize_batch(
    system: System, lines: Sequence[tuple[str, int]], done: Callable[[], object] = lambda: None
) -> list[Utterance]:
    """Let one system speak several texts, each with its seed: at once where it can, else one after another.

    :param done: called after each.
    """
    if system.together is None:
        alone = []
        for text, seed in lines:
            alone.append(synthesize_one(system, text, seed))
            done()
        return alone
    takes: dict[int, Utterance] = {}
    for place, pieces in system.together(lines):
        takes[place] = _joined(system, *lines[place], pieces)
        done()
    return [takes[place] for place in range(len(lines))]


def _joined(system: System, text: str, seed: int, pieces: Sequence[Audio]) -> Utterance:
    endings = [piece.ending for piece in pieces if piece.ending is not None]
    # An utterance in the middle that ran away is no better than a last one.
    ending = next((one for one in endings if one != Ending.END_TOKEN), endings[-1] if endings else None)
    waveform = np.concatenate([piece.waveform for piece in pieces])
    return Utterance(text, seed, system.name, waveform, pieces[0].sample_rate, ending)


def recorded(clips: Sequence[Clip]) -> list[Utterance]:
    """Return recordings as takes, to be judged in the same way."""
    return [Utterance(clip.text, 0, RECORDING, clip.waveform, clip.sample_rate) for clip in clips]
