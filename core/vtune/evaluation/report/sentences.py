"""Write the HTML of one text: its recording and its utterances below each other, on one time scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from vtune.evaluation.report.players import Track, name_of, player
from vtune.evaluation.report.table import sentence_table
from vtune.evaluation.scores import Scores
from vtune.webpage import safe

MAX_SCALE_RATIO = 1.5
"""Times the median length of a text's utterances up to which its time scale reaches. An utterance that runs on for a
minute would leave the others a hand's breadth; its picture is wider than the page instead, and moves."""


def sentence(number: int, text: str, tracks: Sequence[Track], scores: Scores, language: str | None) -> Iterator[str]:
    """Yield the HTML of one text.

    :param number: the number of the text, from 1.
    """
    scale = _scale([track.seconds for track in tracks])
    yield f"<article id=sentence-{number} tabindex=0 data-number={number}>"
    yield f"<h2><small>{number}</small> <span class=text dir=auto>{safe(text)}</span></h2>"
    for key, track in enumerate(tracks, 1):
        yield from player(track, key, scores, scale, language)
    if scores.scores and tracks:
        yield "<details><summary>every metric of this sentence</summary>"
        yield from sentence_table([(name_of(track.utterance, scores), track.row) for track in tracks], scores)
        yield "</details>"
    yield "</article>"


def _scale(seconds: Sequence[float]) -> float:
    """Return the seconds that are as wide as the page."""
    sounding = [length for length in seconds if length]
    return min(max(sounding), MAX_SCALE_RATIO * median(sounding)) if sounding else 1.0
