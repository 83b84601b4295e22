"""Speaking: sentence by sentence, each in one pass of the network; the times of words come from its durations."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vtune import Audio, Conditioning, Ending, SkipClip, VoiceError, Waveform, WordTime
from vtune_vits.network.noise import SpeakingNoise
from vtune_vits.network.speaking import Spoken, SpokenStyle, SpokenText, speak_texts
from vtune_vits.rows import resample
from vtune_vits.text.prepared import Sentence, read_sentences
from vtune_vits.text.symbols import SymbolIds, encode_symbols, is_letter_or_digit

if TYPE_CHECKING:
    from vtune_vits.base import VitsBase
    from vtune_vits.network.settings import VitsSettings
    from vtune_vits.options import VitsOptions

SAMPLE_RATE = 22_050
"""Rate of the engine in Hz; the sound of bases with another rate is resampled."""

MAX_SENTENCE_SYMBOLS = 400
"""A longer sentence is spoken in parts: half a minute, beyond what bases have learned."""

SENTENCE_SEED_STEP = 1_000_003
"""Difference between the seeds of two sentences; the first sentence of a text sounds as it would alone."""

BATCH_SENTENCES = 8
"""Sentences that are spoken at once when nobody waits for the first."""

SILENCE_LEVEL = 10 ** (-30 / 20)
"""Samples below this share of the loudest sample of a sentence are silence: 30 dB."""


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
    missing = Counter(line for line, _ in utterances)
    pieces: dict[int, dict[int, list[Audio]]] = {line: {} for line in missing}
    # Sentences of one length are spoken together, because padding is work too.
    order = sorted(range(len(utterances)), key=lambda index: len(utterances[index][1].symbols.ids))
    for start in range(0, len(order), BATCH_SENTENCES):
        batch = order[start : start + BATCH_SENTENCES]
        texts = [utterances[index][1].network_text(base.device) for index in batch]
        for index, spoken in zip(batch, speak_texts(model, texts, style, speaker), strict=True):
            line, utterance = utterances[index]
            pieces[line][index] = list(_pieces(spoken, utterance, base.settings))
            if len(pieces[line]) == missing[line]:
                yield line, [piece for _, own in sorted(pieces.pop(line).items()) for piece in own]


def speaking_style(options: VitsOptions, settings: VitsSettings) -> SpokenStyle:
    """Return how a text is spoken: the options, and the base's own value where an option is null."""
    return SpokenStyle(
        noise_scale=settings.noise_scale if options.noise_scale is None else options.noise_scale,
        noise_scale_w=settings.noise_scale_w if options.noise_w is None else options.noise_w,
        length_scale=settings.length_scale if options.length_scale is None else options.length_scale,
    )


def word_times(
    sentence: Sentence, symbols: SymbolIds, durations: Sequence[int], frame_seconds: float
) -> list[WordTime]:
    """Return the times of the words of a sentence; marks and the pauses at them belong to no word.

    The five ids of ``Sentence("a, b", ("Eh,", "bee"))`` (``a``, comma, space, ``b``, end) last 2, 1, 1, 3 and 1 frames:
    ``Eh,`` lasts from frame 0 to 2, and ``bee`` from 4 to 7.

    :param durations: frames of each id.
    """
    ends = np.cumsum(durations)
    owners = np.array(symbols.owners)
    times: list[tuple[str, int, int]] = []
    for word, group in zip(sentence.words, re.finditer(r"[^ ]+", sentence.symbols), strict=False):
        voiced = [group.start() + offset for offset, symbol in enumerate(group[0]) if is_letter_or_digit(symbol)]
        own = np.flatnonzero(np.isin(owners, voiced))
        if not len(own):
            continue
        start, end = int(ends[own[0]] - durations[own[0]]), int(ends[own[-1]])
        if word or not times:
            times.append((word, start, end))
        else:  # one more group of the word before
            times[-1] = (times[-1][0], times[-1][1], end)
    return [WordTime(word, frame_seconds * start, frame_seconds * end) for word, start, end in times if word]


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


def cut_long(sentence: Sentence, max_symbols: int) -> list[Sentence]:
    """Cut a sentence into parts of at most so many symbols: behind a mark, otherwise between groups, or anywhere.

    ``cut_long(Sentence("ab, cd ef", ("x", "y", "z")), 6)`` is ``[Sentence("ab,", ("x",)), Sentence("cd ef", ("y",
    "z"))]``.
    """
    parts: list[Sentence] = []
    symbols, words = sentence.symbols, list(sentence.words)
    while len(symbols) > max_symbols:
        head = symbols[: max_symbols + 1]
        marks = [match.end() for match in re.finditer(r"[,;:] ", head)]
        cut = marks[-1] if marks and marks[-1] >= max_symbols // 3 else head.rfind(" ") + 1
        cut = cut if cut > 1 else max_symbols
        count = len(symbols[:cut].split())
        parts.append(Sentence(symbols[:cut].strip(), tuple(words[:count])))
        # The second part of a group that was cut goes on with the same word.
        continues = not symbols[cut - 1].isspace()
        symbols, words = symbols[cut:], ([""] if continues and words else []) + words[count:]
    return [*parts, Sentence(symbols, tuple(words))] if symbols.strip() else parts


def _pieces(spoken: Spoken, utterance: _Utterance, settings: VitsSettings) -> Iterator[Audio]:
    """Yield the sound of a sentence, and the silence before the next one as a piece of its own."""
    samples: Waveform = spoken.waveform.float().cpu().numpy()
    samples = resample(samples, settings.sample_rate, SAMPLE_RATE).clip(-1, 1)
    frame_seconds = settings.hop_length / settings.sample_rate
    times = word_times(utterance.sentence, utterance.symbols, spoken.durations.tolist(), frame_seconds)
    seconds = len(samples) / SAMPLE_RATE  # another rate has rounded it to whole samples
    words = tuple(WordTime(time.word, time.start, min(time.end, seconds)) for time in times)
    yield Audio(samples, SAMPLE_RATE, Ending.PLANNED, words)
    silence = missing_silence(samples, round(utterance.pause * SAMPLE_RATE))
    if len(silence):
        yield Audio(silence, SAMPLE_RATE)


def missing_silence(samples: Waveform, sample_count: int) -> Waveform:
    """Return the zeros that lengthen the silence at the end of a sentence to so many samples, float32 ``[M]``.

    A sentence whose last 300 samples are silent gets 700 zeros for 1,000 samples of silence.
    """
    levels = np.abs(samples)
    loud = np.flatnonzero(levels > SILENCE_LEVEL * levels.max(initial=0))
    silent_count = len(samples) - 1 - int(loud[-1]) if len(loud) else len(samples)
    return np.zeros(max(0, sample_count - silent_count), dtype=np.float32)
