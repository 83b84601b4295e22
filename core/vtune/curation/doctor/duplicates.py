"""Find duplicate sounds and words, and duplicates on both sides of the validation split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vtune.curation.doctor.check_titles import make_finding
from vtune.curation.doctor.findings import Finding, Measure, Severity
from vtune.curation.doctor.fingerprints import Fingerprint, similar_pairs
from vtune.curation.doctor.text_checks import spoken_form
from vtune.dataset import Row, in_validation

MAX_NAMED_PLACES = 3
"""Rows that one finding names."""

COPY_SIMILARITY = 0.85
"""Least share of equal fingerprint bits for a copy, whatever the words. Sentences with the same pattern, spoken by a
synthesiser ("Where did you find the green ladder?", "... the heavy camera?"), reach 0.83. Of 60 copies, those in MP3,
shifted, or at another rate stayed above 0.87, noisy ones above 0.80."""


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """A row whose recording was measured.

    :param sound: hash of the decoded samples.
    :param digest: hash of the file's bytes, which decides the validation split.
    """

    row: Row
    sound: str
    digest: str
    fingerprint: Fingerprint

    @property
    def words(self) -> str:
        """The words in their spoken form, without case and punctuation."""
        return spoken_form(self.row.text)


def duplicate_findings(clips: Sequence[MeasuredRow], validation: float) -> Iterator[Finding]:
    """Yield findings about duplicates, and about duplicates in both training and validation.

    :param validation: share of the clips that a run holds out for validation.
    """
    by_sound: dict[str, list[MeasuredRow]] = defaultdict(list)
    by_words: dict[str, list[MeasuredRow]] = defaultdict(list)
    for clip in clips:
        by_sound[clip.sound].append(clip)
        if clip.words:
            by_words[clip.words].append(clip)
    for same_clips in by_sound.values():
        yield from _same_sound(same_clips, validation)
    firsts = [same_clips[0] for same_clips in by_sound.values()]
    for pair in similar_pairs([clip.fingerprint for clip in firsts]):
        first, second = firsts[pair.first], firsts[pair.second]
        if pair.similarity >= COPY_SIMILARITY or _may_be_one(first.words, second.words):
            yield from _similar(first, second, pair.similarity, validation)
    for same_clips in by_words.values():
        distinct = list({clip.sound: clip for clip in reversed(same_clips)}.values())[::-1]
        yield from _same_words(distinct, validation)


def _same_sound(clips: Sequence[MeasuredRow], validation: float) -> Iterator[Finding]:
    first = clips[0]
    for clip in clips[1:]:
        same_text = clip.words == first.words or not (clip.words and first.words)
        severity = Severity.WARNING if same_text else Severity.ERROR
        addition = "" if same_text else " with other words"
        advice = "remove one of the two rows" if same_text else "listen, and keep the row with the right words"
        yield make_finding("same-sound", severity, clip.row, f"the same sound as {_location(first)}{addition}", advice)
    yield from _leak(clips, "the same sound", Severity.ERROR, validation)


def _may_be_one(first: str, second: str) -> bool:
    """Tell whether two recordings may be the same: one text contains the other, or there is no text to compare."""
    return f" {first} " in f" {second} " or f" {second} " in f" {first} " or not (first and second)


def _similar(first: MeasuredRow, second: MeasuredRow, similarity: float, validation: float) -> Iterator[Finding]:
    same_text = first.words == second.words
    message = f"nearly the same sound as {_location(first)} ({100 * similarity:.0f} % of the fingerprint is equal)"
    advice = "keep the better recording"
    if not same_text:
        advice = "listen: one recording may contain the other, or the words of one row are wrong"
    measure = Measure(round(100 * similarity, 1), "%")
    yield make_finding("similar-sound", Severity.WARNING, second.row, message, advice, measure)
    yield from _leak((first, second), "nearly the same sound", Severity.ERROR, validation)


def _same_words(clips: Sequence[MeasuredRow], validation: float) -> Iterator[Finding]:
    if len(clips) < 2:
        return
    first = clips[0]
    for clip in clips[1:]:
        yield make_finding(
            "same-words", Severity.NOTE, clip.row, f"the same words as {_location(first)}: {first.row.text[:60]!r}",
            "keep both rows if the words were spoken twice on purpose; otherwise listen to both",
        )  # fmt: skip
    yield from _leak(clips, "the same words", Severity.WARNING, validation)


def _leak(clips: Sequence[MeasuredRow], shared: str, severity: Severity, validation: float) -> Iterator[Finding]:
    held_out = [clip for clip in clips if in_validation(clip.digest, validation)]
    trained = [clip for clip in clips if not in_validation(clip.digest, validation)]
    for clip in held_out if trained else ():
        yield make_finding(
            "leak", severity, clip.row,
            f"the clip is held out for validation, but training has {shared}: {_locations(trained)}",
            "keep only one of these clips; otherwise the validation loss looks better than it is",
        )  # fmt: skip


def _locations(clips: Sequence[MeasuredRow]) -> str:
    hidden = f" and {len(clips) - MAX_NAMED_PLACES} more" if len(clips) > MAX_NAMED_PLACES else ""
    return ", ".join(_location(clip) for clip in clips[:MAX_NAMED_PLACES]) + hidden


def _location(clip: MeasuredRow) -> str:
    row = clip.row
    return row.audio if row.line is None else f"{row.file}:{row.line}"
