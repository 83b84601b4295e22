"""Speaking once with other settings than those of the voice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vtune.errors import EngineError, VoiceError
from vtune.runtime.paths import VoiceFolder
from vtune.voices.speech import LoadedVoice, open_voice
from vtune_orpheus.tiny_checkpoint import CODEC_CONFIG, build


@pytest.fixture(scope="module")
def voice(make_voice: Callable[..., VoiceFolder], tmp_path_factory: pytest.TempPathFactory) -> LoadedVoice:
    checkpoint = tmp_path_factory.mktemp("tiny")
    build(
        checkpoint,
        hidden=32,
        layers=1,
        codec={**CODEC_CONFIG, "encoder_dim": 4, "decoder_dim": 32, "codebook_size": 32},
    )
    options = {"base_model": str(checkpoint), "max_new_tokens": 28}
    return open_voice(make_voice(tmp_path_factory.mktemp("made") / "anna", "orpheus", engine_options=options))


def said(voice: LoadedVoice, seed: int = 0, **sampling: float) -> bytes:
    sound: bytes = np.concatenate(
        [piece.waveform for piece in voice.stream("hello", seed, sampling=sampling)]
    ).tobytes()
    return sound


def test_sampling_of_one_utterance_changes_that_one(voice):
    own = said(voice)
    assert said(voice, temperature=5.0) != own
    assert said(voice, top_p=0.01) != own
    assert len(said(voice, max_new_tokens=7)) < len(own)
    # A short utterance may say nothing twice.
    assert any(said(voice, seed, repetition_penalty=30.0) != said(voice, seed) for seed in range(5))
    assert said(voice) == own
    assert said(voice, temperature=0.6, top_p=0.8, repetition_penalty=1.3) == own  # these are the voice's


def test_the_seed_has_no_say_where_nothing_is_drawn(voice):
    # Of the tokens; the codec's noise is another seed's.
    lengths = {len(said(voice, seed, temperature=0)) for seed in range(4)}
    assert len(lengths) == 1


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({"temprature": 1.0}, "takes no 'temprature' for one utterance; did you mean 'temperature'"),
        ({"codec_device": "cpu"}, r"takes no 'codec_device' .*\(it takes: first_frames, max_chars, max_new_tokens, "),
    ],
)
def test_what_an_engine_does_not_take_is_refused(voice, sampling, message):
    with pytest.raises(VoiceError, match=message):
        next(voice.stream("hello", sampling=sampling))


def test_values_are_held_to_the_engines_own_bounds(voice):
    with pytest.raises(EngineError, match="engine option 'top_p' must be 1 or less, found 3"):
        next(voice.stream("hello", sampling={"top_p": 3}))


def test_an_engine_without_that_option_says_what_it_takes(
    make_voice: Callable[..., VoiceFolder], tmp_path: Path
) -> None:
    toy = open_voice(make_voice(tmp_path / "toy"))
    with pytest.raises(VoiceError, match=r"engine 'toy' takes no 'top_p' for one utterance \(it takes: pitch\)"):
        next(toy.stream("hello", sampling={"top_p": 0.5}))
