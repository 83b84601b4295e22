"""Tell from the beginning of a text what it is: label times, subtitles, JSON or markup are no plain words."""

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
