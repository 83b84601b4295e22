"""Check the measures of one recording; each threshold is listed with its reason."""

from __future__ import annotations

import math
from collections.abc import Iterator

from vtune.curation.doctor.check_titles import make_finding
from vtune.curation.doctor.findings import Finding, Measure, Severity
from vtune.curation.doctor.measure import Measures
from vtune.curation.doctor.speech_levels import SpeechLevels
from vtune.dataset import Row
from vtune.recipe.data_sections import MIN_CLIP_SECONDS

MIN_CLIPPED_SHARE, RUINED_CLIPPED_SHARE = 2e-5, 0.005
"""Share of samples on flat tops: a few tops in a clip of 3 s, and so many that every loud vowel is distorted."""

MIN_SPEECH_DBFS, MAX_SPEECH_DBFS = -42.0, -10.0
"""Level of speech. Below -42, 16 bits leave less than 50 dB for the recording. Speech has peaks 12 to 18 dB above its
level, so above -10 the peaks cannot all be there."""

MIN_SNR_DB, UNUSABLE_SNR_DB = 20.0, 8.0
"""dB between speech and noise. Public data sets for speech synthesis have 30 or more; models learn the noise, too."""

MAX_OFFSET = 0.005
"""Offset as a share of full scale: -46 dB, as loud as a quiet voice. Good converters stay below 0.001."""

MIN_HUM_DISTANCE_DB = 34.0
"""dB between speech and hum; nobody hears softer hum, and most recordings have some."""

MIN_BANDWIDTH_SHARE = 0.75
"""Smallest share of the possible bandwidth: a 16 kHz file has 0.67 of 24 kHz, MP3 at 64 kbit/s has 0.85."""

DEFAULT_ENGINE_RATE = 24_000
"""Sample rate of most engines, used if no engine is named."""

MAX_EDGE_SILENCE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 2.0
"""Seconds of silence at an end and between words: an engine learns to be silent as long, and silence costs tokens."""

MAX_EDGE_LEVEL_DB = -18.0
"""Level of the first or last 5 ms relative to the speech; above it, a word is cut off. Of 593 clips of a reader, 0.4 %
of the edges are above it as a person cut them, and none if they are cut anew 5 to 20 ms outside of their sound. Of cuts
in loud vowels, 99 % are above it, in fricatives 93 %, in soft voiced sounds 82 %. Cuts in the silence of a stop
("ca|pital") cannot be heard, and are not found."""

EDGE_ABOVE_NOISE_DB = 10.0
"""dB by which the edge of a cut word exceeds the noise."""

MAX_CLIP_SECONDS = 30.0
"""Longest clip; a longer one is more than one utterance, and most engines refuse it. A run leaves out shorter ones
than ``MIN_CLIP_SECONDS``."""


def sound_findings(row: Row, measures: Measures, engine_rate: int | None) -> Iterator[Finding]:
    """Yield the findings about the sound of one recording.

    :param engine_rate: sample rate of the engine; None if no engine is named.
    """
    yield from _length_findings(row, measures)
    if measures.seconds < MIN_CLIP_SECONDS:
        return  # the clip is left out anyway
    if not measures.speech.seconds:
        yield make_finding(
            "no-speech", Severity.ERROR, row,
            f"there is no speech in {measures.seconds:.2f} s", "leave the recording out",
            Measure(0.0, "s"),
        )  # fmt: skip
        return
    yield from _peak_findings(row, measures)
    yield from _level_findings(row, measures)
    yield from _edge_findings(row, measures)
    yield from _bandwidth_findings(row, measures, engine_rate or DEFAULT_ENGINE_RATE)


def _length_findings(row: Row, measures: Measures) -> Iterator[Finding]:
    seconds = Measure(round(measures.seconds, 3), "s")
    if measures.seconds < MIN_CLIP_SECONDS:
        advice = "a run leaves it out; join the clip with its neighbour, or lower prepare.min_seconds"
        message = f"the clip has {measures.seconds:.2f} s; a run needs {MIN_CLIP_SECONDS:g} s or more"
        yield make_finding("short", Severity.WARNING, row, message, advice, seconds)
    elif measures.seconds > MAX_CLIP_SECONDS:
        advice = "cut it into utterances (vtune prepare), because most engines take no longer clips"
        yield make_finding(
            "long", Severity.WARNING, row, f"the recording has {measures.seconds:.1f} s", advice, seconds
        )


def _peak_findings(row: Row, measures: Measures) -> Iterator[Finding]:
    peaks = measures.peaks
    if peaks.clipped >= MIN_CLIPPED_SHARE:
        level = 20 * math.log10(peaks.peak)
        share = 100 * peaks.clipped
        yield make_finding(
            "clipping", Severity.ERROR if peaks.clipped >= RUINED_CLIPPED_SHARE else Severity.WARNING, row,
            f"{share:.2g} % of the samples are clipped (on flat tops), the peak is {level:.1f} dBFS",
            "record again with less gain, or leave the recording out; reducing its level does not help",
            Measure(round(share, 4), "%"),
        )  # fmt: skip
    if abs(peaks.offset) >= MAX_OFFSET:
        yield make_finding(
            "offset", Severity.WARNING, row, f"the waveform is centred on {peaks.offset:+.3f} of full scale, not on 0",
            "remove this offset (--fix does)", Measure(round(peaks.offset, 5), "of full scale"),
        )  # fmt: skip


def _level_findings(row: Row, measures: Measures) -> Iterator[Finding]:
    speech = measures.speech
    level = Measure(round(speech.level, 1), "dBFS")
    if not MIN_SPEECH_DBFS <= speech.level <= MAX_SPEECH_DBFS:
        limit = f"below {MIN_SPEECH_DBFS:g}" if speech.level < MIN_SPEECH_DBFS else f"above {MAX_SPEECH_DBFS:g}"
        message = f"the speech has a level of {speech.level:.1f} dBFS, {limit} dBFS"
        advice = "adjust the level (with --fix, or with prepare.target_loudness in the recipe)"
        yield make_finding("level", Severity.WARNING, row, message, advice, level)
    snr = speech.level - speech.noise
    if snr < MIN_SNR_DB:
        yield make_finding(
            "noise", Severity.ERROR if snr < UNUSABLE_SNR_DB else Severity.WARNING, row,
            f"the speech is only {max(snr, 0):.0f} dB above the noise ({speech.noise:.0f} dBFS)",
            "record in a quieter place, remove the noise, or leave the recording out", Measure(round(snr, 1), "dB"),
        )  # fmt: skip
    hum_distance = speech.level - measures.hum.level
    if measures.hum.hertz and hum_distance < MIN_HUM_DISTANCE_DB:
        yield make_finding(
            "hum", Severity.WARNING, row,
            f"there is hum at {measures.hum.hertz} Hz, {hum_distance:.0f} dB below the speech",
            "filter the hum out, or record with another power supply", Measure(round(hum_distance, 1), "dB"),
        )  # fmt: skip


def is_cut_off(edge: float, speech: SpeechLevels) -> bool:
    """Tell whether a recording begins or ends within a word.

    :param edge: level in dBFS of the first or last 5 ms.
    """
    return edge - speech.level > MAX_EDGE_LEVEL_DB and edge > speech.noise + EDGE_ABOVE_NOISE_DB


def _edge_findings(row: Row, measures: Measures) -> Iterator[Finding]:
    speech = measures.speech
    for position, seconds in (("before the first word", speech.lead), ("after the last word", speech.tail)):
        if seconds > MAX_EDGE_SILENCE_SECONDS:
            advice = "trim the silence (--fix does)"
            measure = Measure(round(seconds, 2), "s")
            yield make_finding(
                "silence", Severity.WARNING, row, f"there are {seconds:.1f} s of silence {position}", advice, measure
            )
    if speech.pause > MAX_PAUSE_SECONDS:
        advice = "cut the recording in this pause (vtune prepare does)"
        measure = Measure(round(speech.pause, 2), "s")
        yield make_finding(
            "pause", Severity.WARNING, row, f"there is a pause of {speech.pause:.1f} s between words", advice, measure
        )
    for position, edge in (("starts", measures.edges.start), ("ends", measures.edges.stop)):
        level = edge - speech.level
        if is_cut_off(edge, speech):
            yield make_finding(
                "chopped", Severity.WARNING, row,
                f"the clip {position} in the middle of a word: its {'first' if position == 'starts' else 'last'} 5 ms "
                f"are only {max(-level, 0):.0f} dB softer than the speech",
                "cut the clip with more margin, or leave it out", Measure(round(level, 1), "dB"),
            )  # fmt: skip


def _bandwidth_findings(row: Row, measures: Measures, rate: int) -> Iterator[Finding]:
    possible = min(measures.rate, rate) / 2
    if measures.bandwidth < MIN_BANDWIDTH_SHARE * possible:
        yield make_finding(
            "bandwidth", Severity.WARNING, row,
            f"the sound ends at {measures.bandwidth / 1000:.1f} kHz; the sample rate is {measures.rate / 1000:g} kHz",
            "find the original, from before a telephone or a coder; lost frequencies cannot be restored",
            Measure(round(measures.bandwidth), "Hz"),
        )  # fmt: skip
