"""Replace parts that a text engine must not change by placeholders: hyphens of terms, pinyin, names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from string import ascii_lowercase

# One name is a run of Chinese characters and one or two more behind a hyphen, a middle dot or a dash. The look-behind
# changes no match: it keeps the search linear in a long run, of which every character could begin a name.
NAME = re.compile(r"(?<![\u4e00-\u9fff])[\u4e00-\u9fff]+(?:[-\u00b7\u2014][\u4e00-\u9fff]+){1,2}")

HYPHEN = "<H>"
_CHAIN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]+(?:-[A-Za-z0-9]+)+")
_LETTER = re.compile(r"[A-Za-z]")


def hide_hyphens(text: str) -> str:
    """Replace the hyphens of terms such as ``F5-TTS`` by ``<H>``: those behind the first letter of a chain."""
    return _CHAIN.sub(_hide, text)


def show_hyphens(text: str) -> str:
    """Put the hyphens back, without the spaces that an engine has put around them."""
    first, *parts = text.split(HYPHEN)
    if not parts:
        return text
    *middle, last = parts
    return "-".join([first.rstrip(), *(part.strip() for part in middle), last.lstrip()])


def hide(text: str, pattern: re.Pattern[str], tag: str) -> tuple[str, list[str]]:
    """Replace every distinct match, in order of appearance and wherever it stands, by ``<tag_a>``, ``<tag_b>``, ...

    :return: the text, and the matches in the order of their letters.
    """
    hidden = list(dict.fromkeys(match.group() for match in pattern.finditer(text)))
    for index, original in enumerate(hidden):
        text = text.replace(original, f"<{tag}_{_letters(index)}>")
    return text, hidden


def show(text: str, hidden: Sequence[str], tag: str, spelling: Callable[[str], str] = str) -> str:
    """Put back what :func:`hide` has hidden, each as ``spelling`` writes it."""
    originals = {_letters(index): spelling(original) for index, original in enumerate(hidden)}
    return re.sub(rf"<{tag}_([a-z]+)>", lambda match: originals.get(match[1], match[0]), text)


def _hide(match: re.Match[str]) -> str:
    chain = match.group()
    letter = _LETTER.search(chain)
    start = letter.start() if letter else len(chain)
    return chain[:start] + chain[start:].replace("-", HYPHEN)


def _letters(index: int) -> str:
    """Count a ... z, aa, ab ...: engines read digits out."""
    more, last = divmod(index, len(ascii_lowercase))
    return (_letters(more - 1) if more else "") + ascii_lowercase[last]
