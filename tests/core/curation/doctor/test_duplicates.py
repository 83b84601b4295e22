from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from vtune.curation.doctor.duplicates import MeasuredRow, duplicate_findings
from vtune.curation.doctor.fingerprints import make_fingerprint, similar_pairs
from vtune.curation.doctor.spectra import Spectra
from vtune.dataset import Row

RATE = 24_000


def heard(number: int, sound: np.ndarray, text: str) -> MeasuredRow:
    spectra = Spectra(RATE)
    spectra.add(sound.astype(np.float32))
    spectra.end()
    row = Row("transcripts.csv", number, f"{number}.wav", text, speaker="")
    return MeasuredRow(row, sound=str(number), digest=f"{number:064x}", fingerprint=make_fingerprint(spectra.marks))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("Where did you find the green ladder?", "Where did you find the heavy camera?", []),
        ("Where did you find it?", "Where did you find it? Yesterday.", ["similar-sound"]),
        ("Where did you find it?", "where did you find it", ["similar-sound"]),
        ("Where did you find it?", "", ["similar-sound"]),
        ("Where did you find it?", "There did you find it?", []),
    ],
)
def test_sentences_of_one_pattern_are_no_copies(
    clip: Callable[..., np.ndarray], first: str, second: str, message: list[str]
) -> None:
    """The sounds have the same beginning and different ends, as a synthesiser says them; the words show which kind they
    are.
    """
    same, end = clip(1), clip(1).size * 2 // 3
    clips = [
        heard(2 + number, np.concatenate([same, clip(2 + number)[:end]]), (first, second)[number]) for number in (0, 1)
    ]
    (pair,) = similar_pairs([clip.fingerprint for clip in clips])
    assert 0.75 <= pair.similarity < 0.85
    assert [
        finding.check for finding in duplicate_findings(clips, validation=0) if finding.check != "same-words"
    ] == message


def test_a_plain_copy_with_other_words_is_told(clip: Callable[..., np.ndarray]) -> None:
    sound = clip(1)
    clips = [heard(2, sound, "one thing"), heard(3, 0.5 * np.concatenate([np.zeros(5000), sound]), "another")]
    assert [finding.check for finding in duplicate_findings(clips, validation=0)] == ["similar-sound"]


def test_a_group_of_alike_clips_is_one_finding(clip: Callable[..., np.ndarray]) -> None:
    sounds = [clip(number) for number in range(3)]
    clips = []
    for copy in range(4):
        for number, sound in enumerate(sounds):
            moved = 0.5**copy * np.concatenate([np.zeros(1000 * copy), sound])
            clips.append(heard(2 + len(clips), moved, f"sentence number {number}"))
    findings = list(duplicate_findings(clips, validation=0))
    assert [finding.check for finding in findings] == ["similar-sound"] * 3
    for number, finding in enumerate(findings):
        assert [finding.line, *(clip.line for clip in finding.others)] == [2 + number + 3 * copy for copy in range(4)]
    held_out = list(duplicate_findings(clips, validation=0.5))
    assert [finding.check for finding in held_out].count("leak") <= 3
    assert all(len(finding.others) == 3 for finding in held_out)


def test_texts_of_one_sound_are_one_error_and_copies_of_a_text_are_one_warning(clip: Callable[..., np.ndarray]) -> None:
    sound, words = clip(1), ["right words", "Right words!", "other words", "right words", "a third text", ""]
    clips = [replace(heard(2 + index, sound, text), sound="same") for index, text in enumerate(words)]
    two_texts, same = sorted(duplicate_findings(clips, validation=0), key=lambda finding: finding.severity)
    assert (two_texts.check, two_texts.severity, two_texts.line) == ("two-texts", "error", 2)
    assert [clip.line for clip in two_texts.others] == [4, 6]
    assert "lines 4 and 6: 'other words', 'a third text'" in two_texts.message
    assert (same.check, [same.line, *(clip.line for clip in same.others)]) == ("same-sound", [2, 3, 5])


def test_the_same_words_many_times_are_one_note_that_names_a_few(clip: Callable[..., np.ndarray]) -> None:
    clips = [heard(2 + number, clip(number), "good morning") for number in range(9)]
    (finding,) = duplicate_findings(clips, validation=0)
    assert (finding.check, finding.severity, len(finding.others)) == ("same-words", "note", 8)
    assert "in lines 3, 4, 5, 6, 7, 8 and 2 more:" in finding.message
