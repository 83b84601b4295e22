"""What only shows beside the others: levels and paces that stand out, and the amount of speech there is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from vtune.curation.doctor.checks import found
from vtune.curation.doctor.findings import Finding, Measure, Severity
from vtune.curation.doctor.measure import Measures
from vtune.curation.doctor.text_checks import letters
from vtune.dataset import Row

ENOUGH = 10
"""Clips from which it can be said what is usual."""

FAR = 5.0
"""Robust standard deviations (1.4826 times the median deviation) from the median that stand out: one clip of two
million, were the values normal; real ones have longer tails."""

LEVEL_STEP = 6.0
"""dB from the median at least: half the amplitude is heard by everyone."""

PACE_STEP = 1.6
"""Times the median pace at least: within one speaker's clips, names and numbers alone bring 1.4."""

SLOWEST, FASTEST = 3.0, 30.0
"""Letters a second of speech. Slow dictation has 6, quick talk 22; beyond these limits the words belong elsewhere."""

FEW_SECONDS = 1.0
"""Seconds of speech below which a pace tells nothing."""

MeasuredRow = tuple[Row, Measures]


def levels(clips: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """Yield the clips whose speech is much quieter or louder than the others'."""
    spoken = [(row, heard.speech.level) for row, heard in clips if heard.speech.seconds]
    if len(spoken) < ENOUGH:
        return
    middle, spread = _usual([level for _, level in spoken])
    for row, level in spoken:
        away = level - middle
        if abs(away) > max(LEVEL_STEP, FAR * spread):
            than = "louder" if away > 0 else "quieter"
            yield found(
                "level-outlier", Severity.WARNING, row,
                f"speech {abs(away):.0f} dB {than} than the others (median {middle:.0f} dBFS)",
                "even the level (--fix does, or prepare.target_loudness in the recipe)", Measure(round(away, 1), "dB"),
            )  # fmt: skip


def paces(clips: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """Yield the clips with far more or fewer words than their length holds: cut off, or of another clip."""
    said = []
    for row, heard in clips:
        seconds = heard.seconds - heard.speech.lead - heard.speech.tail
        count = letters(row.text)
        if heard.speech.seconds and count and (seconds >= FEW_SECONDS or count > FASTEST * FEW_SECONDS):
            said.append((row, count / max(seconds, 0.1)))
    middle, spread = _usual([math.log(pace) for _, pace in said]) if len(said) >= ENOUGH else (0.0, 0.0)
    for row, pace in said:
        away = abs(math.log(pace) - middle)
        stands_out = len(said) >= ENOUGH and away > max(math.log(PACE_STEP), FAR * spread)
        absurd = not SLOWEST <= pace <= FASTEST
        if stands_out or absurd:
            usual = f" (the others about {math.exp(middle):.0f})" if len(said) >= ENOUGH else ""
            yield found(
                "pace", Severity.WARNING, row, f"{pace:.1f} letters a second of speech{usual}",
                "listen whether all of the words are said, and nothing else", Measure(round(pace, 2), "letters/s"),
            )  # fmt: skip


def rates(clips: Sequence[MeasuredRow], engine_rate: int | None) -> Iterator[Finding]:
    """Yield recordings with fewer samples a second than the engine has; one finding for all of one rate."""
    if engine_rate is None:
        return
    for rate in sorted({heard.rate for _, heard in clips if heard.rate < engine_rate}):
        count = sum(heard.rate == rate for _, heard in clips)
        yield found(
            "rate", Severity.WARNING, None,
            f"{count:,} of {len(clips):,} recordings have {rate:,} samples a second, the engine has {engine_rate:,}",
            "take recordings of a higher rate where there are any; raising the rate adds nothing",
            Measure(rate, "Hz"),
        )  # fmt: skip


def _usual(values: Sequence[float]) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(np.asarray(values) - middle)))
