"""Turn a text in one of many languages into token ids, with the tag of its language in front."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from vtune.toolkit import is_speakable
from vtune_indextts2.multilingual import annotations as readings
from vtune_indextts2.multilingual import japanese, languages, spanish
from vtune_indextts2.multilingual.segments import split
from vtune_indextts2.multilingual.tokens import Encoder
from vtune_indextts2.text.glossary import Glossary
from vtune_indextts2.text.language import Language
from vtune_indextts2.text.normalisers import TextEngine
from vtune_indextts2.text.punctuation import map_punctuation
from vtune_indextts2.text.spoken_form import SpokenForm

MAX_TEXT_TOKENS = 600
CHINESE_TAGS = ("zh", "zhen")
LOWER_CASE_TAGS = (*CHINESE_TAGS, "en", "ja")
UPPER_CASE_TAGS = ("es",)
DROPPED_IDS = (0, 1)
"""Upstream's start and stop, which it also deletes where they stand for ``!`` and for a straight quote."""

_TIME_COLON = re.compile(r"(?<=\d):(?=\d)")
_HIDDEN_COLON = "\ue002"
"""Stands for the colon of a time until its numbers are read, because the tokenizer knows no colons."""


@dataclass(frozen=True)
class Engines:
    """What other programs do to a text.

    :param numbers: writes English and Chinese numbers.
    :param spanish: writes Spanish numbers.
    :param words: puts blanks between Japanese words.
    """

    numbers: TextEngine
    spanish: Callable[[str], str] = spanish.normalise_spanish
    words: japanese.WordSplitter = japanese.split_words


class MultilingualFrontend:
    """Turns texts into token ids.

    :param max_text_tokens: places of the GPT's text block, without start and stop.
    :param upstream: prepare texts exactly as the released code does: punctuation is replaced before numbers are read
        (``9:45`` becomes ``9,45``), the language of numbers is guessed from the text, annotations are torn apart by
        Japanese words and rewritten in Spanish, long words are cut, and ids 0 and 1 (``!`` and a quote) are deleted.
        Otherwise none of this happens.
    """

    def __init__(
        self, encoder: Encoder, engines: Engines, glossary: Glossary | None = None, *,
        max_text_tokens: int = MAX_TEXT_TOKENS, upstream: bool = False,
    ) -> None:  # fmt: skip
        self.encoder = encoder
        self.engine = engines.numbers
        self.upstream = upstream
        self._engines = engines
        self._spoken_form = SpokenForm(engines.numbers, glossary)
        self._max_text_tokens = max_text_tokens

    def identity(self, tag: str = languages.AUTO) -> str:
        """Return names and versions of what normalises texts of a language; ``auto``: of every language."""
        names = {"es": spanish.spanish_identity, "ja": japanese.word_splitter_identity}
        parts = [self.engine.identity] if tag not in names else [names[tag]()]
        if tag == languages.AUTO:
            parts.append(f"es {spanish.spanish_identity()}")
        return "; ".join([*parts, *(["upstream's order"] if self.upstream else [])])

    def resolve(self, text: str, tag: str, usual: str | None = None) -> str:
        """Return the language of a text without its readings and special tokens; see ``resolve_language``."""
        bare = readings.SPECIAL.sub(" ", readings.PROTECTED.sub(" ", text))
        return languages.resolve_language(readings.ANNOTATION.sub(r"\1", bare), tag, usual)

    def row(self, tag: str) -> int:
        """Return the row of a language in the GPT."""
        return languages.row_of(tag)

    def clean(self, text: str) -> str:
        """Replace punctuation marks by those that the tokenizer knows."""
        return map_punctuation(text, "en")

    def normalise(self, text: str, tag: str) -> str:
        """Write the numbers of a text in words; annotations stay as they are."""
        tag = tag.lower()
        if tag == "es":
            if self.upstream:
                return self._engines.spanish(text)
            hidden_text, hidden = readings.hide_annotations(text)
            return readings.show_annotations(self._engines.spanish(hidden_text), hidden)
        if tag not in (*CHINESE_TAGS, "en"):
            return text
        hidden_text, hidden = readings.hide_annotations(text)
        language: Language = "zh" if tag in CHINESE_TAGS else "en"
        spoken = self._spoken_form.normalise(hidden_text, None if self.upstream else language)
        return readings.show_annotations(spoken, hidden)

    def final(self, text: str, tag: str, *, numbers: bool = True) -> str:
        """Return the text that is cut and encoded: cleaned, numbers in words, in the case of its language.

        :param numbers: write numbers in words.
        """
        tag = tag.lower()
        if self.upstream:
            text = self.clean(text)
            text = self.normalise(text, tag) if numbers else text
        else:
            text = self.clean(_TIME_COLON.sub(_HIDDEN_COLON, text)).replace(_HIDDEN_COLON, ":")
            text = self.clean(self.normalise(text, tag) if numbers else text).strip()
        text = text.lower() if tag in LOWER_CASE_TAGS else text.upper() if tag in UPPER_CASE_TAGS else text
        text = readings.write_readings(text, mark_kana=tag == "ja" and not self.upstream)
        if tag == "ja":
            text = readings.raise_special_tokens(text) if not self.upstream else text
            words = self._engines.words
            text = words(text) if self.upstream else japanese.split_around_readings(text, words)
        return readings.raise_special_tokens(text)

    def encode(self, text: str, tag: str) -> list[int]:
        """Return the ids of a final text with the tag of its language in front."""
        return self.encoder.encode(prefix_of(tag) + text)

    def tokenize(self, text: str, tag: str = languages.AUTO) -> list[int]:
        """Return the ids of a text as one segment; no ids if the text is empty.

        :raises EngineError: the text does not fit the language, or ``auto`` cannot tell its language.
        """
        tag = self.resolve(text, tag)
        final = self.final(text, tag)
        return self._kept(self.encode(final, tag)) if final.strip() else []

    def segments(self, text: str, tag: str, longest: int, quick: int = 0) -> list[str]:
        """Cut a final text into segments of at most ``longest`` tokens, the tag's tokens included."""
        prefix = len(self.encoder.encode(prefix_of(tag)))
        budget = max(1, min(longest, self._max_text_tokens) - prefix)
        return split(
            text, budget, lambda part: len(self.encoder.encode(part)), quick=quick, whole_words=not self.upstream
        )

    def spoken_segments(self, text: str, longest: int, quick: int = 0, tag: str = languages.AUTO) -> list[list[int]]:
        """Return the ids of each segment; a segment without a letter or a digit, which cannot be read out, has none.

        :raises EngineError: see ``tokenize``.
        """
        tag = self.resolve(text, tag)
        segments = self.segments(self.final(text, tag), tag, longest, quick)
        return [
            self._kept(self.encode(segment if self.upstream else segment.strip(), tag))
            if _is_speakable(segment)
            else []
            for segment in segments
        ]

    def _kept(self, ids: list[int]) -> list[int]:
        return [number for number in ids if number not in DROPPED_IDS] if self.upstream else ids


def prefix_of(tag: str) -> str:
    """Return what stands in front of every segment: ``<|en|> ``."""
    return f"<|{tag.lower()}|> "


def _is_speakable(segment: str) -> bool:
    return is_speakable(readings.SPECIAL.sub("", segment))
