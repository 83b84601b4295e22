"""What the recogniser heard, with differences to the text marked: by words and strokes, not by colour alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from vtune.evaluation.word_alignment import Kind, align
from vtune.ingest.transcribe.error_rates import normalise
from vtune.webpage import safe


def marked(text: str, heard: str, language: str | None) -> str:
    """Return HTML of the words heard, as they are compared: without case and punctuation.

    Words left out are in ``del``, added ones in ``ins``; where another word was said, both, one behind the other.
    """
    steps = align(normalise(text, language).split(), normalise(heard, language).split()).steps
    return " ".join(_run(kind, list(run)) for kind, run in groupby(steps, key=lambda step: step[0]))


def _run(kind: Kind, steps: list[tuple[Kind, str, str]]) -> str:
    wanted, said = (safe(" ".join(step[place] for step in steps)) for place in (1, 2))
    return " ".join(_marks(kind, wanted, said))


def _marks(kind: Kind, wanted: str, said: str) -> Iterator[str]:
    if kind == "match":
        yield said
    if kind == "deletion":
        yield f"<del>{_spoken_mark('left out:')} {wanted}</del>"
    if kind == "substitution":
        yield f"<del>{_spoken_mark('instead of:')} {wanted}</del>"
        yield f"<ins>{_spoken_mark('said:')} {said}</ins>"
    if kind == "insertion":
        yield f"<ins class=added>{_spoken_mark('added:')} {said}</ins>"


def _spoken_mark(words: str) -> str:
    """Return words for people who hear the page: few screen readers announce ``del`` and ``ins``."""
    return f"<span class=unseen dir=ltr>{words}</span>"
