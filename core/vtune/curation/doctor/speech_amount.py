"""What an amount of speech is good for, as two guides measured it; see ``docs/how-to/hyperparameters.md``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from vtune.curation.doctor.check_titles import make_finding
from vtune.curation.doctor.findings import ExaminedClip, Finding, Measure, Severity

QUALITY_BY_MINUTES = (
    (0.0, "hardly any change, the voice stays close to the base model"),
    (3.0, "a recognisable voice with flaws"),
    (10.0, "a clear voice with natural intonation"),
    (22.0, "an even voice that can read varied texts"),
    (45.0, "the best quality, more speech helps less and less"),
)
"""Pairs of the smallest number of minutes and the Orpheus voice to expect. The guide measured 1, 5, 15, 30 and 60
minutes; each limit lies half-way between two of them."""

PURPOSE_BY_MINUTES = (
    (0.0, "less than a test"),
    (2.0, "a test"),
    (10.0, "real use"),
    (30.0, "real use in several styles"),
)
"""Pairs of the smallest number of minutes and what an IndexTTS voice is good for."""

EPOCHS_BY_CLIPS = ((0, "5 or more epochs (the voice may memorise the clips)"), (30, "2 to 3 epochs"), (100, "1 epoch"))
"""Pairs of the smallest number of clips and the number of epochs to start with."""

LITTLE_MINUTES = 5.0
"""Minutes of speech below which both guides promise no good voice."""

SHORT_CLIP_SECONDS = 3.0
"""Seconds; one guide calls shorter clips too short to learn intonation from."""


def amount_advice(clips: Sequence[ExaminedClip], *, are_cut: bool = True) -> Iterator[str]:
    """Yield one line of advice for each voice: how good it will be, and how many epochs to start with.

    :param are_cut: False for long recordings, whose number says nothing about the number of clips.
    """
    for voice, of_voice in _usable_by_speaker(clips).items():
        minutes = sum(clip.seconds for clip in of_voice) / 60
        whose = f"{voice}: " if voice else ""
        yield (
            f"{whose}{len(of_voice):,} usable {'clips' if are_cut else 'recordings'}, {minutes:.1f} min. "
            f"Expected result with Orpheus: {_text_for(QUALITY_BY_MINUTES, minutes)}. "
            f"With IndexTTS, this is enough for {_text_for(PURPOSE_BY_MINUTES, minutes)}."
            + (f" Start with {_text_for(EPOCHS_BY_CLIPS, len(of_voice))}." if are_cut else "")
        )


def amount_findings(clips: Sequence[ExaminedClip], *, are_cut: bool = True) -> Iterator[Finding]:
    """Yield a finding for each voice with too little speech, or with mostly short clips.

    :param are_cut: False for recordings that have no words yet.
    """
    if not any(clip.usable for clip in clips):
        message = f"none of the {len(clips):,} {'rows' if are_cut else 'recordings'} can be used"
        yield make_finding("amount", Severity.ERROR, None, message, "correct the errors above")
        return
    for voice, of_voice in _usable_by_speaker(clips).items():
        minutes = sum(clip.seconds for clip in of_voice) / 60
        whose = f" of {voice}" if voice else ""
        measure = Measure(round(minutes, 2), "min")
        if minutes < LITTLE_MINUTES:
            message = f"there are {minutes:.1f} min of speech{whose}; expect {_text_for(QUALITY_BY_MINUTES, minutes)}"
            yield make_finding(
                "amount",
                Severity.WARNING,
                None,
                message,
                "record more speech; with 10 min or more, a voice is clear",
                measure,
            )
        short = sum(clip.seconds < SHORT_CLIP_SECONDS for clip in of_voice)
        if are_cut and short > len(of_voice) / 2:
            message = f"{short:,} of {len(of_voice):,} clips{whose} are shorter than {SHORT_CLIP_SECONDS:g} s"
            advice = "cut the longer recordings again (vtune prepare): single words teach no intonation"
            share = Measure(round(100 * short / len(of_voice), 1), "%")
            yield make_finding("amount", Severity.NOTE, None, message, advice, share)


def _usable_by_speaker(clips: Sequence[ExaminedClip]) -> dict[str, list[ExaminedClip]]:
    voices: dict[str, list[ExaminedClip]] = defaultdict(list)
    for clip in clips:
        if clip.usable:
            voices[clip.speaker].append(clip)
    return dict(sorted(voices.items()))


def _text_for(table: Sequence[tuple[float, str]], value: float) -> str:
    return [text for minimum, text in table if value >= minimum][-1]
