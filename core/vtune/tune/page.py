"""A study as one HTML page: what was best, which settings matter, how the search went, and every trial."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from vtune.evaluation import MetricSpec
from vtune.runtime.paths import write_text
from vtune.tune.charts import Axis, Dot, bars, dots
from vtune.tune.dimensions import Dimension, Range
from vtune.tune.report import Found
from vtune.tune.trials import State, Trial
from vtune.voice_format.record import list_voices
from vtune.webpage import document, safe


def write_page(found: Found) -> None:
    """Write the page, whole or not at all; it needs no network and no script."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    body = "\n".join(_body(found))
    write_text(found.place.page, document(f"{found.voice}: settings tried", body, style, ""))


def _body(found: Found) -> Iterator[str]:
    yield f"<header><h1>{safe(found.voice)}: settings tried</h1>"
    yield f"<p class=source>{safe(str(found.place.path))}: {safe(str(found.space))}</p>"
    best = found.best
    if best is None:
        yield "</header><main><p>No trial is done yet.</p>"
    else:
        yield "<dl>" + "".join(f"<div><dt>{safe(name)}</dt><dd>{safe(fact)}</dd></div>" for name, fact in _facts(found))
        yield "</dl></header><main>"
        yield f"<section><h2>The best settings</h2><pre>{safe(found.best_command)}</pre></section>"
        yield from _pictures(found, found.specs[0])
        yield "<section><h2>Every trial</h2>"
        yield from _table(found)
        yield "</section>"
    yield from _unfinished(found)
    yield "</main>"


def _facts(found: Found) -> Iterator[tuple[str, str]]:
    metric, own = found.specs[0], next(filter(found.is_own, found.ranked), None)
    yield f"{metric.title}, best", metric.shown(found.ranked[0].metrics[metric.name])
    if own is not None:
        yield f"{metric.title}, the recipe as it is", metric.shown(own.metrics[metric.name])
    for state in (State.DONE, State.PRUNED, State.FAILED):
        yield f"trials {state}", str(sum(trial.state == state for trial in found.trials))
    yield "hours", f"{sum(trial.seconds for trial in found.trials) / 3600:.2f}"


def _pictures(found: Found, metric: MetricSpec) -> Iterator[str]:
    yield "<section class=charts>"
    if found.importances:
        shares = {found.keys[key]: share for key, share in found.importances.items()}
        yield f"<figure>{bars(shares, 'Which settings matter')}<figcaption>Which settings matter: how far those of the "
        yield f"best trials lie from all, by PED-ANOVA over {len(found.ranked)} trials.</figcaption></figure>"
    numbers = [trial.metrics[metric.name] for trial in found.ranked]
    up = Axis.over(numbers, unit=metric.unit)
    yield f"<figure>{_history(found, metric, up)}<figcaption>{safe(metric.title)} by trial; {metric.direction}. "
    yield "The line is the best until then. Yellow: the recipe as it is, grey: pruned, red: failed.</figcaption>"
    yield "</figure>"
    for key, dimension in found.space.dimensions.items():
        axis = _axis(dimension)
        marks = [
            Dot(_across(dimension, trial, key), trial.metrics[metric.name], _kind(found, trial), _title(found, trial))
            for trial in reversed(found.ranked)
        ]
        picture = dots(axis, up, marks, f"{metric.title} by {key}")
        yield f"<figure>{picture}<figcaption>{safe(metric.title)} by {safe(key)}</figcaption></figure>"
    yield "</section>"
    if not found.importances:
        yield "<p class=source>How much each setting matters is told once ten trials are done.</p>"


def _history(found: Found, metric: MetricSpec, up: Axis) -> str:
    ended = found.ended
    marks, line, best = [], [], None
    place = {trial.number: rank for rank, trial in enumerate(found.ranked)}
    for trial in ended:
        if trial.state == State.DONE:
            best = trial if best is None or place[trial.number] < place[best.number] else best
        height = trial.metrics[metric.name] if trial.state == State.DONE else up.low
        marks.append(Dot(trial.number, height, _kind(found, trial), _title(found, trial)))
        if best is not None:
            line.append((float(trial.number), best.metrics[metric.name]))
    across = Axis.over([float(trial.number) for trial in ended], whole=True)
    return dots(across, up, marks, f"{metric.title} by trial", line)


def _axis(dimension: Dimension) -> Axis:
    if not isinstance(dimension, Range):
        return Axis.of_names(dimension.options)
    if dimension.log:
        room = (dimension.high / dimension.low) ** 0.06
        return Axis(dimension.low / room, dimension.high * room, log=True)
    return Axis.over([dimension.low, dimension.high], whole=dimension.whole)


def _across(dimension: Dimension, trial: Trial, key: str) -> float:
    value = trial.values[key]
    return float(value) if isinstance(dimension, Range) else float(dimension.options.index(str(value)))


def _kind(found: Found, trial: Trial) -> str:
    return "first" if trial is found.best else "own" if found.is_own(trial) else str(trial.state)


def _title(found: Found, trial: Trial) -> str:
    what = found.reached(trial) if trial.state == State.DONE else f"trial {trial.number}: {trial.ending}"
    return f"{what}; {found.settings(trial)}"


def _table(found: Found) -> Iterator[str]:
    heads = "".join(f"<th scope=col>{safe(head)}" for head in [*found.heads, "listen"])
    yield f"<div class=wide><table><thead><tr>{heads}</thead><tbody>"
    for place, trial in enumerate(found.ranked, 1):
        cells = [safe(cell) for cell in found.cells(place, trial)]
        kind = f' class="{_kind(found, trial)}"'
        yield f"<tr{kind}>" + "".join(f"<td>{cell}" for cell in [*cells, _links(found, trial)])
    yield "</tbody></table></div>"
    if any(map(found.is_own, found.ranked)):
        yield "<p class=source>In italics: the recipe as it is.</p>"


def _links(found: Found, trial: Trial) -> str:
    """Return relative addresses of the trial's pages, so that the study can be moved as a whole."""
    pages = [voice.page for voice in list_voices(found.place.voices(trial.number)) if voice.page.is_file()]
    names: Sequence[str] = [page.parent.name for page in pages] if len(pages) > 1 else ["listen"] * len(pages)
    addresses = [quote(os.fsencode(page.relative_to(found.place.path))) for page in pages]
    return " ".join(f'<a href="{one}">{safe(name)}</a>' for one, name in zip(addresses, names, strict=True))


def _unfinished(found: Found) -> Iterator[str]:
    rest = [trial for trial in found.trials if trial.state != State.DONE]
    if rest:
        yield "<section><h2>Not finished</h2><ul>"
        yield from (f"<li class={trial.state}>{safe(_title(found, trial))}</li>" for trial in rest)
        yield "</ul></section>"
