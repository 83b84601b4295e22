"""Sentences of symbols: written and read back, cut, timed, and spoken in batches."""

from __future__ import annotations

import numpy as np
import pytest

from vtune import Audio, Ending
from vtune.toolkit.sentences import (
    BATCH_SENTENCES,
    Sentence,
    cut_long,
    missing_silence,
    read_sentences,
    spoken_in_batches,
    word_times,
    write_sentences,
)


def test_sentences_are_read_as_they_were_written() -> None:
    sentences = [Sentence("həlˈO wˈɜɹld.", ("Hello,", "world.")), Sentence("twˈɛnti θɹˈi", ("23", "")), Sentence("a")]
    assert read_sentences(write_sentences(sentences)) == sentences


def test_words_last_from_their_first_to_their_last_symbol() -> None:
    times = word_times(Sentence("a, b", ("Eh,", "bee")), [0, 1, 2, 3, -1], [2, 1, 1, 3, 1], frame_seconds=0.5)

    assert [(time.word, time.start, time.end) for time in times] == [("Eh,", 0.0, 1.0), ("bee", 2.0, 3.5)]


def test_a_word_of_several_groups_lasts_to_the_end_of_the_last() -> None:
    times = word_times(Sentence("x y z", ("23", "", "cats")), range(5), [1, 1, 1, 1, 1], frame_seconds=1.0)

    assert [(time.word, time.start, time.end) for time in times] == [("23", 0.0, 3.0), ("cats", 4.0, 5.0)]


@pytest.mark.parametrize(
    ("sentence", "parts"),
    [
        (Sentence("ab, cd ef", ("x", "y", "z")), [Sentence("ab,", ("x",)), Sentence("cd ef", ("y", "z"))]),
        (Sentence("ab cd ef", ("x", "y", "z")), [Sentence("ab cd", ("x", "y")), Sentence("ef", ("z",))]),
        (Sentence("abcdefghi", ("x",)), [Sentence("abcdef", ("x",)), Sentence("ghi", ("",))]),
        (Sentence("abc", ("x",)), [Sentence("abc", ("x",))]),
    ],
)
def test_long_sentences_are_cut_at_marks_then_at_words_then_anywhere(sentence: Sentence, parts: list[Sentence]) -> None:
    assert cut_long(sentence, 6) == parts


def test_silence_that_is_spoken_already_counts() -> None:
    sound = np.concatenate([np.ones(100), np.full(300, 0.01)]).astype(np.float32)
    assert len(missing_silence(sound, 1000)) == 700
    assert len(missing_silence(sound, 200)) == 0
    assert len(missing_silence(np.zeros(0, dtype=np.float32), 5)) == 5


def test_lines_come_when_all_their_sentences_are_spoken_and_in_their_order() -> None:
    batches = []

    def speak(batch):
        batches.append(list(batch))
        return [[Audio(np.full(len(text), 0.5, np.float32), 24_000, Ending.PLANNED)] for text in batch]

    utterances = [(0, "x" * 30), (0, "y" * 2)] + [(line, "z" * line) for line in range(1, 12)]
    spoken = dict(spoken_in_batches(utterances, len, speak))

    assert {line: [len(piece.waveform) for piece in pieces] for line, pieces in spoken.items()} == {
        0: [30, 2], **{line: [line] for line in range(1, 12)}
    }  # fmt: skip
    lengths = [len(text) for batch in batches for text in batch]
    assert lengths == sorted(lengths)
    assert max(map(len, batches)) == BATCH_SENTENCES
