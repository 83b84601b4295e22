"""What the measures of one recording say: each check with its threshold and the reason for it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from vtune.curation.doctor.checks import found
from vtune.curation.doctor.findings import Finding, Measure, Severity
from vtune.curation.doctor.measure import Measures
from vtune.dataset import Row
from vtune.dataset.features.manifest import LEAST

CLIPPED, RUINED = 2e-5, 0.005
"""Share of samples on flat tops: a few tops in a clip of 3 s; and so many that every loud vowel is distorted."""

QUIET, LOUD = -42.0, -10.0
"""dBFS of speech. 16 bits leave 50 dB under -42, which is what is left of a recording; speech has peaks 12 to 18 dB
above its level, so above -10 they cannot all be there."""

NOISY, DROWNED = 20.0, 8.0
"""dB of speech over noise. Public sets for speech synthesis have 30 and more; models learn noise with the voice."""

OFFSET = 0.005
"""Of full scale: -46 dB, as loud as a quiet voice. Good converters stay under 0.001."""

HUM = 34.0
"""dB under the speech; a softer line is heard by nobody, and most recordings have one."""

DULL = 0.75
"""Share of the wanted band below which sound lacks height: a 16 kHz file is 0.67 of 24 kHz, MP3 at 64 kbit/s 0.85."""

USUAL_RATE = 24_000
"""Hz that most engines speak at, where none is named."""

END, PAUSE = 1.0, 2.0
"""Seconds of silence at an end, and inside: an engine learns to be silent for as long, and it costs tokens."""

CHOPPED = -10.0
"""dB of the first or last 32 ms against the level of the speech: a word in full swing. Whole words rise from -15 and
less: of 593 clips that were cut by hand, 5 are above."""

ABOVE_NOISE = 10.0
"""dB that a chopped end stands above the noise."""

SHORTEST, LONGEST = LEAST, 30.0
"""Seconds. Below, a run leaves a clip out; above, a clip is no longer one utterance, and most engines refuse it."""


def hear(row: Row, heard: Measures, engine_rate: int | None) -> Iterator[Finding]:
    """Yield what is wrong with one recording.

    :param engine_rate: Hz that the engine speaks at, where one is named.
    """
    yield from _length(row, heard)
    if not heard.speech.seconds:
        yield found(
            "no-speech", Severity.ERROR, row, f"no speech in {heard.seconds:.2f} s", "leave it out",
            Measure(0.0, "s"),
        )  # fmt: skip
        return
    yield from _peaks(row, heard)
    yield from _levels(row, heard)
    yield from _ends(row, heard)
    yield from _heights(row, heard, engine_rate or USUAL_RATE)


def _length(row: Row, heard: Measures) -> Iterator[Finding]:
    seconds = Measure(round(heard.seconds, 3), "s")
    if heard.seconds < SHORTEST:
        advice = "join it with its neighbour, or leave it out; a run leaves it out (prepare.min_seconds)"
        message = f"{heard.seconds:.2f} s, less than the {SHORTEST:g} s that a run takes"
        yield found("short", Severity.WARNING, row, message, advice, seconds)
    elif heard.seconds > LONGEST:
        advice = "cut it into utterances (vtune prepare)"
        yield found("long", Severity.WARNING, row, f"{heard.seconds:.1f} s in one recording", advice, seconds)


def _peaks(row: Row, heard: Measures) -> Iterator[Finding]:
    peaks = heard.peaks
    if peaks.clipped >= CLIPPED:
        level = 20 * math.log10(peaks.peak)
        share = 100 * peaks.clipped
        yield found(
            "clipping", Severity.ERROR if peaks.clipped >= RUINED else Severity.WARNING, row,
            f"clipped: {share:.2g} % of the samples lie on flat tops, the peak is {level:.1f} dBFS",
            "record it again with less gain, or leave it out; turning it down does not mend it",
            Measure(round(share, 4), "%"),
        )  # fmt: skip
    if abs(peaks.offset) >= OFFSET:
        yield found(
            "offset", Severity.WARNING, row, f"the wave swings about {peaks.offset:+.3f} of full scale instead of zero",
            "remove the offset (--fix does)", Measure(round(peaks.offset, 5), "of full scale"),
        )  # fmt: skip


def _levels(row: Row, heard: Measures) -> Iterator[Finding]:
    speech = heard.speech
    level = Measure(round(speech.level, 1), "dBFS")
    if not QUIET <= speech.level <= LOUD:
        message = (
            f"speech at {speech.level:.1f} dBFS, {'quieter' if speech.level < QUIET else 'louder'} than recordings are"
        )
        advice = "even the level (--fix does, or prepare.target_loudness in the recipe)"
        yield found("level", Severity.WARNING, row, message, advice, level)
    over = speech.level - speech.noise
    if over < NOISY:
        yield found(
            "noise", Severity.ERROR if over < DROWNED else Severity.WARNING, row,
            f"speech only {max(over, 0):.0f} dB above the noise ({speech.noise:.0f} dBFS)",
            "record in a quieter place, take the noise away, or leave it out", Measure(round(over, 1), "dB"),
        )  # fmt: skip
    under = speech.level - heard.hum.level
    if heard.hum.hertz and under < HUM:
        yield found(
            "hum", Severity.WARNING, row, f"hum of {heard.hum.hertz} Hz, {under:.0f} dB under the speech",
            "filter it out, or record with another supply", Measure(round(under, 1), "dB"),
        )  # fmt: skip


def _ends(row: Row, heard: Measures) -> Iterator[Finding]:
    speech = heard.speech
    for place, seconds in (("before the first word", speech.lead), ("behind the last word", speech.tail)):
        if seconds > END:
            advice = "trim it (--fix does)"
            measure = Measure(round(seconds, 2), "s")
            yield found("silence", Severity.WARNING, row, f"{seconds:.1f} s of silence {place}", advice, measure)
    if speech.pause > PAUSE:
        advice = "cut the recording there (vtune prepare does)"
        measure = Measure(round(speech.pause, 2), "s")
        yield found("pause", Severity.WARNING, row, f"a pause of {speech.pause:.1f} s inside", advice, measure)
    for place, level in (("begins", speech.start), ("ends", speech.stop)):
        if level > CHOPPED and level + speech.level > speech.noise + ABOVE_NOISE:
            yield found(
                "chopped", Severity.WARNING, row,
                f"{place} in the middle of a word: {level:+.0f} dB against the level of the speech",
                "cut it wider from its recording, or leave it out", Measure(round(level, 1), "dB"),
            )  # fmt: skip


def _heights(row: Row, heard: Measures, rate: int) -> Iterator[Finding]:
    wanted = min(heard.rate, rate) / 2
    if heard.bandwidth < DULL * wanted:
        yield found(
            "bandwidth", Severity.WARNING, row,
            f"sound up to {heard.bandwidth / 1000:.1f} kHz in a file of {heard.rate / 1000:g} kHz",
            "find the recording before it went through a telephone or a coder; what is cut away cannot be brought back",
            Measure(round(heard.bandwidth), "Hz"),
        )  # fmt: skip
