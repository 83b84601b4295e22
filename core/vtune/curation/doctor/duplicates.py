"""What is there more than once, and what stands on both sides of the validation split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vtune.curation.doctor.checks import found
from vtune.curation.doctor.findings import Finding, Measure, Severity
from vtune.curation.doctor.fingerprints import Fingerprint, twins
from vtune.curation.doctor.text_checks import same
from vtune.dataset import Row, in_validation

TOLD = 3
"""Places that one finding names."""

PLAIN = 0.85
"""Share of a fingerprint that agrees between copies, whatever their words. Sentences of one pattern, as a synthesiser
says them ("Where did you find the green ladder?", "... the heavy camera?"), come up to 0.83; 60 copies as MP3, shifted,
or of another rate stayed above 0.87, noisy ones above 0.80."""


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """A row whose recording was measured.

    :param sound: hash of the decoded samples; ``digest`` of the bytes, by which the validation split goes.
    """

    row: Row
    sound: str
    digest: str
    fingerprint: Fingerprint

    @property
    def words(self) -> str:
        """The words as they are spoken."""
        return same(self.row.text)


def alike(clips: Sequence[MeasuredRow], validation: float) -> Iterator[Finding]:
    """Yield what is there twice, and what leaks from training into validation.

    :param validation: the share of clips that a run holds for validation.
    """
    by_sound: dict[str, list[MeasuredRow]] = defaultdict(list)
    by_words: dict[str, list[MeasuredRow]] = defaultdict(list)
    for clip in clips:
        by_sound[clip.sound].append(clip)
        if clip.words:
            by_words[clip.words].append(clip)
    for several in by_sound.values():
        yield from _same_sound(several, validation)
    firsts = [several[0] for several in by_sound.values()]
    for pair in twins([clip.fingerprint for clip in firsts]):
        first, second = firsts[pair.first], firsts[pair.second]
        if pair.alike >= PLAIN or _may_be_one(first.words, second.words):
            yield from _similar(first, second, pair.alike, validation)
    for several in by_words.values():
        distinct = list({clip.sound: clip for clip in reversed(several)}.values())[::-1]
        yield from _same_words(distinct, validation)


def _same_sound(clips: Sequence[MeasuredRow], validation: float) -> Iterator[Finding]:
    first = clips[0]
    for clip in clips[1:]:
        agree = clip.words == first.words or not (clip.words and first.words)
        severity = Severity.WARNING if agree else Severity.ERROR
        said = "" if agree else " with other words"
        advice = "remove one of them" if agree else "listen, and keep the one whose words are right"
        yield found("same-sound", severity, clip.row, f"the same sound as {_place(first)}{said}", advice)
    yield from _leak(clips, "the same sound", Severity.ERROR, validation)


def _may_be_one(first: str, second: str) -> bool:
    """Whether the words of the one lie in those of the other; nothing is said against it where there are none."""
    return f" {first} " in f" {second} " or f" {second} " in f" {first} " or not (first and second)


def _similar(first: MeasuredRow, second: MeasuredRow, alike: float, validation: float) -> Iterator[Finding]:
    agree = first.words == second.words
    message = f"nearly the same sound as {_place(first)} ({100 * alike:.0f} % of its fingerprint)"
    advice = "keep the better one" if agree else "listen: one may hold the other, or the words of one are wrong"
    measure = Measure(round(100 * alike, 1), "%")
    yield found("similar-sound", Severity.WARNING, second.row, message, advice, measure)
    yield from _leak((first, second), "nearly the same sound", Severity.ERROR, validation)


def _same_words(clips: Sequence[MeasuredRow], validation: float) -> Iterator[Finding]:
    if len(clips) < 2:
        return
    first = clips[0]
    for clip in clips[1:]:
        yield found(
            "same-words", Severity.NOTE, clip.row, f"the same words as {_place(first)}: {first.row.text[:60]!r}",
            "fine if they were said twice on purpose; else listen to both",
        )  # fmt: skip
    yield from _leak(clips, "the same words", Severity.WARNING, validation)


def _leak(clips: Sequence[MeasuredRow], what: str, severity: Severity, validation: float) -> Iterator[Finding]:
    held = [clip for clip in clips if in_validation(clip.digest, validation)]
    trained = [clip for clip in clips if not in_validation(clip.digest, validation)]
    for clip in held if trained else ():
        yield found(
            "leak", severity, clip.row, f"held for validation, with {what} in training: {_places(trained)}",
            "keep one of them; else the validation loss looks better than it is",
        )  # fmt: skip


def _places(clips: Sequence[MeasuredRow]) -> str:
    more = f" and {len(clips) - TOLD} more" if len(clips) > TOLD else ""
    return ", ".join(_place(clip) for clip in clips[:TOLD]) + more


def _place(clip: MeasuredRow) -> str:
    row = clip.row
    return row.audio if row.line is None else f"{row.file}:{row.line}"
