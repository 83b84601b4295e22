"""Tell from the beginning of a text what it is: label times, subtitles, JSON, markup or phonemes are no plain words."""

from __future__ import annotations

import json
import re

from vtune.audio import SUFFIXES

HEAD_CHARACTERS = 1 << 16
"""Characters of a file that are looked at."""

_HEAD_LINES = 50
_NUMBER = r"-?\d+(?:[.,]\d+)?"
_LABEL = re.compile(rf"\s*({_NUMBER})\s+({_NUMBER})\s+\S.*")
_AUDIO_NAME = re.compile(rf"[^\s|,;\"]({'|'.join(map(re.escape, sorted(SUFFIXES)))})\b", re.I)
_MARKUP = re.compile(r"\s*<(?:\?xml|!doctype|html|speak|tei|annotation_document|trans|body)\b", re.I)
# Letters that some languages write are here too (Azerbaijani's ə); the marks below no language writes.
_IPA = re.compile("[\u0250-\u02ba\u02bd-\u02ff]")
_IPA_MARK = re.compile("[ˈˌːɪʃɹʁɐɚ]")
_ARPABET = re.compile(r"[A-Za-z]{2}[012]")
_PINYIN = re.compile(r"[a-zü]{1,6}[1-5]")


def kind_of_text(text: str) -> str | None:
    """Return what a text is, in words for users, if it is not plain words; None for plain words.

    ``"0.000000\\t3.776250\\tThe kettle"`` is ``"label times"``; ``"The kettle"`` is None.
    """
    head = text[:HEAD_CHARACTERS].lstrip("\ufeff")
    lines = [line for line in head.splitlines() if line.strip()][:_HEAD_LINES]
    if not lines:
        return None
    first = lines[0].strip()
    if first.startswith("version https://git-lfs"):
        return "a Git LFS pointer instead of the file (fetch it with `git lfs pull`)"
    if first.startswith("WEBVTT") or sum("-->" in line for line in lines) * 5 >= len(lines):
        return "subtitles"
    if "ooTextFile" in first or first == "<exists>":
        return "a Praat TextGrid"
    if first.startswith("<?xml") or _MARKUP.match(head):
        return "markup (XML or HTML)"
    if first[0] in "{[" and _is_json(head):
        return "JSON"
    if _are_labels(lines) or _is_esps_label(lines):
        return "label times"
    if len(lines) > 1 and sum(bool(_AUDIO_NAME.search(line)) for line in lines) * 2 > len(lines):
        return "a list of recordings"
    return None


def phonetic_kind(texts: list[str]) -> str | None:
    """Return ``"phonemes"`` or ``"pinyin"`` if texts spell sounds instead of words; None for words.

    ``["DH AH0 K EH1 T AH0 L"]`` is phonemes, and so is the same in the IPA.
    """
    tokens = [token for text in texts for token in text.split()]
    letters = sum(character.isalpha() for token in tokens for character in token)
    if not letters:
        return None
    symbols = sum(len(_IPA.findall(token)) for token in tokens)
    if symbols > 0.1 * letters and any(_IPA_MARK.search(token) for token in tokens):
        return "phonemes"
    spoken = [token.strip("{}") for token in tokens]
    if sum(bool(_ARPABET.fullmatch(token)) for token in spoken) > 0.15 * len(tokens) and all(
        len(token) <= 3 or not token.isalpha() for token in spoken
    ):
        return "phonemes"
    if sum(bool(_PINYIN.fullmatch(token)) for token in spoken) > 0.6 * len(tokens):
        return "pinyin"
    return None


def _are_labels(lines: list[str]) -> bool:
    """Tell whether every line is a start, an end and a label. "10 20 people came" alone may be spoken words."""
    matches = [_LABEL.fullmatch(line) for line in lines]
    if not all(matches):
        return False
    return len(lines) > 1 or any(
        match and (match[1] == "0" or "." in match[1] or "\t" in match[0]) for match in matches
    )


def _is_json(head: str) -> bool:
    """Tell whether a text is JSON, as far as the head shows."""
    try:
        json.JSONDecoder().raw_decode(head.lstrip())
    except (ValueError, RecursionError):
        return len(head) >= HEAD_CHARACTERS and head.lstrip()[1:].lstrip()[:1] in '"{['
    return True


def _is_esps_label(lines: list[str]) -> bool:
    """Tell whether lines are a label file of ESPS or Festival: a header that ends with ``#``, then time and name."""
    stripped = [line.strip() for line in lines]
    if "#" not in stripped[:-1]:
        return False
    return all(re.match(rf"{_NUMBER}\s+\d+\b", line) for line in stripped[stripped.index("#") + 1 :])
