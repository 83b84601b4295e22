"""Mark the differences between recognised words and the text, with words and strokes, not only with colours."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from vtune.evaluation.word_alignment import Kind, align
from vtune.ingest.transcribe.error_rates import normalise
from vtune.webpage import safe


def marked(text: str, recognised: str, language: str | None) -> str:
    """Return HTML of the words heard, as they are compared: without case and punctuation.

    Words left out are in ``del``, added ones in ``ins``; where another word was said, both, one behind the other.
    """
    steps = align(normalise(text, language).split(), normalise(recognised, language).split()).steps
    return " ".join(_run(kind, list(run)) for kind, run in groupby(steps, key=lambda step: step[0]))


def _run(kind: Kind, steps: list[tuple[Kind, str, str]]) -> str:
    expected, recognised = (safe(" ".join(step[part] for step in steps)) for part in (1, 2))
    return " ".join(_marks(kind, expected, recognised))


def _marks(kind: Kind, expected: str, recognised: str) -> Iterator[str]:
    if kind == "match":
        yield recognised
    if kind == "deletion":
        yield f"<del>{_spoken_mark('left out:')} {expected}</del>"
    if kind == "substitution":
        yield f"<del>{_spoken_mark('instead of:')} {expected}</del>"
        yield f"<ins>{_spoken_mark('said:')} {recognised}</ins>"
    if kind == "insertion":
        yield f"<ins class=added>{_spoken_mark('added:')} {recognised}</ins>"


def _spoken_mark(words: str) -> str:
    """Return words for people who hear the page: few screen readers announce ``del`` and ``ins``."""
    return f"<span class=unseen dir=ltr>{words}</span>"
