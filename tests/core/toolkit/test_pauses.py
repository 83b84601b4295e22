"""Text that cannot be read out becomes a pause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtune.errors import VoiceError
from vtune.evaluation.test_set import unique_texts
from vtune.toolkit.pauses import PAUSE_SECONDS, SEED_STEP, is_speakable, speakable_parts, with_pauses
from vtune.types import Audio, Ending
from vtune.voices.speech import open_voice

PIECE = Audio(np.ones(10, np.float32), 8000, Ending.END_TOKEN)


@pytest.mark.parametrize(
    "text", ["* * *", "...", "---", "\N{GRINNING FACE}", "\u200b\u200d", "\ufeff", "", " \n", "«—»", "。！", "©"]
)
def test_some_texts_have_nothing_to_read_out(text: str) -> None:
    assert not is_speakable(text)
    assert speakable_parts(text) == []
    with_a_word = f"{text}\nOne."
    assert speakable_parts(with_a_word)[0].strip() == "One."


@pytest.mark.parametrize("text", ["a", "7", "... 3 ...", "你好", "नमस्ते", "Ω", "½", "مرحبا", "ไทย", "é"])
def test_a_letter_or_a_digit_of_any_script_is_read_out(text: str) -> None:
    assert is_speakable(text)
    assert speakable_parts(text) == [text]


def test_lines_that_cannot_be_read_out_divide_a_text() -> None:
    assert speakable_parts("One.\n\n* * *\n\nTwo.") == ["One.", "Two."]
    assert speakable_parts("One.\n---\n\u200b\n***\nTwo,\nthree.\n") == ["One.", "Two,\nthree."]
    assert speakable_parts("\n***\nOne.\n***") == ["One."]
    assert speakable_parts("One.\n\nTwo.\n") == ["One.\n\nTwo.\n"]  # empty lines are the engine's business


@given(st.text(alphabet="ab1 *.-\n\u200b😀", max_size=40))
def test_no_letter_is_lost(text: str) -> None:
    parts = speakable_parts(text)
    assert all(map(is_speakable, parts))
    assert "".join(filter(str.isalnum, "".join(parts))) == "".join(filter(str.isalnum, text))


def test_pauses_stand_between_the_parts_in_their_order() -> None:
    asked: list[tuple[str, int]] = []

    def say(text: str, seed: int) -> Any:
        asked.append((text, seed))
        return iter([PIECE, PIECE])

    pieces = list(with_pauses(say, "One.\n***\nTwo.", 5, 8000))
    assert asked == [("One.", 5), ("Two.", 5 + SEED_STEP)]
    assert [len(piece.waveform) for piece in pieces] == [10, 10, PAUSE_SECONDS * 8000, 10, 10]
    assert not pieces[2].waveform.any()
    assert pieces[2].ending is None
    (alone,) = with_pauses(say, "***", 5, 8000)
    assert (len(alone.waveform), alone.ending) == (PAUSE_SECONDS * 8000, Ending.END_TOKEN)
    assert len(asked) == 2


def test_a_voice_refuses_a_text_that_cannot_be_read_out(make_voice: Callable[..., Any], tmp_path: Path) -> None:
    voice = open_voice(make_voice(tmp_path / "anna"), "cpu")
    for text in ("", "* * *", "\u200b"):
        with pytest.raises(VoiceError, match="it has no letter and no digit"):
            voice.stream(text)
    parts = [
        np.concatenate([p.waveform for p in voice.stream(text, seed)])
        for text, seed in (("a b.", 1), ("c.", 1 + SEED_STEP))
    ]
    both = np.concatenate([piece.waveform for piece in voice.stream("a b.\n\n* * *\n\nc.", 1)])
    silence = np.zeros(round(PAUSE_SECONDS * voice.sample_rate), np.float32)
    assert np.array_equal(both, np.concatenate([parts[0], silence, parts[1]]))
    (alone,) = voice.speak("...", 1)
    assert not alone.waveform.any()


def test_sentences_that_cannot_be_read_out_are_not_scored() -> None:
    assert unique_texts(["One.", "...", "One.", " \n", "😀"]) == ["One."]
