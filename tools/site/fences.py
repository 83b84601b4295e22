"""Find the code blocks of a Markdown page, with the marks on their fences."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>[\w-]*)(?P<marks>[^`]*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    :param line: number of the line of its first fence, from 1.
    :param parsed: why its commands cannot be executed in a test; None if they are.
    """

    line: int
    language: str
    text: str
    parsed: str | None


def blocks(page: str) -> Iterator[Block]:
    """Yield the code blocks of a page, without their indent.

    :raises ValueError: a fence has a mark that is not ``parsed="a reason"``, or is never closed.
    """
    opening: re.Match[str] | None = None
    lines: list[str] = []
    start = 0
    for number, line in enumerate(page.splitlines(), 1):
        fence = _FENCE.match(line)
        if opening is None:
            if fence is not None:
                opening, lines, start = fence, [], number
        elif fence is not None and fence["ticks"] == opening["ticks"] and not fence["language"]:
            text = textwrap.dedent("\n".join(lines)) + "\n"
            yield Block(start, opening["language"], text, _reason(opening["marks"].strip(), start))
            opening = None
        else:
            lines.append(line)
    if opening is not None:
        raise ValueError(f"line {start}: the fence is never closed")


def _reason(marks: str, line: int) -> str | None:
    if not marks:
        return None
    marks = re.sub(r'title="[^"]+" ?', "", marks)
    match = re.fullmatch(r'parsed="([^"]{5,})"', marks)
    if marks and match is None:
        raise ValueError(f'line {line}: {marks!r} is not a mark; write parsed="needs ..."')
    return match[1] if match else None


def without_marks(line: str) -> str:
    """Return a line as it is, a fence without the mark for tests."""
    return line if _FENCE.match(line) is None else re.sub(r' *parsed="[^"]*"', "", line)


def outside_blocks(page: str) -> Iterator[tuple[int, str]]:
    """Yield the number, from 1, and the text of each line that is in no code block."""
    ticks = ""
    for number, line in enumerate(page.splitlines(), 1):
        fence = _FENCE.match(line)
        if fence is not None and not ticks:
            ticks = fence["ticks"]
        elif fence is not None and fence["ticks"] == ticks and not fence["language"]:
            ticks = ""
        elif not ticks:
            yield number, line
