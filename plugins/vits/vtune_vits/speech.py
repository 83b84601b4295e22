"""Speaking: sentence by sentence, each in one pass of the network; the times of words come from its durations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from vtune import Audio, Conditioning, Ending, SkipClip, VoiceError, Waveform, WordTime
from vtune.toolkit.sentences import (
    SENTENCE_SEED_STEP,
    Sentence,
    cut_long,
    missing_silence,
    read_sentences,
    spoken_in_batches,
    word_times,
)
from vtune_vits.network.noise import SpeakingNoise
from vtune_vits.network.speaking import Spoken, SpokenStyle, SpokenText, speak_texts
from vtune_vits.rows import resample
from vtune_vits.text.symbols import SymbolIds, encode_symbols

if TYPE_CHECKING:
    from vtune_vits.base import VitsBase
    from vtune_vits.network.settings import VitsSettings
    from vtune_vits.options import VitsOptions

SAMPLE_RATE = 22_050
"""Rate of the engine in Hz; the sound of bases with another rate is resampled."""

CONTRAST = 1.35
"""Of a vocoder of source and filters, if nobody says otherwise."""

MAX_SENTENCE_SYMBOLS = 400
"""A longer sentence is spoken in parts: half a minute, beyond what bases have learned."""


@dataclass(frozen=True, slots=True)
class _Utterance:
    """One sentence to be spoken.

    :param seed: of its noise.
    :param pause: the least seconds of silence at its end.
    """

    sentence: Sentence
    symbols: SymbolIds
    seed: int
    pause: float

    def network_text(self, device: torch.device) -> SpokenText:
        """Return what the network speaks."""
        return SpokenText(torch.tensor(self.symbols.ids, device=device), SpeakingNoise(self.seed))


def speak(
    base: VitsBase, model: Any, text: str, conditioning: Conditioning, seed: int, sampling: Mapping[str, Any]
) -> Iterator[Audio]:
    """Yield the sound of each sentence at 22,050 Hz; see ``vtune.contract.hookspecs.synthesize``.

    :param model: a ``VitsNetwork``, or a PEFT model around one, which has the same attributes.
    :param text: from ``vtune_vits.text.frontend.prepare``.
    :raises VoiceError: the base has no symbol for something in the text.
    """
    options = base.options.model_copy(update=dict(sampling))
    style, speaker = speaking_style(options, base.settings), _speaker(base, conditioning)
    for utterance in _utterances(base, text, seed, options.sentence_pause):
        (spoken,) = speak_texts(model, [utterance.network_text(base.device)], style, speaker)
        yield from _pieces(spoken, utterance, base.settings)


def speak_together(
    base: VitsBase,
    model: Any,
    lines: Sequence[tuple[str, int]],
    conditioning: Conditioning,
    sampling: Mapping[str, Any],
) -> Iterator[tuple[int, list[Audio]]]:
    """Yield the index and the sound of each text when it is done; see the hook ``synthesize_together``.

    :param lines: texts with their seeds.
    :raises VoiceError: as for ``speak``.
    """
    options = base.options.model_copy(update=dict(sampling))
    style, speaker = speaking_style(options, base.settings), _speaker(base, conditioning)
    utterances = [
        (line, utterance)
        for line, (text, seed) in enumerate(lines)
        for utterance in _utterances(base, text, seed, options.sentence_pause)
    ]

    def speak_batch(batch: Sequence[_Utterance]) -> Iterator[list[Audio]]:
        texts = [utterance.network_text(base.device) for utterance in batch]
        for utterance, spoken in zip(batch, speak_texts(model, texts, style, speaker), strict=True):
            yield list(_pieces(spoken, utterance, base.settings))

    return spoken_in_batches(utterances, lambda utterance: len(utterance.symbols.ids), speak_batch)


def speaking_style(options: VitsOptions, settings: VitsSettings) -> SpokenStyle:
    """Return how a text is spoken: the options, and the base's own value where an option is null."""
    return SpokenStyle(
        noise_scale=settings.noise_scale if options.noise_scale is None else options.noise_scale,
        noise_scale_w=settings.noise_scale_w if options.noise_w is None else options.noise_w,
        length_scale=settings.length_scale if options.length_scale is None else options.length_scale,
        contrast=_contrast(options),
    )


def _contrast(options: VitsOptions) -> float:
    if not options.filters_source:
        return 1.0
    return CONTRAST if options.contrast is None else options.contrast


def _speaker(base: VitsBase, conditioning: Conditioning) -> int:
    return int(conditioning.number("speaker", base.settings.speakers - 1))


def _utterances(base: VitsBase, text: str, seed: int, pause: float) -> Iterator[_Utterance]:
    sentences = [part for sentence in read_sentences(text) for part in cut_long(sentence, MAX_SENTENCE_SYMBOLS)]
    for number, sentence in enumerate(sentences):
        try:
            symbols = encode_symbols(sentence.symbols, base.text)
        except SkipClip as error:
            raise VoiceError(f"the text cannot be spoken: {error}") from error
        last = number == len(sentences) - 1
        yield _Utterance(sentence, symbols, seed + SENTENCE_SEED_STEP * number, 0.0 if last else pause)


def _pieces(spoken: Spoken, utterance: _Utterance, settings: VitsSettings) -> Iterator[Audio]:
    """Yield the sound of a sentence, and the silence before the next one as a piece of its own."""
    samples: Waveform = spoken.waveform.float().cpu().numpy()
    samples = resample(samples, settings.sample_rate, SAMPLE_RATE).clip(-1, 1)
    frame_seconds = settings.hop_length / settings.sample_rate
    times = word_times(utterance.sentence, utterance.symbols.owners, spoken.durations.tolist(), frame_seconds)
    seconds = len(samples) / SAMPLE_RATE  # another rate has rounded it to whole samples
    words = tuple(WordTime(time.word, time.start, min(time.end, seconds)) for time in times)
    yield Audio(samples, SAMPLE_RATE, Ending.PLANNED, words)
    silence = missing_silence(samples, round(utterance.pause * SAMPLE_RATE))
    if len(silence):
        yield Audio(silence, SAMPLE_RATE)
