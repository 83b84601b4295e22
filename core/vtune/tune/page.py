"""A study as one HTML page: the best settings, which settings matter, how the search went, and every trial."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from vtune.evaluation import MetricSpec
from vtune.runtime.paths import write_text
from vtune.tune.charts import Axis, Dot, bars, dots
from vtune.tune.dimensions import Dimension, Range
from vtune.tune.report import StudyReport
from vtune.tune.trials import State, Trial
from vtune.voice_format.record import list_voices
from vtune.webpage import html_document, safe


def write_page(report: StudyReport) -> None:
    """Write the page, whole or not at all; it needs no network and no script."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    body = "\n".join(_body(report))
    write_text(report.study_folder.page, html_document(f"{report.voice}: settings tried", body, style, ""))


def _body(report: StudyReport) -> Iterator[str]:
    yield f"<header><h1>{safe(report.voice)}: settings tried</h1>"
    yield f"<p class=source>{safe(str(report.study_folder.path))}: {safe(str(report.space))}</p>"
    best = report.best
    if best is None:
        yield "</header><main><p>No trial is done yet.</p>"
    else:
        facts = (f"<div><dt>{safe(name)}</dt><dd>{safe(fact)}</dd></div>" for name, fact in _facts(report))
        yield f"<dl>{''.join(facts)}"
        yield "</dl></header><main>"
        yield f"<section><h2>The best settings</h2><pre>{safe(report.best_command)}</pre></section>"
        yield from _pictures(report, report.specs[0])
        yield "<section><h2>Every trial</h2>"
        yield from _table(report)
        yield "</section>"
    yield from _unfinished(report)
    yield "</main>"


def _facts(report: StudyReport) -> Iterator[tuple[str, str]]:
    metric, own = report.specs[0], next(filter(report.is_own, report.ranked), None)
    yield f"{metric.title}, best", metric.shown(report.ranked[0].metrics[metric.name])
    if own is not None:
        yield f"{metric.title}, the recipe as it is", metric.shown(own.metrics[metric.name])
    for state in (State.DONE, State.PRUNED, State.FAILED):
        yield f"trials {state}", str(sum(trial.state == state for trial in report.trials))
    yield "hours", f"{sum(trial.seconds for trial in report.trials) / 3600:.2f}"


def _pictures(report: StudyReport, metric: MetricSpec) -> Iterator[str]:
    yield "<section class=charts>"
    if report.importances:
        shares = {report.keys[key]: share for key, share in report.importances.items()}
        yield f"<figure>{bars(shares, 'Which settings matter')}<figcaption>Which settings matter: how far the values "
        yield "of the best trials differ from all values, by PED-ANOVA "
        yield f"over {len(report.ranked)} trials.</figcaption></figure>"
    numbers = [trial.metrics[metric.name] for trial in report.ranked]
    up = Axis.over(numbers, unit=metric.unit)
    yield f"<figure>{_history(report, metric, up)}<figcaption>{safe(metric.title)} by trial; {metric.direction}. "
    yield "The line is the best until then. Yellow: the recipe as it is, grey: pruned, red: failed.</figcaption>"
    yield "</figure>"
    for key, dimension in report.space.dimensions.items():
        axis = _axis(dimension)
        marks = [
            Dot(_across(dimension, trial, key), trial.metrics[metric.name], _kind(report, trial), _title(report, trial))
            for trial in reversed(report.ranked)
        ]
        picture = dots(axis, up, marks, f"{metric.title} by {key}")
        yield f"<figure>{picture}<figcaption>{safe(metric.title)} by {safe(key)}</figcaption></figure>"
    yield "</section>"
    if not report.importances:
        yield "<p class=source>How much each setting matters is shown after ten trials.</p>"


def _history(report: StudyReport, metric: MetricSpec, up: Axis) -> str:
    ended = report.ended
    marks, line, best = [], [], None
    ranks = {trial.number: rank for rank, trial in enumerate(report.ranked)}
    for trial in ended:
        if trial.state == State.DONE:
            best = trial if best is None or ranks[trial.number] < ranks[best.number] else best
        height = trial.metrics[metric.name] if trial.state == State.DONE else up.low
        marks.append(Dot(trial.number, height, _kind(report, trial), _title(report, trial)))
        if best is not None:
            line.append((float(trial.number), best.metrics[metric.name]))
    across = Axis.over([float(trial.number) for trial in ended], is_integer=True)
    return dots(across, up, marks, f"{metric.title} by trial", line)


def _axis(dimension: Dimension) -> Axis:
    if not isinstance(dimension, Range):
        return Axis.of_names(dimension.options)
    if dimension.log:
        room = (dimension.high / dimension.low) ** 0.06
        return Axis(dimension.low / room, dimension.high * room, log=True)
    return Axis.over([dimension.low, dimension.high], is_integer=dimension.is_integer)


def _across(dimension: Dimension, trial: Trial, key: str) -> float:
    value = trial.values[key]
    return float(value) if isinstance(dimension, Range) else float(dimension.options.index(str(value)))


def _kind(report: StudyReport, trial: Trial) -> str:
    return "first" if trial is report.best else "own" if report.is_own(trial) else str(trial.state)


def _title(report: StudyReport, trial: Trial) -> str:
    outcome = report.reached(trial) if trial.state == State.DONE else f"trial {trial.number}: {trial.ending}"
    return f"{outcome}; {report.settings(trial)}"


def _table(report: StudyReport) -> Iterator[str]:
    heads = "".join(f"<th scope=col>{safe(head)}" for head in [*report.heads, "listen"])
    yield f"<div class=wide><table><thead><tr>{heads}</thead><tbody>"
    for rank, trial in enumerate(report.ranked, 1):
        cells = [safe(cell) for cell in report.cells(rank, trial)]
        kind = f' class="{_kind(report, trial)}"'
        yield f"<tr{kind}>" + "".join(f"<td>{cell}" for cell in [*cells, _links(report, trial)])
    yield "</tbody></table></div>"
    if any(map(report.is_own, report.ranked)):
        yield "<p class=source>In italics: the recipe as it is.</p>"


def _links(report: StudyReport, trial: Trial) -> str:
    """Return relative addresses of the trial's pages, so that the study can be moved as a whole."""
    pages = [voice.page for voice in list_voices(report.study_folder.voices(trial.number)) if voice.page.is_file()]
    names: Sequence[str] = [page.parent.name for page in pages] if len(pages) > 1 else ["listen"] * len(pages)
    addresses = [quote(os.fsencode(page.relative_to(report.study_folder.path))) for page in pages]
    return " ".join(f'<a href="{address}">{safe(name)}</a>' for address, name in zip(addresses, names, strict=True))


def _unfinished(report: StudyReport) -> Iterator[str]:
    unfinished = [trial for trial in report.trials if trial.state != State.DONE]
    if unfinished:
        yield "<section><h2>Not finished</h2><ul>"
        yield from (f"<li class={trial.state}>{safe(_title(report, trial))}</li>" for trial in unfinished)
        yield "</ul></section>"
