"""Cut long texts into segments that are spoken one by one, by the number of their tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from vtune_indextts2.multilingual.annotations import PROTECTED

_MARKS = "，。！？、；：,.!?;:\n"
_PART = re.compile(f"[^{_MARKS}]*[{_MARKS}]|[^{_MARKS}]+")

Count = Callable[[str], int]
"""Returns the number of tokens of a text."""


def split(text: str, budget: int, count: Count, *, quick: int = 0, whole_words: bool = True) -> list[str]:
    """Cut a text into segments of at most ``budget`` tokens, at marks where there are some; joined they are the text.

    What stands between a pair of special tokens is never cut, even if it is longer than the budget.

    :param quick: segments stay as short as they are until this many tokens have passed, so that speech begins early.
    :param whole_words: cut what has no mark at blanks if it has some; otherwise after any character, as upstream does.
    """
    if count(text) <= max(budget if not quick else 0, 0):
        return [text]
    return _joined(_parts(text, budget, count, whole_words), budget, count, quick)


def _parts(text: str, budget: int, count: Count, whole_words: bool) -> Iterator[str]:
    position = 0
    for match in PROTECTED.finditer(text):
        yield from _free_parts(text[position : match.start()], budget, count, whole_words)
        yield match.group()
        position = match.end()
    yield from _free_parts(text[position:], budget, count, whole_words)


def _free_parts(text: str, budget: int, count: Count, whole_words: bool) -> Iterator[str]:
    for part in _PART.findall(text):
        if count(part) <= budget:
            yield part
        else:
            yield from _cut(part, budget, count, whole_words)


def _cut(part: str, budget: int, count: Count, whole_words: bool) -> Iterator[str]:
    piece = ""
    for char in part:
        if piece and count(piece + char) > budget:
            blank = piece.rfind(" ") if whole_words and char != " " else -1
            kept, rest = (piece[:blank], piece[blank:]) if blank > 0 else (piece, "")
            yield kept
            piece = rest
        piece += char
    if piece:
        yield piece


def _joined(parts: Iterator[str], budget: int, count: Count, quick: int) -> list[str]:
    segments: list[str] = []
    passed = 0
    for part in parts:
        passed += count(part)
        joint = count(segments[-1] + part) if segments else budget + 1
        if joint <= budget / 2 or (joint <= budget and passed > quick):
            segments[-1] += part
        else:
            segments.append(part)
    return segments
