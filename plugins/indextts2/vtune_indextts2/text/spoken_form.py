"""Write a text as it is spoken: contractions, glossary and numbers written out, marks that the tokenizer knows."""

from __future__ import annotations

import re

from vtune_indextts2.text.glossary import Glossary, apply_glossary
from vtune_indextts2.text.language import Language, language_of
from vtune_indextts2.text.normalisers import TextEngine
from vtune_indextts2.text.pinyin import SYLLABLE, spelt
from vtune_indextts2.text.protected_names import NAME, hide, hide_hyphens, show, show_hyphens
from vtune_indextts2.text.punctuation import map_punctuation

# Anywhere, as the original has it, so also in "the rabbit's".
_CONTRACTION = re.compile(r"(what|where|who|which|how|there|here|it|she|he|that|this)'s", re.IGNORECASE)


class SpokenForm:
    """The normaliser of English and Chinese, which all releases share: an engine for numbers and what surrounds it."""

    def __init__(self, engine: TextEngine, glossary: Glossary | None = None) -> None:
        self.engine = engine
        self.glossary = glossary or {}

    def normalise(self, text: str, language: Language | None = None) -> str:
        """Return the text as it is spoken.

        :param language: the language to read the text in; None chooses the language by the text.
        """
        language = language or language_of(text)
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
