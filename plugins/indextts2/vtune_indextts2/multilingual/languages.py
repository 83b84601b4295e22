"""The languages of IndexTTS-2.5: their tags, their rows in the GPT, and the scripts that they are written in."""

from __future__ import annotations

import unicodedata
from collections import Counter

from vtune import EngineError
from vtune.errors import choices

AUTO = "auto"
"""The value of the option ``language`` that chooses a language by the text."""

_TAGS = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt "
    "la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc "
    "ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue minnan wuyu "
    "dialect zh/en en/zh common "
)
TAGS = tuple(_TAGS.split())
"""All tags, each at the index of its row. The last ones are mixtures, and ``common`` for a tag that is not listed."""

COMMON = "common"
TRAINED_TAGS = ("zh", "en", "ja", "es", "ar")
"""The languages that the release names as its own; whether the rows of the others were trained is not known."""

MAX_FOREIGN_SHARE = 0.2
"""The largest share of letters in a script that is neither the language's own nor Latin."""

_SCRIPTS: dict[frozenset[str], str] = {
    frozenset({"CJK"}): "zh yue minnan wuyu dialect",
    frozenset({"CJK", "LATIN"}): "zh/en en/zh",
    frozenset({"HIRAGANA", "KATAKANA", "CJK"}): "ja",
    frozenset({"HANGUL", "CJK"}): "ko",
    frozenset({"ARABIC"}): "ar ur fa ps sd",
    frozenset({"CYRILLIC"}): "ru uk bg mk be kk mn tg tt ba",
    frozenset({"CYRILLIC", "LATIN"}): "sr",
    frozenset({"DEVANAGARI"}): "hi mr ne sa",
    frozenset({"BENGALI"}): "bn as",
    frozenset({"TAMIL"}): "ta",
    frozenset({"TELUGU"}): "te",
    frozenset({"KANNADA"}): "kn",
    frozenset({"MALAYALAM"}): "ml",
    frozenset({"GUJARATI"}): "gu",
    frozenset({"GURMUKHI"}): "pa",
    frozenset({"SINHALA"}): "si",
    frozenset({"THAI"}): "th",
    frozenset({"LAO"}): "lo",
    frozenset({"KHMER"}): "km",
    frozenset({"MYANMAR"}): "my",
    frozenset({"TIBETAN"}): "bo",
    frozenset({"GEORGIAN"}): "ka",
    frozenset({"ARMENIAN"}): "hy",
    frozenset({"HEBREW"}): "he yi",
    frozenset({"GREEK"}): "el",
    frozenset({"ETHIOPIC"}): "am",
}
_SCRIPTS_OF = {tag: scripts for scripts, tags in _SCRIPTS.items() for tag in tags.split()}
_LATIN = frozenset({"LATIN"})
_GUESSES = (("ja", ("HIRAGANA", "KATAKANA")), ("zh", ("CJK",)), ("ar", ("ARABIC",)), ("en", ("LATIN",)))


def row_of(tag: str) -> int:
    """Return the row of a tag in ``lang_embedding``; a tag that is not listed has the row of ``common``."""
    tag = tag.lower()
    return TAGS.index(tag if tag in TAGS else COMMON)


def checked_tag(tag: str) -> str:
    """Return a tag in lower case. :raises ValueError: there is no such tag; the message has the nearest tag."""
    lower = tag.lower()
    if lower != AUTO and lower not in TAGS:
        raise ValueError(f"there is no language {tag!r}{choices(lower, (AUTO, *TAGS), 'tags')}")
    return lower


def scripts_in(text: str) -> Counter[str]:
    """Count the letters of each script, by the first word of their Unicode names: ``{"LATIN": 5, "CJK": 1}``."""
    names = (unicodedata.name(char, "") for char in text if unicodedata.category(char)[0] == "L")
    return Counter(_script(name) for name in names if name)


def misfit(text: str, tag: str) -> str | None:
    """Tell why a text cannot be in a language: it has no letter of its scripts, or too many of another script.

    A text without letters fits every language, and letters of Latin are guests in every language.

    :returns: what was found, such as ``12 of 12 letters are CJK``; None if the text fits.
    """
    if tag == COMMON:
        return None
    counts = scripts_in(text)
    own = _SCRIPTS_OF.get(tag, _LATIN)
    total = counts.total()
    owned = sum(counts[script] for script in own)
    foreign = {script: count for script, count in counts.items() if script not in own | _LATIN}
    if not total or (owned and sum(foreign.values()) <= MAX_FOREIGN_SHARE * total):
        return None
    found = foreign or counts
    script = max(found, key=lambda name: found[name])
    return f"{found[script]} of {total} letters are {script}"


def resolve_language(text: str, tag: str, usual: str | None = None) -> str:
    """Return the tag of the language that a text is spoken in.

    :param tag: what the user asks for, ``auto`` for a choice by the text.
    :param usual: the language of the voice, which ``auto`` takes for every text that fits it.
    :raises EngineError: the text does not fit the language, or ``auto`` cannot tell its language.
    """
    if tag != AUTO:
        problem = misfit(text, tag)
        if problem:
            raise EngineError(
                f"language is {tag!r}, but {problem} in {_quoted(text)}; set the language of this text, or correct it"
            )
        return tag
    if usual and not misfit(text, usual):
        return usual
    counts = scripts_in(text)
    if not counts:
        return usual or "en"
    for guess, scripts in _GUESSES:
        if any(counts[script] for script in scripts) and not misfit(text, guess):
            return guess
    script = max(counts, key=lambda name: counts[name])
    raise EngineError(
        f"language 'auto' does not know the language of {_quoted(text)} ({script}); set the option language to its tag"
    )


def _script(name: str) -> str:
    first, _, rest = name.replace("-", " ").partition(" ")
    return rest.split(" ", 1)[0] if first in {"HALFWIDTH", "FULLWIDTH"} else first


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
