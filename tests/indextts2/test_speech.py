"""Speaking: pieces and pauses, endings, seeds and options, all without the parts that only encode recordings."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import vtune
from vtune import Audio, Conditioning, Ending, VoiceError
from vtune.testing import made_clip
from vtune.toolkit import PAUSE_SECONDS
from vtune.voices.speech import Speaker
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.conditioning import extract
from vtune_indextts2.text import normalisers
from vtune_indextts2.text.frontend import Frontend

RATE = 22_050
TEXT = "The bells rang for an hour. Did you hear them? The old miller slept."

MakeBase = Callable[..., IndexTTS2Base]
Speak = Callable[..., list[Audio]]


@pytest.fixture(scope="module")
def engine() -> vtune.Engine:
    return vtune.load_engine("indextts2")


@pytest.fixture(scope="module")
def kept(make_base: MakeBase) -> Conditioning:
    return extract(make_base(), [made_clip(RATE, 0.8, 0)])


@pytest.fixture(scope="module")
def network(make_base: MakeBase) -> Any:
    return make_base().new_network()


@pytest.fixture
def say(make_base: MakeBase, kept: Conditioning, network: Any, engine: vtune.Engine) -> Speak:
    """Speak with some options; ``stops`` makes the stop code certain at every position, or impossible."""

    def pieces(
        text: str = TEXT, seed: int = 0, stops: bool | None = None, given: Conditioning = kept, **options: Any
    ) -> list[Audio]:
        stop = network.settings.stop_mel_token
        before = network.mel_head.bias.data.clone()
        if stops is not None:
            network.mel_head.bias.data[stop] = 1e9 if stops else -1e9
        try:
            return list(Speaker(engine, make_base(**options), network, given).speak(text, seed))
        finally:
            network.mel_head.bias.data = before

    return pieces


def joined(pieces: list[Audio]) -> np.ndarray:
    return np.concatenate([piece.waveform for piece in pieces])


def codes_in(samples: int) -> list[int]:
    """Return how many codes give so many samples: each code has 1.72 frames, rounded down, of 256 samples."""
    return [count for count in range(1, 2000) if int(1.72 * count) * 256 == samples]


# Pieces


def test_every_piece_is_sound_that_says_how_it_ended(say: Speak) -> None:
    pieces = say(segment_tokens=12)
    assert len(pieces) > 2
    for piece in pieces:
        assert piece.sample_rate == RATE
        assert piece.waveform.dtype == np.float32
        assert piece.waveform.ndim == 1
        assert np.isfinite(piece.waveform).all()
        assert 0 < np.abs(piece.waveform).max() <= 1
        assert piece.ending is not None


@pytest.mark.parametrize("pause", [0.2, 1.3])
def test_between_pieces_is_a_pause_of_the_length_that_was_asked_for(say: Speak, pause: float) -> None:
    silence = int(pause * RATE)
    pieces = say(segment_tokens=12, segment_pause=pause, stops=False)
    bare_pieces = say(segment_tokens=12, segment_pause=0, stops=False)
    assert len(pieces) == len(bare_pieces) > 2
    for index, (piece, bare) in enumerate(zip(pieces, bare_pieces, strict=True)):
        assert codes_in(len(bare.waveform)) == [20]
        assert np.array_equal(piece.waveform[: len(bare.waveform)], bare.waveform)
        rest = piece.waveform[len(bare.waveform) :]
        assert len(rest) == (silence if index < len(pieces) - 1 else 0)
        assert not rest.any()


def test_a_short_text_is_one_piece(say: Speak, make_base: MakeBase) -> None:
    assert len(make_base().frontend.segments(TEXT, 120)) == 1
    assert len(say()) == 1


def test_segments_are_those_of_the_text(say: Speak, make_base: MakeBase) -> None:
    frontend = make_base().frontend
    for longest in (8, 12, 30, 120):
        spoken = frontend.spoken_segments(TEXT, longest)
        last = max(index for index, ids in enumerate(spoken) if ids)  # a mark alone at the end is not read out
        assert len(say(segment_tokens=longest, max_codes=1)) == last + 1


def test_quick_tokens_give_more_and_shorter_pieces_at_first(say: Speak, make_base: MakeBase) -> None:
    frontend = make_base().frontend
    usual, quick = frontend.segments(TEXT, 50), frontend.segments(TEXT, 50, 60)
    assert len(quick) > len(usual)
    assert len(quick[0]) < len(usual[0])
    assert [*chain(*quick)] == [*chain(*usual)]
    assert len(say(segment_tokens=50, max_codes=1)) == len(usual)
    assert len(say(segment_tokens=50, quick_tokens=60, max_codes=1)) == len(quick)


def test_the_first_piece_of_a_long_text_is_what_it_would_be_alone(say: Speak, make_base: MakeBase) -> None:
    long = "Did you hear them? The old miller slept."
    first, *_ = make_base().frontend.segments(long, 16)
    assert first == make_base().frontend.segments("Did you hear them?", 16)[0]
    alone = joined(say("Did you hear them?", segment_tokens=16))
    piece, *_ = say(long, segment_tokens=16, segment_pause=0)
    assert np.array_equal(piece.waveform, alone)


def test_pieces_of_the_same_words_are_drawn_anew(say: Speak) -> None:
    pieces = say("The bells rang. The bells rang.", segment_tokens=8, segment_pause=0)
    sounds = [piece.waveform for piece in pieces]
    assert len(sounds) >= 2
    assert len({sound.tobytes() for sound in sounds}) == len(sounds)


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u200b", "\u3000", "?", "...", "!?", "\udcff", "* * *"])
def test_a_text_with_nothing_to_say_is_a_pause(say: Speak, text: str) -> None:
    (piece,) = say(text)
    assert not piece.waveform.any()


@pytest.mark.parametrize("text", ["a", "7", "你好。", "naïve — “quoted” 3.5%", "x" * 400])
def test_odd_texts_are_spoken(say: Speak, text: str) -> None:
    assert len(joined(say(text, max_codes=3, flow_steps=1)))


def test_a_segment_that_cannot_be_read_out_is_a_pause(say: Speak, monkeypatch: pytest.MonkeyPatch) -> None:
    segments = Frontend.spoken_segments
    monkeypatch.setattr(Frontend, "spoken_segments", lambda *given: [[], *(ids := segments(*given)), [], *ids, []])
    first, quiet, last = say("Hello.", max_codes=2, flow_steps=1, segment_pause=0)
    assert not quiet.waveform.any()
    assert len(quiet.waveform) == int(PAUSE_SECONDS * quiet.sample_rate)
    assert (quiet.ending, bool(last.ending)) == (None, True)
    assert first.waveform.any()


# Endings


def test_a_piece_that_stops_by_itself_says_so(say: Speak) -> None:
    (piece,) = say(stops=True)
    assert piece.ending == Ending.END_TOKEN
    assert codes_in(len(piece.waveform)) == [1], "an utterance has at least one code"


def test_a_piece_that_is_cut_at_the_limit_says_so(say: Speak) -> None:
    (piece,) = say(stops=False, max_codes=13)
    assert piece.ending == Ending.LIMIT
    assert codes_in(len(piece.waveform)) == [13]


def test_a_piece_that_runs_away_is_stopped_by_the_voice_s_pace(
    say: Speak, kept: Conditioning, make_base: MakeBase
) -> None:
    """The limit is three times what its tokens take at the voice's pace, plus a second, at 50 codes a second."""
    tokens = len(make_base().frontend.tokenize("Hello there"))
    for pace in (0.0, 0.01):
        given = Conditioning(kept.tensors, {**kept.strings, "seconds_per_token": str(pace)})
        (piece,) = say("Hello there", stops=False, max_codes=200, given=given, flow_steps=1)
        assert piece.ending == Ending.RUNAWAY
        assert codes_in(len(piece.waveform)) == [int(50 * (1 + 3 * pace * tokens))]


@pytest.mark.parametrize("offset", [0, 1])
def test_no_code_is_said_beyond_the_last_position(
    offset: int, tiny: Path, kept: Conditioning, make_base: MakeBase, engine: vtune.Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "short"
    shutil.copytree(tiny, folder)
    content = yaml.safe_load((folder / "config.yaml").read_text())
    content["gpt"]["max_mel_tokens"] = 20
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    model = torch.load(folder / "gpt.pth", weights_only=True)["model"]
    model["mel_pos_embedding.emb.weight"] = model["mel_pos_embedding.emb.weight"][:23].clone()
    model["mel_head.bias"][content["gpt"]["stop_mel_token"]] = -1e9
    torch.save({"model": model}, folder / "gpt.pth")
    base = make_base(base_model=str(folder), max_codes=1500, mel_pos_offset=offset)
    (piece,) = Speaker(engine, base, base.new_network(), kept).speak("Hello", 0)
    assert piece.ending == Ending.LIMIT
    assert codes_in(len(piece.waveform)) == [22 - offset]


# Seeds and options


@pytest.fixture(scope="module")
def usual(make_base: MakeBase, kept: Conditioning, network: Any, engine: vtune.Engine) -> np.ndarray:
    return joined(list(Speaker(engine, make_base(segment_tokens=30, max_codes=12), network, kept).speak(TEXT, 0)))


def test_a_seed_is_a_sound(say: Speak) -> None:
    first = joined(say(seed=5, segment_tokens=12))
    assert np.array_equal(joined(say(seed=5, segment_tokens=12)), first)
    assert not np.array_equal(joined(say(seed=6, segment_tokens=12)), first)


def test_the_likeliest_codes_do_not_depend_on_the_seed(say: Speak) -> None:
    """Only the noise from which the flow starts depends on the seed."""
    lengths = {len(joined(say(seed=seed, temperature=0))) for seed in range(3)}
    assert len(lengths) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"beams": 3},
        {"beams": 3, "temperature": 0, "length_penalty": 1.0},
        {"mel_pos_offset": 1},
        {"guidance": 0},
        {"guidance": 2.5},
        {"flow_steps": 1},
        {"repetition_penalty": 1.0},
        {"top_k": 0, "top_p": 1.0},
        {"top_k": 1},
        {"temperature": 2.0},
        {"emotion_strength": 0},
        {"emotion_weights": [0.5, 0, 0, 0, 0, 0, 0, 0]},
        {"frozen_device": "cpu"},
    ],
    ids=str,
)
def test_each_option_speaks(say: Speak, usual: np.ndarray, options: dict[str, Any]) -> None:
    pieces = say(segment_tokens=30, max_codes=12, **options)
    sound = joined(pieces)
    assert sound.dtype == np.float32
    assert np.isfinite(sound).all()
    assert 0 < np.abs(sound).max() <= 1
    assert np.array_equal(usual, sound) == (options == {"frozen_device": "cpu"})


def test_upstream_s_made_up_history_holds_code_1_against_it(
    say: Speak, network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code 1 has twice the score of the second code; a penalty of ten reverses their order from the first code on."""

    def first(scores: dict[int, float], history: str) -> np.ndarray:
        bias = torch.zeros_like(network.mel_head.bias)
        for code, its in scores.items():
            bias[code] = its
        monkeypatch.setattr(network.mel_head.bias, "data", bias)
        return joined(say(max_codes=1, temperature=0, penalty_history=history))

    both = {1: 200.0, 2: 100.0}
    assert np.array_equal(first(both, "codes"), first({1: 200.0}, "codes"))
    assert np.array_equal(first(both, "upstream"), first({2: 100.0}, "codes"))
    assert not np.array_equal(first(both, "codes"), first(both, "upstream"))


def test_a_network_without_an_adapter_speaks_as_one_with_a_fresh_adapter(
    make_base: MakeBase, kept: Conditioning, network: Any, engine: vtune.Engine
) -> None:
    base = make_base()
    adapted = engine.build_lora_model(base, engine.info.lora)
    sounds = [joined(list(Speaker(engine, base, model, kept).speak(TEXT, 3))) for model in (network, adapted)]
    assert np.array_equal(*sounds)


# What is not needed


def test_a_voice_speaks_without_the_parts_that_only_listen(
    tiny: Path, make_base: MakeBase, kept: Conditioning, engine: vtune.Engine, tmp_path: Path, say: Speak
) -> None:
    folder = tmp_path / "less"
    shutil.copytree(tiny, folder)
    for part in ("w2v-bert-2.0", "semantic_codec", "campplus"):
        shutil.rmtree(folder / part)
    for file in ("wav2vec2bert_stats.pt", "feat1.pt", "feat2.pt"):
        (folder / file).unlink()
    content = torch.load(folder / "gpt.pth", weights_only=True)["model"]
    listening = ("conditioning_encoder", "perceiver_encoder", "emo")
    torch.save({name: t for name, t in content.items() if not name.startswith(listening)}, folder / "gpt.pth")
    base = make_base(base_model=str(folder))
    assert base.speaking_fingerprint.keys() == make_base().speaking_fingerprint.keys()
    sound = joined(list(Speaker(engine, base, base.new_network(), kept).speak(TEXT, 0)))
    assert np.array_equal(sound, joined(say()))


def test_speaking_loads_nothing_that_only_listens(
    make_base: MakeBase, kept: Conditioning, network: Any, engine: vtune.Engine
) -> None:
    base = make_base()
    assert list(Speaker(engine, base, network, kept).speak("Hello", 0))
    assert not {"semantic", "codec", "conditioning_encoder", "speaker_model", "emotions"} & base.__dict__.keys()


# The normaliser


@pytest.fixture
def without_wetext(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalisers, "find_spec", lambda _: None)


def trained_with(kept: Conditioning, normaliser: str) -> Conditioning:
    return Conditioning(kept.tensors, {**kept.strings, "normaliser": normaliser})


@pytest.mark.usefixtures("without_wetext")
def test_another_normaliser_is_refused_where_nobody_chose_it(say: Speak, kept: Conditioning) -> None:
    with pytest.raises(VoiceError) as caught:
        say(given=trained_with(kept, "wetext 0.1.8"), normaliser="auto")
    message = str(caught.value)
    assert "wetext 0.1.8, here it is basic" in message
    assert "install vtune-tts with the extra 'indextts2'" in message
    assert "normaliser=basic to speak anyway" in message
    assert len(message.splitlines()) == 1


def test_a_voice_of_the_built_in_normaliser_asks_for_it(
    make_base: MakeBase, kept: Conditioning, network: Any, engine: vtune.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = make_base(normaliser="auto")
    monkeypatch.setattr(base.frontend, "engine", type("Wetext", (), {"identity": "wetext 9"})())
    with pytest.raises(VoiceError, match="set normaliser=basic, or set engine option normaliser=wetext"):
        list(Speaker(engine, base, network, trained_with(kept, "basic 1")).speak("Hello", 0))


@pytest.mark.usefixtures("without_wetext")
@pytest.mark.parametrize(
    ("normaliser", "recorded", "warns"),
    [
        ("basic", "wetext 0.1.8", True),  # asked for
        ("auto", "basic 0", True),  # the same program, of another version
        ("auto", "basic 1", False),
        ("auto", "", False),  # a voice that does not say
    ],
)
def test_what_was_chosen_is_speaking_fingerprint_a_warning(
    say: Speak, kept: Conditioning, caplog: pytest.LogCaptureFixture, normaliser: str, recorded: str, warns: bool
) -> None:
    with caplog.at_level(logging.WARNING):
        assert say(given=trained_with(kept, recorded), normaliser=normaliser, max_codes=2)
    messages = [record.message for record in caplog.records]
    assert messages == (
        [f"the voice was trained with the normaliser {recorded}, here it is basic 1: numbers may be read differently"]
        if warns
        else []
    )
