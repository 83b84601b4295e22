"""Speaking: sentences, exact times of words, speed, noise, batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_hibari import new_base

from vtune import Audio, Ending, VoiceError
from vtune_hibari.base import HibariBase
from vtune_hibari.network.settings import STEP_SECONDS
from vtune_hibari.network.speaking import SpokenStyle, SpokenText, speak_texts
from vtune_hibari.speech import speak, speak_together
from vtune_hibari.text.symbols import encode_symbols

LINES = ("həlˈO wˈɜɹld.\tHello\tworld.", "twˈɛnti θɹˈi kˈæts.\t23\t\tcats.\nðˈɛɹ.\tThere.", "ə.\tA.")


@pytest.fixture(scope="module")
def base(small_onnx: Path) -> HibariBase:
    return new_base(small_onnx)


@pytest.fixture(scope="module")
def network(base: HibariBase) -> Any:
    return base.new_network()


def sounds(base: HibariBase, network: Any, text: str, seed: int = 0, **sampling: Any) -> list[Audio]:
    with torch.inference_mode():
        return list(speak(base, network, text, seed, sampling))


def joined(pieces: Sequence[Audio]) -> np.ndarray:
    return np.concatenate([piece.waveform for piece in pieces])


def test_each_sentence_is_one_planned_utterance_and_silence_stands_between(base: HibariBase, network: Any) -> None:
    pieces = sounds(base, network, LINES[1], sentence_pause=0.5)
    assert [piece.ending for piece in pieces] == [Ending.PLANNED, None, Ending.PLANNED]
    assert not pieces[1].waveform.any()
    assert pieces[1].seconds == pytest.approx(0.5, abs=0.2)  # silence that is spoken counts
    assert [piece.ending for piece in sounds(base, network, LINES[1], sentence_pause=0.0)] == [Ending.PLANNED] * 2


def test_times_of_words_are_those_of_the_durations(base: HibariBase, network: Any) -> None:
    (piece,) = sounds(base, network, LINES[0], seed=3)
    symbols = "həlˈO wˈɜɹld."
    ids = torch.tensor(encode_symbols(symbols))
    with torch.inference_mode():
        (spoken,) = speak_texts(network, [SpokenText(ids, 3)], SpokenStyle())
    assert np.allclose(piece.waveform, spoken.waveform.numpy().clip(-1, 1), atol=1e-6)
    # Id n + 1 is symbol n; the first id is an edge.
    ends = np.cumsum(spoken.durations.numpy()) * STEP_SECONDS
    hello, world = piece.words
    assert (hello.word, world.word) == ("Hello", "world.")
    assert hello.start == pytest.approx(ends[0])
    assert hello.end == pytest.approx(ends[symbols.index(" ")])
    assert world.start == pytest.approx(ends[symbols.index(" ") + 1])
    assert world.end == pytest.approx(ends[symbols.index(".")])
    assert piece.seconds == pytest.approx(ends[-1])


def test_a_word_of_two_groups_has_one_time(base: HibariBase, network: Any) -> None:
    pieces = sounds(base, network, LINES[1])
    assert [word.word for piece in pieces for word in piece.words] == ["23", "cats.", "There."]


def test_texts_in_one_batch_sound_as_each_does_alone(base: HibariBase, network: Any) -> None:
    lines = [(text, 5 + number) for number, text in enumerate(LINES)]
    with torch.inference_mode():
        together = dict(speak_together(base, network, lines, {}))
    assert sorted(together) == [0, 1, 2]
    for number, (text, seed) in enumerate(lines):
        alone = sounds(base, network, text, seed)
        assert [piece.words for piece in together[number]] == [piece.words for piece in alone]
        assert np.allclose(joined(together[number]), joined(alone), atol=1e-4)


def test_a_seed_repeats_the_sound_and_noise_makes_the_difference(base: HibariBase, network: Any) -> None:
    assert np.array_equal(joined(sounds(base, network, LINES[0], 1)), joined(sounds(base, network, LINES[0], 1)))
    first, second = (joined(sounds(base, network, LINES[0], seed)) for seed in (1, 2))
    assert len(first) == len(second)
    assert not np.allclose(first, second)
    first, second = (joined(sounds(base, network, LINES[0], seed, noise_scale=0.0)) for seed in (1, 2))
    assert np.array_equal(first, second)


def test_speed_is_how_fast_the_voice_speaks(base: HibariBase, network: Any) -> None:
    usual, slow = (sounds(base, network, LINES[0], speed=speed)[0].seconds for speed in (1.0, 0.25))
    assert slow > 2.5 * usual


def test_a_symbol_without_a_number_is_an_error_that_names_it(base: HibariBase, network: Any) -> None:
    with pytest.raises(VoiceError, match=r"cannot be spoken: the network has no symbol for '7' \(U\+0037\) in '7'"):
        sounds(base, network, "ə 7\tA\t7")


def test_long_sentences_are_spoken_in_parts(base: HibariBase, network: Any) -> None:
    text = " ".join(["həlˈO"] * 90) + "\t" + "\t".join(["Hello"] * 90)
    pieces = sounds(base, network, text, sentence_pause=0.0)
    assert len(pieces) == 2
    assert sum(len(piece.words) for piece in pieces) == 90
