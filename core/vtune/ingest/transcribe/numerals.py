"""Find numerals in transcripts ("20th", "$5", "10:30"), and have the recogniser write them in words.

An engine cannot know whether "1455" was spoken as a year or digit by digit; the recogniser can, because it hears the
recording. Recordings whose text holds numerals are decoded once more without the tokens of numerals, so that the
recogniser writes the words that it hears.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from vtune.contract.recognisers import Transcript
from vtune.ingest.transcribe.join_transcripts import MAX_COMPRESSION_RATIO

MIN_LOGPROB = -1.0
"""Smallest mean log probability of a text without numerals; below it, words are more often wrong than right."""

_OTHER_NUMERALS = frozenset("%‰°&")
_SPECIAL_TOKEN = re.compile(r"<\|.*\|>")


def numerals_in(text: str) -> list[str]:
    """Return the words of a text that hold digits, currency signs, or signs such as "%", without outer punctuation.

    Example: ``numerals_in("On the 20th, he paid $5.")`` is ``["20th", "$5"]``.
    """
    return [word.strip(".,;:!?\"'()[]") for word in text.split() if _has_numeral(word)]


def numeral_tokens(texts: Iterable[str]) -> list[int]:
    """Return the indices of the tokens that write numerals; special tokens such as ``<|0.20|>`` are left out.

    :param texts: the text of each token of a vocabulary.
    """
    return [index for index, text in enumerate(texts) if _has_numeral(text) and not _SPECIAL_TOKEN.match(text)]


def decode_numerals_in_words(
    transcripts: Sequence[Transcript], decode_again: Callable[[list[int]], Sequence[Transcript]]
) -> list[Transcript]:
    """Replace the transcripts that hold numerals by transcripts without numerals, where these are plausible.

    :param decode_again: returns new transcripts of the sounds with these indices, decoded without numerals.
    """
    results = list(transcripts)
    indices = [index for index, transcript in enumerate(results) if numerals_in(transcript.text)]
    for index, spelled in zip(indices, decode_again(indices) if indices else (), strict=True):
        if _is_plausible(results[index], spelled):
            numerals = tuple(numerals_in(results[index].text))
            results[index] = replace(results[index], text=spelled.text, logprob=spelled.logprob, numerals=numerals)
    return results


def _is_plausible(first: Transcript, spelled: Transcript) -> bool:
    """Tell whether a text in words may replace a text with numerals; a decoder may also skip the number, or loop."""
    return (
        not numerals_in(spelled.text)
        and len(spelled.text.split()) >= len(first.text.split())
        and spelled.compression_ratio <= MAX_COMPRESSION_RATIO
        and (spelled.logprob is None or spelled.logprob >= MIN_LOGPROB)
    )


def _has_numeral(text: str) -> bool:
    return any(char in _OTHER_NUMERALS or unicodedata.category(char) in ("Nd", "No", "Sc") for char in text)
