"""The text that the network reads, as one string: what ``prepare_text`` returns.

Each sentence is one line: its symbols, and after tabs the written words to which its groups of symbols belong, so that
the times of words can name them. ``"həlˈoʊ wˈɜːld.\\tHello,\\tworld."`` is one sentence of two words. A group at which
no word begins (``θɹˈiː`` of ``twˈɛnti θɹˈiː`` for ``23``) has an empty word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


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
