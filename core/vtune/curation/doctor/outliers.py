"""Find clips that differ from the others: unusual levels, paces and sample rates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from vtune.curation.doctor.check_titles import make_finding
from vtune.curation.doctor.findings import Finding, Measure, Severity
from vtune.curation.doctor.measure import Measures
from vtune.curation.doctor.text_checks import count_letters
from vtune.curation.doctor.thresholds import MAX_SPEECH_DBFS, MIN_SPEECH_DBFS
from vtune.dataset import Row

MIN_CLIPS = 10
"""Smallest number of clips for a median that means something."""

OUTLIER_DEVIATIONS = 5.0
"""Robust standard deviations (1.4826 times the median deviation) from the median that make an outlier. With a normal
distribution this would be one clip in two million; real values have longer tails."""

MIN_LEVEL_STEP_DB = 6.0
"""Smallest difference from the median: everybody hears half the amplitude."""

MIN_PACE_RATIO = 1.6
"""Smallest ratio to the median pace: within the clips of one speaker, names and numbers alone cause a ratio of 1.4."""

MIN_LETTERS_PER_SECOND, MAX_LETTERS_PER_SECOND = 3.0, 30.0
"""Limits of the pace. Slow dictation has 6, fast talk 22; outside these limits the words are of another recording."""

MIN_PACE_SECONDS = 1.0
"""Seconds of speech below which a pace means nothing."""

RowMeasures = tuple[Row, Measures]


def level_outliers(clips: Sequence[RowMeasures]) -> Iterator[Finding]:
    """Yield a finding for each clip whose speech is much quieter or louder than in the other clips."""
    speech_levels = [(row, measures.speech.level) for row, measures in clips if measures.speech.seconds]
    if len(speech_levels) < MIN_CLIPS:
        return
    median, spread = _median_and_deviation([level for _, level in speech_levels])
    for row, level in speech_levels:
        if not MIN_SPEECH_DBFS <= level <= MAX_SPEECH_DBFS:
            continue  # the level has a finding of its own
        difference = level - median
        if abs(difference) > max(MIN_LEVEL_STEP_DB, OUTLIER_DEVIATIONS * spread):
            direction = "louder" if difference > 0 else "quieter"
            yield make_finding(
                "level-outlier", Severity.WARNING, row,
                f"the speech is {abs(difference):.0f} dB {direction} than usual here (median {median:.0f} dBFS)",
                "adjust the level (with --fix, or with prepare.target_loudness in the recipe)",
                Measure(round(difference, 1), "dB"),
            )  # fmt: skip


def pace_outliers(clips: Sequence[RowMeasures]) -> Iterator[Finding]:
    """Yield a finding for each clip with far more or fewer words than fit its length: cut off, or of another clip."""
    paces = []
    for row, measures in clips:
        seconds = measures.seconds - measures.speech.lead - measures.speech.tail
        count = count_letters(row.text)
        if (
            measures.speech.seconds
            and count
            and (seconds >= MIN_PACE_SECONDS or count > MAX_LETTERS_PER_SECOND * MIN_PACE_SECONDS)
        ):
            paces.append((row, count / max(seconds, 0.1)))
    median, spread = (
        _median_and_deviation([math.log(pace) for _, pace in paces]) if len(paces) >= MIN_CLIPS else (0.0, 0.0)
    )
    for row, pace in paces:
        deviation = abs(math.log(pace) - median)
        stands_out = len(paces) >= MIN_CLIPS and deviation > max(math.log(MIN_PACE_RATIO), OUTLIER_DEVIATIONS * spread)
        absurd = not MIN_LETTERS_PER_SECOND <= pace <= MAX_LETTERS_PER_SECOND
        if stands_out or absurd:
            usual = f" (other clips have about {math.exp(median):.0f})" if len(paces) >= MIN_CLIPS else ""
            yield make_finding(
                "pace", Severity.WARNING, row, f"the text has {pace:.1f} letters per second of speech{usual}",
                "listen: check that all words are spoken, and nothing else", Measure(round(pace, 2), "letters/s"),
            )  # fmt: skip


def low_rates(clips: Sequence[RowMeasures], engine_rate: int | None) -> Iterator[Finding]:
    """Yield a finding for each sample rate in the recordings that is lower than the engine's."""
    if engine_rate is None:
        return
    for rate in sorted({measures.rate for _, measures in clips if measures.rate < engine_rate}):
        count = sum(measures.rate == rate for _, measures in clips)
        yield make_finding(
            "rate", Severity.WARNING, None,
            f"{count:,} of {len(clips):,} recordings have only {rate:,} samples per second, the engine {engine_rate:,}",
            "use recordings with a higher sample rate if there are any; resampling does not add the missing sound",
            Measure(rate, "Hz"),
        )  # fmt: skip


def _median_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    median = float(np.median(values))
    return median, 1.4826 * float(np.median(np.abs(np.asarray(values) - median)))
