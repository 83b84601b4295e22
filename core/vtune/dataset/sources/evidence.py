"""Tell what the cells of a column hold, from the cells alone: words, phones, recordings, numbers, names, ..."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from vtune import audio
from vtune.dataset.sources.cell_vocabularies import ARPABET, EMOTIONS, GENDERS, LANGUAGES, SPLITS


class CellKind(Enum):
    """What the cells of a column hold; the value is how messages call it."""

    EMPTY = "nothing"
    RECORDING = "paths of recordings"
    NUMBER = "numbers"
    TIME = "times"
    PHONES = "phones"
    LANGUAGE = "languages"
    EMOTION = "emotions"
    SPLIT = "splits"
    GENDER = "genders"
    WORDS = "words"
    SINGLE_WORDS = "single words"
    FEW = "few values"
    IDENTIFIER = "identifiers"
    MIXED = "mixed cells"


NAMING_KINDS = frozenset({CellKind.FEW, CellKind.GENDER, CellKind.NUMBER})
"""Kinds whose values may tell speakers apart."""

MAX_NAMED_VALUES = 100
"""More distinct values than this are no names of speakers, unless the column's own name says so."""

# Letters of the phonetic alphabet that hardly an orthography has, with stress and length.
_IPA = re.compile("[ɹɐɚɝɾɑɒʊɪʌɡʃʒɕʑɯɲɳʂʐɬʁχɸβˈˌː‖͡]")
_TONE_SYLLABLE = re.compile(r"[a-zü]{1,6}[1-5]", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:\d+(?:[.,]\d+)*|\d*[.,]\d+)(?:e[-+]?\d+)?\s?(?:%|s|ms|hz|khz|db)?", re.IGNORECASE)
_TIME = re.compile(r"\d+:\d{2}(?::\d{2})?(?:[.,]\d+)?|\d{4}-\d{2}-\d{2}.*")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
# Scripts that put no blanks between words: Thai, Lao, Myanmar, Khmer, Tibetan, kana, ideographs.
_UNSPACED_LETTER = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class ColumnEvidence:
    """What a sample of a column's cells shows.

    :param distinct: distinct values that are not empty.
    :param examples: the first distinct values.
    """

    kind: CellKind
    distinct: int
    examples: tuple[str, ...]

    def describe(self) -> str:
        """Return a phrase for messages, such as ``emotions ('calm', 'angry', ...)``."""
        if self.kind is CellKind.EMPTY:
            return str(self.kind.value)
        shown = ", ".join(repr(value if len(value) <= 30 else f"{value[:27]}...") for value in self.examples[:3])
        return f"{self.kind.value} ({shown}{', ...' if self.distinct > 3 else ''})"


def examine_column(cells: Iterable[str]) -> ColumnEvidence:
    """Tell what a sample of cells holds."""
    values = [value for cell in cells if (value := cell.strip()) and any(map(str.isalnum, value))]
    counts = Counter(values)
    return ColumnEvidence(_kind(values, counts), len(counts), tuple(list(counts)[:8]))


def _kind(values: Sequence[str], counts: Counter[str]) -> CellKind:
    if not values:
        return CellKind.EMPTY
    for kind, share, fits in _TESTS:
        if sum(1 for value in values if fits(value)) >= share * len(values):
            return kind
    if len(counts) <= len(values) // 2 and len(values) > 2:
        return CellKind.FEW
    if sum(map(reads_like_words, values)) >= len(values) / 2:
        return CellKind.WORDS
    if sum(map(_is_word, values)) >= 0.9 * len(values):
        return CellKind.SINGLE_WORDS
    return CellKind.IDENTIFIER if sum(map(_is_identifier, values)) >= 0.9 * len(values) else CellKind.MIXED


def reads_like_words(text: str) -> bool:
    """Tell whether a text reads like spoken words: mostly letters, and several words or a script without blanks."""
    solid = [char for char in text if not char.isspace()]
    letters = sum(unicodedata.category(char)[0] in "LM" for char in solid)
    if letters < 0.6 * len(solid):
        return False
    return (len(_WORD.findall(text)) >= 2 and any(map(str.isspace, text))) or len(_UNSPACED_LETTER.findall(text)) >= 2


def similarity(cells: Iterable[tuple[str, str]]) -> float:
    """Return how alike the words of pairs of texts are: the mean share of common words, 0 to 1."""
    shares = []
    for left, right in cells:
        words = [{word.casefold() for word in _WORD.findall(text)} or set(text.split()) for text in (left, right)]
        union = words[0] | words[1]
        if union:
            shares.append(len(words[0] & words[1]) / len(union))
    return sum(shares) / len(shares) if shares else 0.0


def _is_recording(value: str) -> bool:
    is_path = ("/" in value or "\\" in value) and not any(map(value.__contains__, " <"))
    return is_path or value.casefold().endswith(tuple(audio.SUFFIXES))


def _is_language(value: str) -> bool:
    name = value.casefold()
    return name in LANGUAGES or (len(name) <= 7 and re.split("[-_]", name)[0] in LANGUAGES)


def _is_phones(value: str) -> bool:
    if len(_IPA.findall(value)) >= max(1, len(value.split()) // 2):
        return True
    sounds = [
        sound for part in re.split(r"[\s/|]+", value.casefold()) if any(map(str.isalnum, sound := part.rstrip("012")))
    ]
    if len(sounds) < 3 or _UNSPACED_LETTER.search(value):
        return False
    if all(map(_TONE_SYLLABLE.fullmatch, value.split())):
        return True
    is_arpabet = sum(sound in ARPABET for sound in sounds) >= 0.9 * len(sounds)
    return is_arpabet or (len(sounds) >= 4 and sum(map(len, sounds)) < 1.5 * len(sounds))


def _is_word(value: str) -> bool:
    return _WORD.fullmatch(value.strip(".,;:!?…¡¿\"'“”„«»() ")) is not None


def _is_identifier(value: str) -> bool:
    return not any(map(str.isspace, value)) and value.isascii()


_TESTS: tuple[tuple[CellKind, float, Callable[[str], object]], ...] = (
    (CellKind.RECORDING, 0.8, _is_recording),
    (CellKind.NUMBER, 0.9, _NUMBER.fullmatch),
    (CellKind.TIME, 0.9, _TIME.fullmatch),
    (CellKind.SPLIT, 1, lambda value: value.casefold() in SPLITS),
    (CellKind.GENDER, 1, lambda value: value.casefold() in GENDERS),
    (CellKind.EMOTION, 0.8, lambda value: re.split(r"[\W_]+", value.casefold())[0] in EMOTIONS and len(value) < 30),
    (CellKind.LANGUAGE, 1, _is_language),
    (CellKind.PHONES, 0.6, _is_phones),
)
"""Kinds that the form of single cells shows, with the least share of cells, in the order in which they are tried."""
