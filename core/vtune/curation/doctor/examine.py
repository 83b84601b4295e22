"""Examine a source in one pass: read every row, measure every recording once, and collect all findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vtune.curation.doctor import outliers, text_checks, thresholds
from vtune.curation.doctor.check_titles import CHECK_TITLES, make_finding
from vtune.curation.doctor.duplicates import MeasuredRow, duplicate_findings
from vtune.curation.doctor.findings import Examination, ExaminedClip, Finding, Severity
from vtune.curation.doctor.measure import Measures
from vtune.curation.doctor.measure_all import MeasureResult, measure_all
from vtune.curation.doctor.recording_openers import RecordingOpener, opener_of
from vtune.curation.doctor.speakers import SpeakerCheck
from vtune.curation.doctor.speech_amount import amount_advice, amount_findings
from vtune.curation.doctor.token_budget import budget_findings, budget_of
from vtune.dataset import Row, Source
from vtune.dataset.sources.fragments import recording_path
from vtune.dataset.sources.plain_text import unfit_words
from vtune.engines import Engine
from vtune.errors import VtuneError
from vtune.recipe import TrainRecipe
from vtune.runtime.distributed.rank_pool import ALONE, RankPool
from vtune.runtime.workers import cores_per_rank
from vtune.types import EngineOptions

DEFAULT_VALIDATION_SHARE: float = TrainRecipe.model_fields["validation"].default
"""Share of the clips that recipes hold out for validation by default."""

EXCLUDING_CHECKS = frozenset(
    {"missing", "unreadable", "truncated", "row", "unlisted", "no-words", "unspeakable", "flagged", "two-texts",
     "no-speech", "short", "budget"}
)  # fmt: skip
"""Checks whose findings exclude a row from training, or should."""

TRUNCATED_MESSAGE = "was cut off"
"""Part of the error text of ``vtune.audio`` for a file that holds less than its header promises."""

SEVERITY_RANKS = {severity: rank for rank, severity in enumerate(Severity)}
CHECK_RANKS = {check: rank for rank, check in enumerate(CHECK_TITLES)}
CUTTING_CHECKS = frozenset({"long", "silence", "pause"})
"""Checks of what cutting removes; recordings without words are cut anyway before they get words."""

LOW_IS_BAD_CHECKS = frozenset({"noise", "hum", "short", "voice", "bandwidth", "rate"})


def examine(
    source: Source,
    *,
    engine: Engine | None = None,
    options: EngineOptions | None = None,
    processes: int | None = None,
    validation: float = DEFAULT_VALIDATION_SHARE,
    has_words: bool = True,
    speakers: bool = True,
    pool: RankPool = ALONE,
) -> Examination:
    """Examine every row and every recording of a source; nothing is written.

    Time: one pass over the sound, divided among processes. Memory: the rows, 100 bytes per second of sound, and 20 kB
    per second of the recordings that are being measured.

    :param engine: also check the limits of this engine, with ``options`` (default: the engine's defaults).
    :param processes: number of processes in each rank; default: one per core.
    :param validation: share of the clips that a run holds out for validation.
    :param has_words: False for recordings without words; then only the sound is examined.
    :param speakers: also compare the speakers, which takes longer than all else.
    :param pool: the ranks that measure; the main process calls this function inside ``pool.lead``.
    :raises DataError: the source cannot be read, or a worker process was killed.
    """
    rows = list(source.rows())
    names = list(dict.fromkeys(row.audio for row in rows if row.there and row.audio))
    opener = opener_of(source)
    results = dict(zip(names, measure_all(opener, names, processes or cores_per_rank(), pool), strict=True))
    findings = [
        finding
        for row in rows
        for finding in _row_findings(row, results, named=engine is not None, has_words=has_words)
    ]
    left_out = [] if has_words else ["words: this source has no words, so only the sound was examined"]
    measured = [(row, m) for row in rows if row.there and (m := results[row.audio].measures) is not None]
    firsts = list({row.audio: (row, measures) for row, measures in reversed(measured)}.values())[::-1]
    worded = [(row, measures) for row, measures in measured if unfit_words(row.text) is None]
    rate = engine.info.sample_rate if engine else None
    for row, measures in firsts:
        findings += thresholds.sound_findings(row, measures, rate)
    if engine is not None:
        budget, why = budget_of(engine, options or engine.info.options())
        left_out += [why] if why else []
        findings += [finding for row, m in measured if budget for finding in budget_findings(row, m.seconds, budget)]
    findings += [*outliers.level_outliers(firsts), *outliers.pace_outliers(worded), *outliers.low_rates(firsts, rate)]
    findings += duplicate_findings(
        [MeasuredRow(row, m.sound, results[row.audio].digest, m.fingerprint) for row, m in measured], validation
    )
    speaker_findings, why = (
        _speaker_findings(firsts, opener) if speakers else ([], "voice: this check is switched off (--no-speakers)")
    )
    findings += speaker_findings
    left_out += [why] if why else []
    if not has_words:
        findings = [finding for finding in findings if finding.check not in CUTTING_CHECKS]
    clips = list(_examined_clips(rows, results, findings))
    findings += amount_findings(clips, are_cut=has_words)
    findings.sort(key=_badness)
    name = engine.name if engine else None
    return Examination(
        source.description,
        clips,
        len(names),
        findings,
        left_out,
        list(amount_advice(clips, are_cut=has_words)),
        name,
        has_words,
    )


def _row_findings(row: Row, results: Mapping[str, MeasureResult], *, named: bool, has_words: bool) -> Iterator[Finding]:
    if not row.there:
        problem = row.problem or "the recording does not exist"
        if row.line is None:
            message, _, advice = problem.partition("; ")
            advice = advice or "make the file readable, or remove it"
            yield make_finding("unreadable", Severity.ERROR, row, message, advice)
        elif row.text:
            yield make_finding("missing", Severity.ERROR, row, problem, "add the recording, or remove the row")
        else:
            yield make_finding("row", Severity.ERROR, row, problem, "correct the row")
        return
    result = results[row.audio]
    if result.measures is None:
        check = "truncated" if TRUNCATED_MESSAGE in result.problem else "unreadable"
        problem = result.problem.removeprefix(f"{row.audio} ")
        message, _, advice = (problem if problem == result.problem else f"the file {problem}").partition("; ")
        if not advice:
            advice = "get the complete file again" if check == "truncated" else "replace the file, or leave it out"
        yield make_finding(check, Severity.ERROR, row, message, advice)
    if result.disguise is not None:
        suffix = recording_path(row.audio).suffix
        message = f"the file is {result.disguise}, but its name ends in {suffix!r}"
        yield make_finding("extension", Severity.WARNING, row, message, "rename the file, or convert it")
    if has_words:
        yield from text_checks.text_findings(row, engine=named)


def _speaker_findings(
    clips: Sequence[tuple[Row, Measures]], opener: RecordingOpener
) -> tuple[list[Finding], str | None]:
    try:
        return list(SpeakerCheck().strangers(clips, opener)), None
    except VtuneError as error:
        return [], str(error)


def _examined_clips(
    rows: Sequence[Row], results: Mapping[str, MeasureResult], findings: Sequence[Finding]
) -> Iterator[ExaminedClip]:
    bad = {key for finding in findings if finding.check in EXCLUDING_CHECKS for key in finding.row_keys}
    # Findings about the sound are reported at the first row of a recording, but exclude all its rows.
    sounds = {finding.audio for finding in findings if finding.check in EXCLUDING_CHECKS & {"no-speech", "short"}}
    for row in rows:
        measures = results[row.audio].measures if row.there else None
        seconds, rate = (measures.seconds, measures.rate) if measures else (0.0, 0)
        usable = measures is not None and (row.file, row.line, row.audio) not in bad and row.audio not in sounds
        yield ExaminedClip(row.file, row.line, row.audio, row.text, row.speaker, seconds, rate, usable)


def _badness(finding: Finding) -> tuple[int, int, float]:
    """Return the sort key of a finding: severity, check and measure, so that the worst findings come first."""
    value = finding.measure.value if finding.measure else 0.0
    badness = value if finding.check in LOW_IS_BAD_CHECKS else -value if finding.check == "chopped" else -abs(value)
    return SEVERITY_RANKS[finding.severity], CHECK_RANKS[finding.check], badness
