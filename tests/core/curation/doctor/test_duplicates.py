from __future__ import annotations

from collections.abc import Callable

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
    ("first", "second", "told"),
    [
        ("Where did you find the green ladder?", "Where did you find the heavy camera?", []),
        ("Where did you find it?", "Where did you find it? Yesterday.", ["similar-sound"]),
        ("Where did you find it?", "where did you find it", ["similar-sound"]),
        ("Where did you find it?", "", ["similar-sound"]),
        ("Where did you find it?", "There did you find it?", []),
    ],
)
def test_sentences_of_one_pattern_are_no_copies(
    clip: Callable[..., np.ndarray], first: str, second: str, told: list[str]
) -> None:
    """The same beginning and another end, as a synthesiser says them; the words tell what it is."""
    same, end = clip(1), clip(1).size * 2 // 3
    clips = [
        heard(2 + other, np.concatenate([same, clip(2 + other)[:end]]), (first, second)[other]) for other in (0, 1)
    ]
    (pair,) = similar_pairs([one.fingerprint for one in clips])
    assert 0.75 <= pair.similarity < 0.85
    assert [one.check for one in duplicate_findings(clips, validation=0) if one.check != "same-words"] == told


def test_a_plain_copy_with_other_words_is_told(clip: Callable[..., np.ndarray]) -> None:
    sound = clip(1)
    clips = [heard(2, sound, "one thing"), heard(3, 0.5 * np.concatenate([np.zeros(5000), sound]), "another")]
    assert [one.check for one in duplicate_findings(clips, validation=0)] == ["similar-sound"]
