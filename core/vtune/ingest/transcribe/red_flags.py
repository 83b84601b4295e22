"""Find red flags: reasons to doubt a transcript. Each flag states its numbers, and no flag is a proof."""

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

from vtune.contract.recognisers import compression_ratio
from vtune.ingest.transcribe.boilerplate import find_boilerplate
from vtune.ingest.transcribe.join_transcripts import MAX_COMPRESSION_RATIO
from vtune.ingest.transcribe.language_scripts import script_of, scripts_of

MIN_LOGPROB = -0.8
"""Mean log probability below which more texts are wrong than right."""

MAX_OUTLIER_LOGPROB = -0.5
"""Mean log probability above which a text is never flagged as an outlier of its folder."""

MAX_NO_SPEECH_PROBABILITY = 0.6
"""Probability of "no speech" above which the words are doubtful (Whisper's own threshold)."""

MIN_LANGUAGE_PROBABILITY = 0.7
"""Smallest probability of another language that makes words doubtful: for short sounds, the detection is often wrong.
"""

MIN_LETTERS_PER_SECOND, MAX_LETTERS_PER_SECOND = 3.0, 28.0
"""Limits that hold whatever the pace of the folder is; auctioneers reach 25."""

OUTLIER_DEVIATIONS = 4.5
"""Robust standard deviations from the folder's median, for the logarithm of the pace and for the log probability."""

MIN_PACE_DEVIATION = 0.12
"""Smallest standard deviation of the logarithm of the pace, so that no clip of a very even speaker is flagged."""

SHORT_TEXT_LETTERS = 12
"""Letters of a text whose pace varies 1.4 times as much as the pace of a long text."""

MIN_FOLDER_CLIPS = 20
"""Smallest number of clips in a folder for medians that mean something."""


@dataclass(frozen=True, slots=True)
class TextEvidence:
    """One text with the recogniser's measures of its recording.

    :param speech: seconds of speech in the recording.
    :param expected_language: code of the language that should be spoken, or ``auto``.
    :param language: code of the language that the recogniser detected.
    :param language_probability: probability of the detected language, in [0, 1].
    :param logprob: mean natural logarithm of the token probabilities, at most 0.
    :param no_speech: probability that nobody speaks, in [0, 1].
    """

    text: str
    speech: float
    expected_language: str
    language: str | None = None
    language_probability: float | None = None
    logprob: float | None = None
    no_speech: float | None = None


def repetition(evidence: TextEvidence) -> str | None:
    """Flag words or letters that repeat in a loop."""
    words = evidence.text.casefold().split()
    for size in range(1, min(12, len(words) // 2) + 1):
        run_length = longest = end = 0
        for position in range(size, len(words)):
            run_length = run_length + 1 if words[position] == words[position - size] else 0
            if run_length > longest:
                longest, end = run_length, position
        times = longest // size + 1
        if times >= (4 if size == 1 else 3):
            looped = " ".join(words[end - size + 1 : end + 1])
            return f"repetition: {looped[:40]!r} {times} times in a row"
    if match := re.search(r"(\S{1,12}?)\1{5,}", evidence.text[:5000]):
        return f"repetition: {match[1]!r} {len(match[0]) // len(match[1])} times in a row"
    ratio = compression_ratio(evidence.text)
    if ratio <= MAX_COMPRESSION_RATIO:
        return None
    return f"repetition: the text has a compression ratio of {ratio:.1f}; speech has at most {MAX_COMPRESSION_RATIO}"


def boilerplate(evidence: TextEvidence) -> str | None:
    """Flag phrases that recognisers write for silence and music, which they learned from subtitles."""
    phrase = find_boilerplate(evidence.text, unsure=_unsure(evidence))
    return f"boilerplate: {phrase[:60]!r} is a phrase that recognisers write for silence or music" if phrase else None


def probability(evidence: TextEvidence) -> str | None:
    """Flag a text to which the recogniser gave a low probability."""
    low = evidence.logprob is not None and evidence.logprob < MIN_LOGPROB
    return f"probability: the mean log probability {evidence.logprob:.2f} is below {MIN_LOGPROB}" if low else None


def silence(evidence: TextEvidence) -> str | None:
    """Flag a text for a recording in which the recogniser hears nobody speak."""
    high = evidence.no_speech is not None and evidence.no_speech > MAX_NO_SPEECH_PROBABILITY
    return f"silence: the probability that nobody speaks is {evidence.no_speech:.2f}" if high else None


def language(evidence: TextEvidence) -> str | None:
    """Flag sound in another language, and letters that do not belong to the language."""
    if evidence.expected_language == "auto":
        return None
    sure = evidence.language_probability is not None and evidence.language_probability >= MIN_LANGUAGE_PROBABILITY
    if sure and evidence.language != evidence.expected_language:
        detected = f"{evidence.language!r} (probability {evidence.language_probability:.2f})"
        return f"language: the recogniser detected {detected}, but {evidence.expected_language!r} is expected"
    letters = Counter(script_of(letter) for letter in evidence.text if letter.isalpha())
    foreign = sum(letters.values()) - sum(
        letters[script] for script in scripts_of(evidence.expected_language) or letters
    )
    if foreign > 0.2 * sum(letters.values()):
        return f"language: {foreign} of {sum(letters.values())} letters do not belong to {evidence.expected_language!r}"
    return None


def pace(evidence: TextEvidence) -> str | None:
    """Flag a text with more words than anybody can say in the time, or with far fewer."""
    rate = letters_per_second(evidence)
    if rate is None or MIN_LETTERS_PER_SECOND <= rate <= MAX_LETTERS_PER_SECOND:
        return None
    return _pace_flag(rate, f"normal speech has {MIN_LETTERS_PER_SECOND:g} to {MAX_LETTERS_PER_SECOND:g}")


TEXT_CHECKS: tuple[Callable[[TextEvidence], str | None], ...] = (
    repetition,
    boilerplate,
    probability,
    silence,
    language,
    pace,
)
"""The checks of a single text. To add a check, add a function here; its name is the kind of its flags."""


def flags_of(evidence: TextEvidence) -> list[str]:
    """Return the flags that one text has without regard to the other texts."""
    return [flag for check in TEXT_CHECKS if (flag := check(evidence)) is not None]


def flags_in_folder(folder: Sequence[TextEvidence]) -> list[list[str]]:
    """Return the flags of each text, including those for a pace, probability or language unlike the folder's others."""
    flags = [flags_of(evidence) for evidence in folder]
    for index, flag in (*_pace_outliers(folder), *_logprob_outliers(folder), *_language_outliers(folder)):
        if flag_kind(flag) not in map(flag_kind, flags[index]):
            flags[index].append(flag)
    return flags


def flag_kind(flag: str) -> str:
    """Return the kind of a flag: the word before its colon, such as ``pace``."""
    return flag.partition(":")[0]


def letters_per_second(evidence: TextEvidence) -> float | None:
    """Return the letters per second of speech; a digit or a syllable sign counts as several letters.

    None if there is no speech or no letter.
    """
    weight = _letter_count(evidence.text)
    return weight / evidence.speech if evidence.speech > 0 and weight else None


def _pace_outliers(folder: Sequence[TextEvidence]) -> list[tuple[int, str]]:
    paces = [
        (index, value) for index, evidence in enumerate(folder) if (value := letters_per_second(evidence)) is not None
    ]
    if len(paces) < MIN_FOLDER_CLIPS:
        return []
    logs = np.log([value for _, value in paces])
    median, spread = _median_and_deviation(logs)
    lengths = np.array([_letter_count(folder[index].text) for index, _ in paces])
    is_outlier = np.abs(logs - median) > OUTLIER_DEVIATIONS * max(spread, MIN_PACE_DEVIATION) * np.sqrt(
        1 + SHORT_TEXT_LETTERS / lengths
    )
    usual = f"the folder's median is {math.exp(median):.1f}"
    return [(index, _pace_flag(value, usual)) for (index, value), odd in zip(paces, is_outlier, strict=True) if odd]


def _logprob_outliers(folder: Sequence[TextEvidence]) -> list[tuple[int, str]]:
    logprobs = [(index, evidence.logprob) for index, evidence in enumerate(folder) if evidence.logprob is not None]
    if len(logprobs) < MIN_FOLDER_CLIPS:
        return []
    median, spread = _median_and_deviation(np.array([value for _, value in logprobs]))
    limit = min(MAX_OUTLIER_LOGPROB, median - OUTLIER_DEVIATIONS * spread)
    usual = f"the folder's median is {median:.2f}"
    return [
        (index, f"probability: the mean log probability is {value:.2f}, {usual}")
        for index, value in logprobs
        if value < limit
    ]


def _median_and_deviation(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the median, and a robust standard deviation (1.4826 times the median distance from the median)."""
    median = float(np.median(values))
    return median, 1.4826 * float(np.median(np.abs(values - median)))


def _pace_flag(value: float, usual: str) -> str:
    return f"pace: {value:.1f} letters per second of speech ({usual}): words are missing or made up"


def _language_outliers(folder: Sequence[TextEvidence]) -> list[tuple[int, str]]:
    """Flag clips in another language than four fifths of the folder, if the recogniser detects the language."""
    counts = Counter(
        evidence.language for evidence in folder if evidence.expected_language == "auto" and evidence.language
    )
    if not counts or counts.total() < 5:
        return []
    usual, count = counts.most_common(1)[0]
    if count < 0.8 * counts.total():
        return []
    return [
        (
            index,
            f"language: detected {evidence.language!r} here, but {usual!r} in {count} of {counts.total()} clips",
        )
        for index, evidence in enumerate(folder)
        if evidence.expected_language == "auto" and evidence.language and evidence.language != usual
    ]


def _unsure(evidence: TextEvidence) -> bool:
    return probability(evidence) is not None or silence(evidence) is not None


def _letter_count(text: str) -> float:
    return math.fsum(_weight(letter) for letter in text if letter.isalnum())


@lru_cache(maxsize=4096)
def _weight(letter: str) -> float:
    if letter.isdecimal():
        return 4.0  # "18", "1908": about four letters per digit
    # A Chinese character takes about as long as three letters, a Korean or Japanese syllable as two.
    script = script_of(letter) if unicodedata.category(letter) == "Lo" else ""
    return {"CJK": 3.0, "HANGUL": 2.0, "HIRAGANA": 2.0, "KATAKANA": 2.0}.get(script, 1.0)
