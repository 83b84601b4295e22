"""Write HTML tables of metrics: means of systems beside each other, and the numbers of one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

from vtune.contract.metrics import Better
from vtune.evaluation.scores import Score, Scores
from vtune.webpage import safe

Verdict = Literal["better", "worse", "differs"]

MARKS: Mapping[Verdict, str] = {"better": "✓", "worse": "✗", "differs": "≠"}


def verdict(score: Score, system: str, baseline: str) -> Verdict | None:
    """Say how a system differs from the baseline; None where the interval of the difference includes zero.

    A metric whose best is 1 has a better side only where both means lie on the same side of 1: the interval is that of
    their difference, not of their distances from 1.
    """
    low, high = score.intervals.get(system, (0.0, 0.0))
    if low <= 0 <= high:
        return None
    best: Better = score.spec.better
    if best == "one":
        means = [score.means[name] for name in (system, baseline)]
        best = "high" if max(means) <= 1 else "low" if min(means) >= 1 else "neither"
    if best == "neither":
        return "differs"
    return "better" if (low > 0) == (best == "high") else "worse"


def means_table(several: Iterable[Score], scores: Scores, *, grouped: bool = False) -> Iterator[str]:
    """Yield a table of means, under each the interval of its difference to the baseline.

    :param grouped: whether metrics stand under the names of their groups.
    """
    notes = {scores.baseline: "baseline"} if len(scores.systems) > 1 else {}
    yield from _head([(name, notes.get(name, "")) for name in scores.columns])
    for group, members in groupby(several, key=lambda score: score.group):
        yield "<tbody>"
        if grouped:
            yield f"<tr class=group><th scope=rowgroup colspan={len(scores.columns) + 1}>{safe(group)}"
        for score in members:
            cells = "".join(_mean(score, name, scores.baseline) for name in scores.columns)
            yield f"<tr><th scope=row>{_title(score)}{cells}"
        yield "</tbody>"
    yield "</table></div>"


def sentence_table(columns: Sequence[tuple[str, Mapping[str, Any]]], scores: Scores) -> Iterator[str]:
    """Yield a table of every metric of a text's utterances.

    :param columns: name of the system, and the utterance's row in ``Scores.utterances``.
    """
    yield from _head([(name, "") for name, _ in columns])
    yield "<tbody>"
    for score in scores.scores:
        numbers = [row["metrics"].get(score.spec.name) for _, row in columns]
        if any(number is not None for number in numbers):
            cells = "".join(f"<td>{score.spec.shown(number)}" for number in numbers)
            yield f"<tr><th scope=row>{_title(score)}{cells}"
    yield "</tbody></table></div>"


def _head(columns: Iterable[tuple[str, str]]) -> Iterator[str]:
    cells = "".join(f"<th scope=col>{safe(name)}" + (note and f"<small>{note}</small>") for name, note in columns)
    yield f"<div class=wide tabindex=0 role=region aria-label=metrics><table><thead><tr><td>{cells}</thead>"


def _title(score: Score) -> str:
    spec = score.spec
    return f"{safe(spec.title)}<small>{safe(spec.name)}: {spec.direction}</small>"


def _mean(score: Score, system: str, baseline: str) -> str:
    difference, mark = score.difference(system), verdict(score, system, baseline)
    cell = f"<td>{safe(score.shown(system))}"
    if difference:
        cell += f"<small>{safe(difference)}</small>"
    if mark:
        cell += f"<span class={mark}>{MARKS[mark]} {mark}</span>"
    return cell
