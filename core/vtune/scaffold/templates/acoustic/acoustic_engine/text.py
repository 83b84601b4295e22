"""What the network reads: lower-case letters, and a space between words."""

from __future__ import annotations

import re

import numpy as np
import vtune
from numpy.typing import NDArray

ALPHABET = " abcdefghijklmnopqrstuvwxyz'"
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def normalise(text: str, spell_digits: bool) -> str:
    """Write a text in the letters of the alphabet, and keep the marks that end sentences.

    ``normalise("Room 7, please.", True)`` is ``"room seven please."``.

    :raises vtune.SkipClip: nothing is left to be spoken.
    """

    def word(match: re.Match[str]) -> str:
        return f" {DIGITS[int(match[0])]} " if spell_digits else " "

    spelled = re.sub(r"[0-9]", word, text.lower())
    normalised = " ".join(re.sub(r"[^a-z'.!?]+", " ", spelled).split())
    if not re.search(r"[a-z]", normalised):
        raise vtune.SkipClip(f"the text {text!r} has no letter from a to z")
    return normalised


def characters(sentence: str) -> NDArray[np.int16]:
    """Return the ids of a sentence, with a pause before and after it, int16 ``[L]``.

    ``characters("a b.")`` is ``[0, 1, 0, 2, 0]``.
    """
    words = re.sub(r"[^a-z']+", " ", sentence).split()
    return np.array([ALPHABET.index(letter) for letter in f" {' '.join(words)} "], dtype=np.int16)
