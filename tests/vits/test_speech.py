"""Speaking: sentences, times of words, rates, batches, and what changes the sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_voice import new_base

from vtune import Audio, Conditioning, Ending, EngineError, VoiceError
from vtune_vits.base import VitsBase
from vtune_vits.network.noise import SpeakingNoise
from vtune_vits.speech import speak, speak_together, speaking_style
from vtune_vits.text.symbols import encode_symbols

FIRST_SPEAKER = Conditioning(strings={"speaker": "0"})
LINES = ("a sentence of some words\ta\tsentence\tof\tsome\twords", "one\tOne\nand two\tAnd\ttwo", "b\tB")


@pytest.fixture(scope="module")
def base(letters: Path) -> VitsBase:
    return new_base(letters)


@pytest.fixture(scope="module")
def network(base: VitsBase) -> Any:
    return base.new_network()


def sounds(base: VitsBase, network: Any, text: str, seed: int = 0, **sampling: Any) -> list[Audio]:
    with torch.inference_mode():
        return list(speak(base, network, text, FIRST_SPEAKER, seed, sampling))


def joined(pieces: Sequence[Audio]) -> np.ndarray:
    return np.concatenate([piece.waveform for piece in pieces])


def test_each_sentence_is_one_planned_utterance_and_silence_stands_between(base: VitsBase, network: Any) -> None:
    pieces = sounds(base, network, LINES[1], sentence_pause=0.5)

    assert [piece.ending for piece in pieces] == [Ending.PLANNED, None, Ending.PLANNED]
    assert not pieces[1].waveform.any()
    silent = pieces[1].seconds + _silent_end(pieces[0].waveform) / 22_050
    assert silent == pytest.approx(0.5, abs=1e-3)


def _silent_end(waveform: np.ndarray) -> int:
    loud = np.abs(waveform) > 10**-1.5 * np.abs(waveform).max()
    return int(np.argmax(loud[::-1]))


def test_the_sound_is_that_of_the_network_and_its_durations_are_those_of_the_words(
    base: VitsBase, network: Any
) -> None:
    (piece,) = sounds(base, network, LINES[0], seed=3)

    symbols = encode_symbols("a sentence of some words", base.text)
    with torch.inference_mode():
        style = speaking_style(base.options, base.settings)
        spoken = network.speak(torch.tensor(symbols.ids), style, 0, SpeakingNoise(3))
    assert np.allclose(piece.waveform, spoken.waveform.numpy(), atol=1e-6)
    # Ids are blank, a, blank, space, blank, s, blank, e ...: id 2 n + 1 is character n of the sentence.
    frames = spoken.durations.numpy()
    start = "a sentence of some words".index("sentence")
    begin, end = frames[: 2 * start + 1].sum(), frames[: 2 * (start + len("sentence")) + 1].sum()
    (time,) = (word for word in piece.words if word.word == "sentence")
    assert (time.start, time.end) == pytest.approx((begin * 256 / 22_050, end * 256 / 22_050))


def test_texts_in_one_batch_sound_as_each_does_alone(base: VitsBase, network: Any) -> None:
    lines = [(text, 5 + number) for number, text in enumerate(LINES)]

    with torch.inference_mode():
        together = dict(speak_together(base, network, lines, FIRST_SPEAKER, {}))

    assert sorted(together) == [0, 1, 2]
    for number, (text, seed) in enumerate(lines):
        alone = sounds(base, network, text, seed)
        assert [piece.words for piece in together[number]] == [piece.words for piece in alone]
        assert np.allclose(joined(together[number]), joined(alone), atol=1e-5)


def test_a_seed_repeats_the_sound_and_noise_makes_the_difference(base: VitsBase, network: Any) -> None:
    assert np.array_equal(joined(sounds(base, network, LINES[0], 1)), joined(sounds(base, network, LINES[0], 1)))
    calm = {"noise_scale": 0.0, "noise_w": 0.0}
    first, second = (joined(sounds(base, network, LINES[0], seed, **calm)) for seed in (1, 2))
    assert np.array_equal(first, second)
    first, second = (joined(sounds(base, network, LINES[0], seed, noise_w=0.0)) for seed in (1, 2))
    assert len(first) == len(second)
    assert not np.allclose(first, second)


def test_length_scale_is_how_slowly_the_voice_speaks(base: VitsBase, network: Any) -> None:
    usual, slow = (sounds(base, network, LINES[0], length_scale=scale)[0].seconds for scale in (1.0, 4.0))
    assert slow > 2 * usual  # durations are rounded up to whole frames


def test_a_base_of_another_rate_speaks_at_the_engines_rate_and_as_long(low_rate: Path) -> None:
    base = new_base(low_rate)
    network = base.new_network()

    (piece,) = sounds(base, network, LINES[0])

    symbols = encode_symbols("a sentence of some words", base.text)
    with torch.inference_mode():
        style = speaking_style(base.options, base.settings)
        spoken = network.speak(torch.tensor(symbols.ids), style, 0, SpeakingNoise(0))
    assert piece.sample_rate == 22_050
    assert piece.seconds == pytest.approx(len(spoken.waveform) / 16_000, abs=1e-4)
    assert piece.words[-1].end <= piece.seconds
    # Below 8 kHz, the spectrum is that of the sound before.
    before, after = (np.abs(np.fft.rfft(sound)) for sound in (spoken.waveform.numpy(), piece.waveform))
    assert np.argmax(after[1:]) == np.argmax(before[1:])


def test_what_the_base_cannot_read_is_an_error_that_names_it(base: VitsBase, network: Any) -> None:
    with pytest.raises(VoiceError, match=r"cannot be spoken: the base has no symbol for '7' \(U\+0037\) in '7'"):
        sounds(base, network, "room 7\tRoom\t7")


def test_speakers_are_named_numbered_or_those_of_the_voices_name(speakers: Path) -> None:
    assert new_base(speakers).speaker_number("anna") == 0
    assert new_base(speakers).speaker_number("speaker 2") == 2
    assert new_base(speakers, speaker="speaker 1").speaker_number("speaker 2") == 1
    assert new_base(speakers, speaker=2).speaker_number("anna") == 2
    with pytest.raises(EngineError, match=r"no speaker 'speaker'.*its speakers are 0 to 2"):
        new_base(speakers, speaker="speaker")
    with pytest.raises(EngineError, match="no speaker 3"):
        new_base(speakers, speaker=3)


def test_a_base_of_one_speaker_takes_no_other(letters: Path) -> None:
    with pytest.raises(EngineError, match="it has one speaker, so leave the option out"):
        new_base(letters, speaker="anna")


def test_the_speaker_of_the_voice_is_heard(speakers: Path) -> None:
    base = new_base(speakers)
    network = base.new_network()
    first, third = (
        joined(list(speak(base, network, "abc\tAbc", Conditioning(strings={"speaker": number}), 0, {"noise_w": 0.0})))
        for number in ("0", "2")
    )
    assert first.shape != third.shape or not np.allclose(first, third)
