"""Let systems speak texts, and collect their utterances."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from vtune.contract.metrics import BASE, RECORDING, VOICE, Utterance
from vtune.errors import VtuneError
from vtune.runtime.progress import ProgressBar
from vtune.types import Audio, Clip, join_audio
from vtune.voices.speech import Speaker

logger = logging.getLogger(__name__)

MEASURED_TEXTS = 4
"""Texts of each system on which the engine measures its network."""


@dataclass(frozen=True, slots=True)
class System:
    """Something that speaks in an evaluation: a voice, its base, a checkpoint, or another voice.

    :param say: speaks a text with a seed.
    :param batch: speaks several texts, each with its seed, and yields the index of each with its sound as it is done;
        None where that is not quicker than one after another.
    :param measure: measures the network on a text with a seed; None for an engine that does not.
    """

    name: str
    say: Callable[[str, int], Iterator[Audio]]
    batch: Callable[[Sequence[tuple[str, int]]], Iterator[tuple[int, Sequence[Audio]]]] | None = None
    measure: Callable[[str, int], Mapping[str, float]] | None = None


def system_of(name: str, speaker: Speaker, *, untuned: bool = False) -> System:
    """Return a speaker as a system; ``untuned`` switches its adapter off."""
    engine = speaker.engine
    return System(
        name,
        partial(speaker.speak, untuned=untuned),
        partial(speaker.speak_batch, untuned=untuned) if engine.can_batch else None,
        partial(speaker.measure, untuned=untuned) if engine.measures_network else None,
    )


def tuned_and_base(speaker: Speaker, *, adapter: bool = True) -> list[System]:
    """Return the voice and its base as systems of one model in memory.

    :param adapter: whether the model has an adapter to switch off; a fully fine-tuned model speaks alone.
    """
    names = [VOICE, *([BASE] if adapter else [])]
    return [system_of(name, speaker, untuned=name == BASE) for name in names]


def synthesize_all(systems: Sequence[System], texts: Sequence[str], seeds: Sequence[int]) -> list[Utterance]:
    """Let every system speak every text with every seed; the utterances are in the order of the texts.

    The first text is spoken alone, as for somebody who waits for it, so that its time can be measured. The others are
    spoken in one batch, if all systems can.
    """
    lines = [(text, seed) for text in texts for seed in seeds]
    alone = len(seeds) if all(system.batch for system in systems) else len(lines)
    with ProgressBar("speaking", len(lines) * len(systems), "sentences") as bar:
        utterances = []
        for text, seed in lines[:alone]:
            for system in systems:
                utterances.append(synthesize_one(system, text, seed))
                bar.advance()
        batches = [synthesize_batch(system, lines[alone:], bar.advance) for system in systems if lines[alone:]]
    return [*utterances, *chain.from_iterable(zip(*batches, strict=True))]


def with_numbers(utterances: Sequence[Utterance], systems: Sequence[System]) -> list[Utterance]:
    """Return utterances with what the engine measures of its network, for the first few texts of each system.

    An engine that cannot measure here, for lack of a file, is logged once for each system.
    """
    measured: list[Utterance] = list(utterances)
    for system in systems:
        own = [index for index, utterance in enumerate(utterances) if utterance.system == system.name]
        for index in own[:MEASURED_TEXTS] if system.measure is not None else ():
            utterance = utterances[index]
            try:
                numbers = system.measure(utterance.text, utterance.seed) if system.measure else {}
            except VtuneError as reason:
                logger.info("The network of %s is not measured: %s", system.name, reason)
                break
            measured[index] = replace(utterance, numbers=numbers)
    return measured


def synthesize_train_sentences(system: System, train_texts: Sequence[str], count: int, seed: int) -> list[Utterance]:
    """Let a system speak sentences that it was trained on, spread over all of them.

    A voice that speaks them much better than held-out sentences has learned them by heart. The utterances belong to a
    system of their own, ``<name> on training sentences``.
    """
    count = min(count, len(train_texts))
    texts = list(dict.fromkeys(train_texts[index * len(train_texts) // count] for index in range(count)))
    return synthesize_all([replace(system, name=f"{system.name} on training sentences")], texts, [seed])


def synthesize_one(system: System, text: str, seed: int) -> Utterance:
    """Let one system speak one text, and measure the seconds that it takes."""
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
    """Let one system speak several texts, each with its seed: in one batch where it can, else one after another.

    :param done: called after each text.
    """
    if system.batch is None:
        alone = []
        for text, seed in lines:
            alone.append(synthesize_one(system, text, seed))
            done()
        return alone
    utterances: dict[int, Utterance] = {}
    for index, pieces in system.batch(lines):
        utterances[index] = _joined(system, *lines[index], pieces)
        done()
    return [utterances[index] for index in range(len(lines))]


def _joined(system: System, text: str, seed: int, pieces: Sequence[Audio]) -> Utterance:
    sound = join_audio(pieces)
    return Utterance(text, seed, system.name, sound.waveform, sound.sample_rate, sound.ending)


def recordings_as_utterances(clips: Sequence[Clip]) -> list[Utterance]:
    """Return recordings as utterances, to be measured in the same way."""
    return [Utterance(clip.text, 0, RECORDING, clip.waveform, clip.sample_rate) for clip in clips]
