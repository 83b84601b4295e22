"""Red flags: reasons to doubt what was written down. Each has its numbers in its words, and none is proof."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vtune.ingest.transcribe.boilerplate import boilerplate_in
from vtune.ingest.transcribe.recogniser import compression
from vtune.ingest.transcribe.scripts import script_of, scripts_of

PACKED = 2.4
"""Compression of a text beyond which it is a loop (Whisper's own threshold)."""

UNSURE = -0.8
"""Mean log probability under which more texts are wrong than right."""

DOUBTFUL = -0.5
"""The same for a text that is less probable than nearly all others of its folder."""

SILENT = 0.6
"""Probability of no speech above which the words are doubtful (Whisper's own threshold)."""

FOREIGN = 0.7
"""Probability of another language above which the words are doubtful; short sounds are often taken for another."""

SLOWEST, FASTEST = 3.0, 28.0
"""Letters a second of speech, whatever the folder's own pace is; auctioneers reach 25."""

OUTLYING = 4.5
"""Robust standard deviations from the folder's median, of the logarithm of pace and of the log probability."""

NARROWEST = 0.12
"""Least standard deviation of the logarithm of pace, so that nothing is flagged of a very even speaker."""

HASTY = 12
"""Letters of a text whose pace varies by 1.4 times as much as that of a long one."""

FEWEST = 20
"""Clips that make a folder's pace known."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one text.

    :param speech: seconds of speech in the sound.
    :param wanted: code of the language that should be spoken, or ``auto``.
    """

    text: str
    speech: float
    wanted: str
    language: str | None = None
    language_probability: float | None = None
    logprob: float | None = None
    no_speech: float | None = None


def repetition(one: Evidence) -> str | None:
    """Words or letters in a loop."""
    words = one.text.casefold().split()
    for size in range(1, min(12, len(words) // 2) + 1):
        run = best = end = 0
        for place in range(size, len(words)):
            run = run + 1 if words[place] == words[place - size] else 0
            if run > best:
                best, end = run, place
        times = best // size + 1
        if times >= (4 if size == 1 else 3):
            looped = " ".join(words[end - size + 1 : end + 1])
            return f"repetition: {looped[:40]!r} {times} times in a row"
    if found := re.search(r"(\S{1,12}?)\1{5,}", one.text[:5000]):
        return f"repetition: {found[1]!r} {len(found[0]) // len(found[1])} times in a row"
    packed = compression(one.text)
    return (
        f"repetition: the text packs {packed:.1f} times smaller, speech at most {PACKED}" if packed > PACKED else None
    )


def boilerplate(one: Evidence) -> str | None:
    """What recognisers write for silence and music, learned from subtitles."""
    found = boilerplate_in(one.text, unsure=_unsure(one))
    return f"boilerplate: {found[:60]!r}, as recognisers write for silence and music" if found else None


def probability(one: Evidence) -> str | None:
    """A recogniser that is unsure of itself."""
    low = one.logprob is not None and one.logprob < UNSURE
    return f"probability: mean log probability {one.logprob:.2f}, under {UNSURE}" if low else None


def silence(one: Evidence) -> str | None:
    """A recogniser that hears nobody speak."""
    high = one.no_speech is not None and one.no_speech > SILENT
    return f"silence: with probability {one.no_speech:.2f} nobody speaks" if high else None


def language(one: Evidence) -> str | None:
    """Sound in another language, or letters that the language is not written in."""
    if one.wanted == "auto":
        return None
    sure = one.language_probability is not None and one.language_probability >= FOREIGN
    if sure and one.language != one.wanted:
        return f"language: heard as {one.language!r} (probability {one.language_probability:.2f}), not {one.wanted!r}"
    letters = Counter(script_of(letter) for letter in one.text if letter.isalpha())
    foreign = sum(letters.values()) - sum(letters[script] for script in scripts_of(one.wanted) or letters)
    if foreign > 0.2 * sum(letters.values()):
        return f"language: {foreign} of {sum(letters.values())} letters are not of {one.wanted!r}"
    return None


def pace(one: Evidence) -> str | None:
    """More words than anybody can say in the time, or far fewer."""
    found = letters_a_second(one)
    if found is None or SLOWEST <= found <= FASTEST:
        return None
    return _odd_pace(found, f"speech is between {SLOWEST:g} and {FASTEST:g}")


CHECKS: tuple[Callable[[Evidence], str | None], ...] = (repetition, boilerplate, probability, silence, language, pace)
"""What one text is examined for; the name of a function is the kind of its flags."""


def flags_of(one: Evidence) -> list[str]:
    """Examine one text by itself."""
    return [flag for check in CHECKS if (flag := check(one)) is not None]


def flags_among(folder: Sequence[Evidence]) -> list[list[str]]:
    """Examine each text by itself and among the others: pace and probability against the medians, language too."""
    found = [flags_of(one) for one in folder]
    for place, flag in (*_outliers(folder), *_improbable(folder), *_strangers(folder)):
        if kind_of(flag) not in map(kind_of, found[place]):
            found[place].append(flag)
    return found


def kind_of(flag: str) -> str:
    """Return what kind of flag it is: the word ahead of its colon."""
    return flag.partition(":")[0]


def letters_a_second(one: Evidence) -> float | None:
    """Return letters of a text a second of speech; digits and signs that stand for syllables count for more."""
    weight = _letters(one.text)
    return weight / one.speech if one.speech > 0 and weight else None


def _outliers(folder: Sequence[Evidence]) -> list[tuple[int, str]]:
    paces = [(place, value) for place, one in enumerate(folder) if (value := letters_a_second(one)) is not None]
    if len(paces) < FEWEST:
        return []
    logs = np.log([value for _, value in paces])
    middle, spread = _robust(logs)
    lengths = np.array([_letters(folder[place].text) for place, _ in paces])
    far = np.abs(logs - middle) > OUTLYING * max(spread, NARROWEST) * np.sqrt(1 + HASTY / lengths)
    usual = f"the folder's median is {math.exp(middle):.1f}"
    return [(place, _odd_pace(value, usual)) for (place, value), odd in zip(paces, far, strict=True) if odd]


def _improbable(folder: Sequence[Evidence]) -> list[tuple[int, str]]:
    told = [(place, one.logprob) for place, one in enumerate(folder) if one.logprob is not None]
    if len(told) < FEWEST:
        return []
    middle, spread = _robust(np.array([value for _, value in told]))
    least = min(DOUBTFUL, middle - OUTLYING * spread)
    usual = f"the folder's median is {middle:.2f}"
    return [
        (place, f"probability: mean log probability {value:.2f}, {usual}") for place, value in told if value < least
    ]


def _robust(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the median, and the standard deviation that the median distance from it stands for."""
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))


def _odd_pace(value: float, usual: str) -> str:
    return f"pace: {value:.1f} letters a second of speech, {usual}: words are missing or made up"


def _strangers(folder: Sequence[Evidence]) -> list[tuple[int, str]]:
    """Where the language was left to the recogniser: clips in another than four of five."""
    told = Counter(one.language for one in folder if one.wanted == "auto" and one.language)
    if not told or told.total() < 5:
        return []
    usual, count = told.most_common(1)[0]
    if count < 0.8 * told.total():
        return []
    return [
        (place, f"language: heard as {one.language!r}, {count} of {told.total()} others as {usual!r}")
        for place, one in enumerate(folder)
        if one.wanted == "auto" and one.language and one.language != usual
    ]


def _unsure(one: Evidence) -> bool:
    return (one.logprob is not None and one.logprob < UNSURE) or (one.no_speech is not None and one.no_speech > SILENT)


def _letters(text: str) -> float:
    return math.fsum(_weight(letter) for letter in text if letter.isalnum())


@lru_cache(maxsize=4096)
def _weight(letter: str) -> float:
    if letter.isdecimal():
        return 4.0  # "18", "1908": about four letters a digit
    # A Chinese sign stands for about as much speech as three letters, a Korean or Japanese syllable for two.
    script = script_of(letter) if unicodedata.category(letter) == "Lo" else ""
    return {"CJK": 3.0, "HANGUL": 2.0, "HIRAGANA": 2.0, "KATAKANA": 2.0}.get(script, 1.0)
