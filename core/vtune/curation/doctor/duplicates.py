"""Find duplicate sounds and words, and duplicates on both sides of the validation split: one finding for each group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vtune.curation.doctor.check_titles import make_finding
from vtune.curation.doctor.findings import Finding, Measure, RowLocation, Severity
from vtune.curation.doctor.fingerprints import Fingerprint, similar_pairs
from vtune.dataset import Row, in_validation
from vtune.dataset.sources.fragments import without_neighbours
from vtune.dataset.sources.plain_text import spoken_form

MAX_NAMED_PLACES = 6
"""Rows that the message of a finding names; ``Finding.others`` has all of them."""

COPY_SIMILARITY = 0.85
"""Smallest share of equal fingerprint bits for a copy, whatever the words. Sentences with the same pattern, spoken by a
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
    """Yield one finding for each group of duplicates, and one for each group in both training and validation.

    :param validation: share of the clips that a run holds out for validation.
    """
    by_sound: dict[str, list[MeasuredRow]] = defaultdict(list)
    by_words: dict[str, list[MeasuredRow]] = defaultdict(list)
    for clip in clips:
        by_sound[clip.sound].append(clip)
        if clip.words:
            by_words[clip.words].append(clip)
    for same_clips in by_sound.values():
        yield from _same_sound(same_clips)
    group_of_sound: dict[str, str] = {}
    for similar_sounds, similarity in _similar_sounds([same_clips[0] for same_clips in by_sound.values()]):
        group_of_sound |= dict.fromkeys(similar_sounds, similar_sounds[0])
        if len(similar_sounds) > 1:
            yield _similar([by_sound[sound][0] for sound in similar_sounds], similarity)
        alike = [clip for sound in similar_sounds for clip in by_sound[sound]]
        yield from _leak(alike, "the same or nearly the same sound", Severity.ERROR, validation)
    for same_clips in by_words.values():
        # Clips that sound alike have a finding already.
        distinct = list({group_of_sound[clip.sound]: clip for clip in reversed(same_clips)}.values())[::-1]
        if len(distinct) > 1:
            yield _same_words(distinct)
            yield from _leak(same_clips, "the same words", Severity.WARNING, validation)


def _similar_sounds(clips: Sequence[MeasuredRow]) -> Iterator[tuple[list[str], float]]:
    """Yield groups of sounds that are nearly the same, and the least similarity of a pair; most groups have one sound.

    :param clips: one clip for each sound.
    """
    group_of = list(range(len(clips)))
    least = [1.0] * len(clips)

    def root(index: int) -> int:
        while group_of[index] != index:
            group_of[index] = index = group_of[group_of[index]]
        return index

    for pair in similar_pairs([clip.fingerprint for clip in clips]):
        if pair.similarity >= COPY_SIMILARITY or _may_be_one(clips[pair.first].words, clips[pair.second].words):
            first, second = sorted((root(pair.first), root(pair.second)))
            group_of[second] = first
            least[first] = min(least[first], least[second], pair.similarity)
    members: dict[int, list[str]] = defaultdict(list)
    for index, clip in enumerate(clips):
        members[root(index)].append(clip.sound)
    for index, sounds in members.items():
        yield sounds, least[index]


def _same_sound(clips: Sequence[MeasuredRow]) -> Iterator[Finding]:
    """Yield a finding for the copies of each text, and an error if there are several texts for one sound."""
    by_text: dict[str, list[MeasuredRow]] = defaultdict(list)
    for clip in clips:
        by_text[clip.words].append(clip)
    for same_clips in by_text.values():
        if len(same_clips) > 1:
            yield _group_finding(
                "same-sound", Severity.WARNING, same_clips,
                f"the same sound{' and the same words are' if same_clips[0].words else ' is'} also in "
                f"{_locations(same_clips)}",
                "keep one of these rows" if same_clips[0].words else "keep one of these recordings",
            )  # fmt: skip
    firsts = [same_clips[0] for words, same_clips in by_text.items() if words]
    if len(firsts) > 1:
        yield _group_finding(
            "two-texts", Severity.ERROR, firsts,
            f"the recording has other words in {_locations(firsts)}: {_texts(firsts[1:])}",
            "remove the row whose words are wrong; a run uses none of these rows",
        )  # fmt: skip


def _may_be_one(first: str, second: str) -> bool:
    """Tell whether two recordings may be the same: one text contains the other, or there is no text to compare."""
    return f" {first} " in f" {second} " or f" {second} " in f" {first} " or not (first and second)


def _similar(clips: Sequence[MeasuredRow], similarity: float) -> Finding:
    same_text = len({clip.words for clip in clips}) == 1
    return _group_finding(
        "similar-sound", Severity.WARNING, clips,
        f"nearly the same sound is also in {_locations(clips)} ({100 * similarity:.0f} % of the fingerprint is equal)",
        "keep the best of these recordings" if same_text
        else "listen: one recording may contain another, or the words of a row are wrong",
        Measure(round(100 * similarity, 1), "%"),
    )  # fmt: skip


def _same_words(clips: Sequence[MeasuredRow]) -> Finding:
    return _group_finding(
        "same-words", Severity.NOTE, clips,
        f"the same words are also in {_locations(clips)}: {clips[0].row.text[:60]!r}",
        "keep these rows if the words were spoken again on purpose; otherwise listen to them",
    )  # fmt: skip


def _leak(clips: Sequence[MeasuredRow], shared: str, severity: Severity, validation: float) -> Iterator[Finding]:
    held_out = [clip for clip in clips if in_validation(clip.digest, validation)]
    trained = [clip for clip in clips if not in_validation(clip.digest, validation)]
    if held_out and trained:
        yield _group_finding(
            "leak", severity, [*held_out, *trained],
            f"{'the clip is' if len(held_out) == 1 else f'{len(held_out):,} clips are'} held out for validation, but "
            f"training has {shared}: {_locations([held_out[0], *trained])}",
            "keep only one of these clips; otherwise the validation loss looks better than it is",
        )  # fmt: skip


def _group_finding(
    check: str,
    severity: Severity,
    clips: Sequence[MeasuredRow],
    message: str,
    advice: str,
    measure: Measure | None = None,
) -> Finding:
    """Return a finding about a group of rows, at its first row."""
    finding = make_finding(check, severity, clips[0].row, message, advice, measure)
    others = (RowLocation(clip.row.file, clip.row.line, clip.row.audio) for clip in clips[1:])
    return replace(finding, others=tuple(others))


def _locations(clips: Sequence[MeasuredRow]) -> str:
    """Name all rows of a group but the first: lines of the first row's table, or places elsewhere."""
    first, named = clips[0].row, [clip.row for clip in clips[1 : 1 + MAX_NAMED_PLACES]]
    lines = [str(row.line) for row in named if row.line is not None and row.file == first.file]
    places = [
        without_neighbours(row.audio) if row.line is None else f"{row.file}:{row.line}"
        for row in named
        if row.line is None or row.file != first.file
    ]
    hidden = len(clips) - 1 - len(named)
    *most, last = [*lines, *places, *([f"{hidden:,} more"] if hidden else [])]
    prefix = "" if not lines else "line " if len(lines) == 1 else "lines "
    return prefix + (f"{', '.join(most)} and {last}" if most else last)


def _texts(clips: Sequence[MeasuredRow]) -> str:
    return ", ".join(repr(clip.row.text[:60]) for clip in clips[:MAX_NAMED_PLACES])
