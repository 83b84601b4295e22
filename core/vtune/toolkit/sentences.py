"""Texts as sentences of symbols, for engines that speak sentence by sentence with predicted durations.

What ``prepare_text`` returns is one string.

Each sentence is one line: its symbols, and after tabs the written words to which its groups of symbols belong, so that
the times of words can name them. ``"həlˈoʊ wˈɜːld.\\tHello,\\tworld."`` is one sentence of two words. A group at which
no word begins (``θɹˈiː`` of ``twˈɛnti θɹˈiː`` for ``23``) has an empty word.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from vtune.types import Audio, Waveform, WordTime

SILENCE_LEVEL = 10 ** (-30 / 20)
"""Samples below this share of the loudest sample of a sentence are silence: 30 dB."""

SENTENCE_SEED_STEP = 1_000_003
"""Difference between the seeds of two sentences; the first sentence of a text sounds as it would alone."""

BATCH_SENTENCES = 8
"""Sentences that are spoken at once when nobody waits for the first."""

Utterance = TypeVar("Utterance")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence as the network reads it.

    :param symbols: phonemes or characters with their marks; a space ends a group of symbols.
    :param words: the written word that begins with each group, empty for a group within a word.
    """

    symbols: str
    words: tuple[str, ...] = ()


def write_sentences(sentences: Sequence[Sentence]) -> str:
    """Return sentences as one text."""
    return "\n".join("\t".join((sentence.symbols, *sentence.words)) for sentence in sentences)


def read_sentences(text: str) -> list[Sentence]:
    """Return the sentences of a text that ``write_sentences`` has written."""
    lines = (line.split("\t") for line in text.split("\n"))
    return [Sentence(symbols, tuple(words)) for symbols, *words in lines]


def joined_symbols(sentences: Sequence[Sentence]) -> str:
    """Return the symbols of sentences that are spoken in one breath, as in a clip of two sentences."""
    return " ".join(sentence.symbols for sentence in sentences)


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


def word_times(
    sentence: Sentence, owners: Sequence[int], durations: Sequence[int], frame_seconds: float
) -> list[WordTime]:
    """Return the times of the words of a sentence; marks and the pauses at them belong to no word.

    The five ids of ``Sentence("a, b", ("Eh,", "bee"))`` (``a``, comma, space, ``b``, end) last 2, 1, 1, 3 and 1 frames:
    ``Eh,`` lasts from frame 0 to 2, and ``bee`` from 4 to 7.

    :param owners: for each id the position of its symbol in the sentence, -1 for marks of beginning and end.
    :param durations: frames of each id.
    """
    ends = np.cumsum(durations)
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


def missing_silence(samples: Waveform, sample_count: int) -> Waveform:
    """Return the zeros that lengthen the silence at the end of a sentence to so many samples, float32 ``[M]``.

    A sentence whose last 300 samples are silent gets 700 zeros for 1,000 samples of silence.
    """
    levels = np.abs(samples)
    loud = np.flatnonzero(levels > SILENCE_LEVEL * levels.max(initial=0))
    silent_count = len(samples) - 1 - int(loud[-1]) if len(loud) else len(samples)
    return np.zeros(max(0, sample_count - silent_count), dtype=np.float32)


def spoken_in_batches(
    utterances: Sequence[tuple[int, Utterance]],
    length: Callable[[Utterance], int],
    speak: Callable[[Sequence[Utterance]], Iterable[list[Audio]]],
) -> Iterator[tuple[int, list[Audio]]]:
    """Yield the number and the sound of each line when all its utterances are spoken.

    Utterances of one length are spoken together, because padding is work too.

    :param utterances: each with the number of its line, in order.
    :param length: returns how long an utterance is.
    :param speak: speaks at most `BATCH_SENTENCES` utterances at once, and returns the pieces of each in order.
    """
    missing = Counter(line for line, _ in utterances)
    pieces: dict[int, dict[int, list[Audio]]] = {line: {} for line in missing}
    order = sorted(range(len(utterances)), key=lambda index: length(utterances[index][1]))
    for start in range(0, len(order), BATCH_SENTENCES):
        batch = order[start : start + BATCH_SENTENCES]
        for index, own in zip(batch, speak([utterances[index][1] for index in batch]), strict=True):
            line = utterances[index][0]
            pieces[line][index] = own
            if len(pieces[line]) == missing[line]:
                yield line, [piece for _, part in sorted(pieces.pop(line).items()) for piece in part]


def is_letter_or_digit(character: str) -> bool:
    """Tell whether a character is spoken: a letter, a digit or a mark on one (Unicode categories L, N and M)."""
    return unicodedata.category(character)[0] in "LNM"
