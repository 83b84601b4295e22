"""Map languages to the scripts in which they are written."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_SCRIPT_LANGUAGES = {
    "CYRILLIC": "ru uk be bg mk sr kk ky mn tg tt ba",
    "GREEK": "el",
    "ARABIC": "ar fa ur ps sd ug",
    "HEBREW": "he yi iw",
    "DEVANAGARI": "hi mr ne sa",
    "BENGALI": "bn as",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "SINHALA": "si",
    "THAI": "th",
    "LAO": "lo",
    "MYANMAR": "my",
    "KHMER": "km",
    "TIBETAN": "bo",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
    "ETHIOPIC": "am",
    "HANGUL": "ko",
    "CJK": "zh yue ja",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "LATIN": (
        "af az br bs ca cs cy da de en es et eu fi fo fr gl ha haw hr ht hu id is it jw jv la lb ln lt lv mg mi ms mt "
        "nl nn no oc pl pt ro sk sl sn so sq su sv sw tk tl tr uz vi yo sr"
    ),
}


@lru_cache(maxsize=4096)
def script_of(letter: str) -> str:
    """Return the script of a letter by its Unicode name, such as ``LATIN`` or ``CJK``; empty if it has no name."""
    # Full-width and half-width letters occur in Chinese and Japanese text.
    name = unicodedata.name(unicodedata.normalize("NFKC", letter)[0], "")
    return name.partition(" ")[0]


def scripts_of(language: str) -> frozenset[str]:
    """Return the scripts of a language by its code; empty for an unknown language, so that nothing is flagged."""
    return frozenset(script for script, languages in _SCRIPT_LANGUAGES.items() if language in languages.split())
