"""What an amount of speech is good for, by what two guides to tuning a voice found; see ``docs/doctor.md``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from vtune.curation.doctor.checks import found
from vtune.curation.doctor.findings import Clip, Finding, Measure, Severity

QUALITY = (
    (0.0, "hardly any change: the voice stays close to the base model's"),
    (3.0, "a recognisable voice with flaws"),
    (10.0, "a clear voice with natural melody"),
    (22.0, "an even voice that copes with varied texts"),
    (45.0, "as good as it gets; more helps less and less"),
)
"""Minutes from which, and what an Orpheus voice becomes: 1, 5, 15, 30 and 60 minutes, parted half-way."""

PURPOSE = ((0.0, "less than a test"), (2.0, "a test"), (10.0, "real use"), (30.0, "real use in several styles"))
"""Minutes from which, and what an IndexTTS voice is good for."""

EPOCHS = ((0, "5 or more (and it may learn the clips by heart)"), (30, "2 to 3"), (100, "1"))
"""Clips from which, and the epochs to begin with."""

LITTLE = 5.0
"""Minutes below which both guides promise no good voice."""

SHORT = 3.0
"""Seconds; a guide calls shorter clips too short to learn melody from."""


def advise(clips: Sequence[Clip]) -> Iterator[str]:
    """Say what each voice's usable clips are good for."""
    for voice, of_voice in _voices(clips).items():
        minutes = sum(clip.seconds for clip in of_voice) / 60
        whose = f"{voice}: " if voice else ""
        yield (
            f"{whose}{len(of_voice):,} clips, {minutes:.1f} min: expect {_of(QUALITY, minutes)}; enough for "
            f"{_of(PURPOSE, minutes)}; epochs to begin with: {_of(EPOCHS, len(of_voice))}"
        )


def amounts(clips: Sequence[Clip]) -> Iterator[Finding]:
    """Yield what there is too little of."""
    if not any(clip.usable for clip in clips):
        yield found("amount", Severity.ERROR, None, f"none of {len(clips):,} rows can be used", "mend the errors above")
        return
    for voice, of_voice in _voices(clips).items():
        minutes = sum(clip.seconds for clip in of_voice) / 60
        whose = f" of {voice}" if voice else ""
        measure = Measure(round(minutes, 2), "min")
        if minutes < LITTLE:
            message = f"{minutes:.1f} min of speech{whose}: {_of(QUALITY, minutes)}"
            yield found(
                "amount", Severity.WARNING, None, message, "record more; from 10 min on a voice is clear", measure
            )
        short = sum(clip.seconds < SHORT for clip in of_voice)
        if short > len(of_voice) / 2:
            message = f"{short:,} of {len(of_voice):,} clips{whose} are shorter than {SHORT:g} s"
            advice = "cut longer recordings anew if there are any (vtune prepare): single words teach no melody"
            share = Measure(round(100 * short / len(of_voice), 1), "%")
            yield found("amount", Severity.NOTE, None, message, advice, share)


def _voices(clips: Sequence[Clip]) -> dict[str, list[Clip]]:
    voices: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.usable:
            voices[clip.speaker].append(clip)
    return dict(sorted(voices.items()))


def _of(table: Sequence[tuple[float, str]], value: float) -> str:
    return [said for least, said in table if value >= least][-1]
