"""Turn a text into the token ids that the network reads."""

from __future__ import annotations

import re

from sentencepiece import SentencePieceProcessor

from vtune.toolkit import is_speakable
from vtune_indextts2.text.glossary import Glossary, apply_glossary
from vtune_indextts2.text.language import language_of
from vtune_indextts2.text.normalisers import TextEngine
from vtune_indextts2.text.pinyin import SYLLABLE, spelt
from vtune_indextts2.text.protected_names import NAME, hide, hide_hyphens, show, show_hyphens
from vtune_indextts2.text.punctuation import map_punctuation
from vtune_indextts2.text.segments import split
from vtune_indextts2.text.spacing import spaced

# Anywhere, as the original has it, so also in "the rabbit's".
_CONTRACTION = re.compile(r"(what|where|who|which|how|there|here|it|she|he|that|this)'s", re.IGNORECASE)


class Frontend:
    """Turns texts into token ids with a tokenizer, a text engine and, if given, a glossary."""

    def __init__(self, tokenizer: SentencePieceProcessor, engine: TextEngine, glossary: Glossary | None = None) -> None:
        self.tokenizer = tokenizer
        self.engine = engine
        self.glossary = glossary or {}

    def normalise(self, text: str) -> str:
        """Return the text as it is spoken: contractions and numbers written out, marks that the tokenizer knows."""
        language = language_of(text)
        text = _CONTRACTION.sub(r"\1 is", text)
        text = apply_glossary(text, self.glossary, language)
        if language == "en":
            text = self.engine.normalise(hide_hyphens(text), language)
        else:
            text, syllables = hide(hide_hyphens(text.rstrip()), SYLLABLE, "pinyin")
            text, names = hide(text, NAME, "n")
            text = self.engine.normalise(text, language)
            text = show(show(text, names, "n"), syllables, "pinyin", spelt)
        return map_punctuation(show_hyphens(text), language)

    def pieces(self, text: str) -> list[str]:
        """Return the tokenizer's pieces; a single character stays unchanged."""
        spoken = text if len(text.strip()) == 1 else spaced(self.normalise(text))
        # SentencePiece takes no lone surrogates, which a command line may hold.
        pieces: list[str] = self.tokenizer.encode(spoken.encode("utf-8", "replace").decode("utf-8"), out_type=str)
        return pieces

    def tokenize(self, text: str) -> list[int]:
        """Return the ids of the pieces; unknown pieces get the id 2."""
        return self._ids(self.pieces(text))

    def segments(self, text: str, longest: int, quick: int = 0, repeat_apostrophe: bool = False) -> list[list[int]]:
        """Return ids in segments of at most ``longest``; see :func:`vtune_indextts2.text.segments.split`."""
        pieces = self.pieces(text)
        ids = self._ids(pieces)
        return [[ids[index] for index in segment] for segment in split(pieces, longest, quick, repeat_apostrophe)]

    def spoken_segments(self, text: str, longest: int, quick: int = 0) -> list[list[int]]:
        """Return segments like ``segments``.

        A segment without a letter or a digit, which cannot be read out, is an empty list.
        """
        pieces = self.pieces(text)
        ids = self._ids(pieces)
        segments = split(pieces, longest, quick)
        speakable = [is_speakable("".join(pieces[index] for index in segment)) for segment in segments]
        return [
            [ids[index] for index in segment] if can else [] for segment, can in zip(segments, speakable, strict=True)
        ]

    def _ids(self, pieces: list[str]) -> list[int]:
        ids: list[int] = self.tokenizer.piece_to_id(pieces)
        return ids
