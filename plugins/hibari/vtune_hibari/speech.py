"""Speaking: sentence by sentence, each in one pass of the network; the times of words come from its durations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from vtune import Audio, Ending, SkipClip, VoiceError, Waveform
from vtune.toolkit.sentences import (
    SENTENCE_SEED_STEP,
    Sentence,
    cut_long,
    missing_silence,
    read_sentences,
    spoken_in_batches,
    word_times,
)
from vtune_hibari.network.settings import SAMPLE_RATE, STEP_SECONDS
from vtune_hibari.network.speaking import Spoken, SpokenStyle, SpokenText, speak_texts
from vtune_hibari.text.symbols import encode_symbols

if TYPE_CHECKING:
    from vtune_hibari.base import HibariBase
    from vtune_hibari.options import HibariOptions

MAX_SENTENCE_SYMBOLS = 400
"""A longer sentence is spoken in parts, as the package does: half a minute."""


@dataclass(frozen=True, slots=True)
class _Utterance:
    """One sentence to be spoken.

    :param ids: numbers of its symbols, with both edges.
    :param seed: of its noise.
    :param pause: the least seconds of silence at its end.
    """

    sentence: Sentence
    ids: list[int]
    seed: int
    pause: float

    def network_text(self, device: torch.device) -> SpokenText:
        """Return what the network speaks."""
        return SpokenText(torch.tensor(self.ids, device=device), self.seed)


def speak(base: HibariBase, model: Any, text: str, seed: int, sampling: Mapping[str, Any]) -> Iterator[Audio]:
    """Yield the sound of each sentence at 24,000 Hz; see ``vtune.contract.hookspecs.synthesize``.

    :param model: a ``HibariNetwork``, or a PEFT model around one, which has the same attributes.
    :param text: from ``vtune_hibari.text.frontend.prepare``.
    :raises VoiceError: the network has no symbol for something in the text.
    """
    options = base.options.model_copy(update=dict(sampling))
    for utterance in _utterances(text, seed, options.sentence_pause):
        (spoken,) = speak_texts(model, [utterance.network_text(base.device)], speaking_style(options))
        yield from _pieces(spoken, utterance)


def speak_together(
    base: HibariBase, model: Any, lines: Sequence[tuple[str, int]], sampling: Mapping[str, Any]
) -> Iterator[tuple[int, list[Audio]]]:
    """Yield the index and the sound of each text when it is done; see the hook ``synthesize_together``.

    :param lines: texts with their seeds.
    :raises VoiceError: as for ``speak``.
    """
    options = base.options.model_copy(update=dict(sampling))
    utterances = [
        (line, utterance)
        for line, (text, seed) in enumerate(lines)
        for utterance in _utterances(text, seed, options.sentence_pause)
    ]

    def speak_batch(batch: Sequence[_Utterance]) -> Iterator[list[Audio]]:
        texts = [utterance.network_text(base.device) for utterance in batch]
        for utterance, spoken in zip(batch, speak_texts(model, texts, speaking_style(options)), strict=True):
            yield list(_pieces(spoken, utterance))

    return spoken_in_batches(utterances, lambda utterance: len(utterance.ids), speak_batch)


def speaking_style(options: HibariOptions) -> SpokenStyle:
    """Return how a text is spoken."""
    return SpokenStyle(options.speed, options.noise_scale)


def _utterances(text: str, seed: int, pause: float) -> Iterator[_Utterance]:
    sentences = [part for sentence in read_sentences(text) for part in cut_long(sentence, MAX_SENTENCE_SYMBOLS)]
    for number, sentence in enumerate(sentences):
        try:
            ids = encode_symbols(sentence.symbols)
        except SkipClip as error:
            raise VoiceError(f"the text cannot be spoken: {error}") from error
        last = number == len(sentences) - 1
        yield _Utterance(sentence, ids, seed + SENTENCE_SEED_STEP * number, 0.0 if last else pause)


def _pieces(spoken: Spoken, utterance: _Utterance) -> Iterator[Audio]:
    """Yield the sound of a sentence, and the silence before the next one as a piece of its own."""
    samples: Waveform = spoken.waveform.float().cpu().numpy().clip(-1, 1)
    owners = [-1, *range(len(utterance.sentence.symbols)), -1]
    words = word_times(utterance.sentence, owners, spoken.durations.tolist(), STEP_SECONDS)
    yield Audio(samples, SAMPLE_RATE, Ending.PLANNED, tuple(words))
    silence = missing_silence(samples, round(utterance.pause * SAMPLE_RATE))
    if len(silence):
        yield Audio(silence, SAMPLE_RATE)
