"""One pass over a source: every row read, every recording measured once, everything that is wrong written down."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from vtune.curation.doctor import outliers as among
from vtune.curation.doctor import text_checks as words
from vtune.curation.doctor import thresholds as hearing
from vtune.curation.doctor.amount import advise, amounts
from vtune.curation.doctor.checks import CHECKS, found
from vtune.curation.doctor.duplicates import MeasuredRow, alike
from vtune.curation.doctor.findings import Clip, Examination, Finding, Severity
from vtune.curation.doctor.measure import Measures
from vtune.curation.doctor.measure_all import Result, gather
from vtune.curation.doctor.recordings import Listener, listener
from vtune.curation.doctor.speakers import Voices
from vtune.curation.doctor.token_budget import budget_of, too_long
from vtune.dataset import Row, Source
from vtune.engines import Engine
from vtune.errors import VtuneError
from vtune.recipe import TrainRecipe
from vtune.types import EngineOptions

VALIDATION: float = TrainRecipe.model_fields["validation"].default
"""Share that recipes hold for validation when they do not say otherwise."""

LEFT_OUT = frozenset(
    {"missing", "unreadable", "truncated", "row", "unlisted", "no-words", "unspeakable", "flagged", "no-speech",
     "short", "budget"}
)  # fmt: skip
"""Checks whose findings make a run leave the row out, or should."""

CUT_OFF = "was cut off"
"""How ``vtune.audio`` says that a file holds less than it promises."""

RANKS = {severity: rank for rank, severity in enumerate(Severity)}
PLACES = {check: place for place, check in enumerate(CHECKS)}
LOW_IS_BAD = frozenset({"noise", "hum", "short", "voice", "bandwidth", "rate"})


def examine(
    source: Source,
    *,
    engine: Engine | None = None,
    options: EngineOptions | None = None,
    processes: int | None = None,
    validation: float = VALIDATION,
    has_words: bool = True,
    speakers: bool = True,
) -> Examination:
    """Examine every row and every recording of a source; nothing is written.

    Time: one pass over the sound, spread over processes. Memory: the rows, 100 bytes a second of sound, and 20 kB a
    second of each recording while it is listened to.

    :param engine: check against what this engine takes, with ``options`` (default: its own).
    :param processes: default: one a core.
    :param validation: share of the clips that a run holds for validation.
    :param has_words: False for recordings without words, of which only the sound is examined.
    :param speakers: compare the speakers too, which takes longer than all else; needs the extra ``similarity``.
    :raises DataError: the source cannot be read at all, or a worker was killed.
    """
    rows = list(source.rows())
    names = list(dict.fromkeys(row.audio for row in rows if row.there and row.audio))
    opener = listener(source)
    results = dict(zip(names, gather(opener, names, processes or os.cpu_count() or 1), strict=True))
    findings = [one for row in rows for one in _of_row(row, results, named=engine is not None, has_words=has_words)]
    left_out = [] if has_words else ["words: there are none here, so only the sound was examined"]
    measured = [(row, m) for row in rows if row.there and (m := results[row.audio].measures) is not None]
    firsts = list({row.audio: (row, measures) for row, measures in reversed(measured)}.values())[::-1]
    rate = engine.info.sample_rate if engine else None
    for row, measures in firsts:
        findings += hearing.hear(row, measures, rate)
    if engine is not None:
        budget, why = budget_of(engine, options or engine.info.options())
        left_out += [why] if why else []
        findings += [one for row, m in measured if budget for one in too_long(row, m.seconds, budget)]
    findings += [*among.levels(firsts), *among.paces(measured), *among.rates(firsts, rate)]
    findings += alike(
        [MeasuredRow(row, m.sound, results[row.audio].digest, m.fingerprint) for row, m in measured], validation
    )
    found_strangers, why = _strangers(firsts, opener) if speakers else ([], "voice: it was not asked for")
    findings += found_strangers
    left_out += [why] if why else []
    clips = list(_clips(rows, results, findings))
    findings += amounts(clips)
    findings.sort(key=_order)
    name = engine.name if engine else None
    return Examination(source.description, clips, len(names), findings, left_out, list(advise(clips)), name)


def _of_row(row: Row, results: Mapping[str, Result], *, named: bool, has_words: bool) -> Iterator[Finding]:
    if not row.there:
        problem = row.problem or "the recording is not there"
        if row.line is None:
            yield found("unreadable", Severity.ERROR, row, problem, "make it readable, or take it away")
        elif row.text:
            yield found("missing", Severity.ERROR, row, problem, "bring the recording, or remove the row")
        else:
            yield found("row", Severity.ERROR, row, problem, "mend the row")
        return
    result = results[row.audio]
    if result.measures is None:
        check = "truncated" if CUT_OFF in result.problem else "unreadable"
        advice = "get it again from where it was cut off" if check == "truncated" else "replace it, or remove the row"
        yield found(check, Severity.ERROR, row, result.problem, advice)
    if result.disguise is not None:
        ending = os.path.splitext(row.audio)[1]
        message = f"the file is {result.disguise}, its name ends in {ending!r}"
        yield found("extension", Severity.WARNING, row, message, "rename it, or convert it")
    if has_words:
        yield from words.read(row, engine=named)


def _strangers(clips: Sequence[tuple[Row, Measures]], opener: Listener) -> tuple[list[Finding], str | None]:
    try:
        return list(Voices().strangers(clips, opener)), None
    except VtuneError as error:
        return [], str(error)


def _clips(rows: Sequence[Row], results: Mapping[str, Result], findings: Sequence[Finding]) -> Iterator[Clip]:
    bad = {(one.file, one.line, one.audio) for one in findings if one.check in LEFT_OUT}
    # The first row of a recording tells of its sound for all.
    sounds = {one.audio for one in findings if one.check in LEFT_OUT & {"no-speech", "short"}}
    for row in rows:
        measures = results[row.audio].measures if row.there else None
        seconds, rate = (measures.seconds, measures.rate) if measures else (0.0, 0)
        usable = measures is not None and (row.file, row.line, row.audio) not in bad and row.audio not in sounds
        yield Clip(row.file, row.line, row.audio, row.text, row.speaker, seconds, rate, usable)


def _order(finding: Finding) -> tuple[int, int, float]:
    """The worst first: by severity, check, and measure."""
    value = finding.measure.value if finding.measure else 0.0
    badness = value if finding.check in LOW_IS_BAD else -value if finding.check == "chopped" else -abs(value)
    return RANKS[finding.severity], PLACES[finding.check], badness
