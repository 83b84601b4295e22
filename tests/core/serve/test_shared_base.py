"""Many voices on one base speak exactly as each voice does alone."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from vtune.errors import VoiceError
from vtune.runtime.paths import VoiceFolder
from vtune.serve import shared_base
from vtune.serve.backend import SynthesisRequest
from vtune.serve.failures import VoiceBrokenError, VoiceReplacedError
from vtune.serve.options import base_key
from vtune.serve.registry import VoiceRegistry
from vtune.serve.shared_base import SharedBase
from vtune.types import Audio
from vtune.voice_format.weights import read_adapter
from vtune.voices.mixing import open_named

TEXT = "hello there, you two"


@pytest.fixture
def voices(two_voices: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "voices"
    shutil.copytree(two_voices, copy)
    return copy


def wanted(folder: Path, name: str, **more: Any) -> SynthesisRequest:
    return SynthesisRequest(VoiceRegistry(folder, {}, {}, 8).find(name), TEXT, seed=3, **more)


def joined(pieces: Iterator[Audio]) -> np.ndarray:
    return np.concatenate([piece.waveform for piece in pieces])


def shared(folder: Path, most: int = 4, first: str = "anna") -> SharedBase:
    return SharedBase(wanted(folder, first).voice, "cpu", {}, most)


def test_every_voice_speaks_bit_for_bit_as_it_does_alone(voices: Path) -> None:
    base = shared(voices)
    names = ["anna", "ben", "0.5*anna+0.5*ben", "0.3*ben", "anna", "ben"]
    sounds = [joined(base.say(wanted(voices, name))) for name in names]
    for name, sound in zip(names, sounds, strict=True):
        assert np.array_equal(sound, joined(open_named(name, voices, "cpu").stream(TEXT, 3))), name
    assert len({sound.tobytes() for sound in sounds}) == 4
    assert len(base) == 4


def test_the_network_is_there_once(voices: Path) -> None:
    base = shared(voices)
    for name in ("anna", "ben"):
        joined(base.say(wanted(voices, name)))
    network = base._model
    assert isinstance(network, PeftModel)
    assert sum("letters.weight" in name for name, _ in network.named_parameters()) == 1
    assert len(network.peft_config) == 2


def test_voices_that_speak_in_turn_do_not_get_into_each_others_words(voices: Path) -> None:
    base = shared(voices)
    names = ["anna", "ben", "0.5*anna+0.5*ben"]
    speaking = {name: base.say(wanted(voices, name)) for name in names}
    sounds: dict[str, list[np.ndarray]] = {name: [] for name in names}
    while speaking:
        for name, pieces in list(speaking.items()):
            piece = next(pieces, None)
            if piece is None:
                del speaking[name]
            else:
                sounds[name].append(piece.waveform)
    for name in names:
        alone = joined(open_named(name, voices, "cpu").stream(TEXT, 3))
        assert np.array_equal(np.concatenate(sounds[name]), alone), name


def test_the_voice_that_was_longest_silent_makes_room_and_comes_back(
    voices: Path, make_voice: Callable[..., VoiceFolder]
) -> None:
    make_voice(voices / "cleo", seed=3)
    base = shared(voices, most=2)
    first = {name: joined(base.say(wanted(voices, name))) for name in ("anna", "ben", "cleo")}
    assert len(base) == 2
    assert isinstance(base._model, PeftModel)
    assert len(base._model.peft_config) == 2
    for name in ("anna", "cleo", "ben"):
        assert np.array_equal(joined(base.say(wanted(voices, name))), first[name])
    assert len(base._model.peft_config) == 2


def test_nobody_is_put_out_in_the_middle_of_a_word(voices: Path) -> None:
    base = shared(voices, most=1)
    pieces = base.say(wanted(voices, "anna"))
    sounds = [next(pieces).waveform]
    joined(base.say(wanted(voices, "ben")))
    sounds += [piece.waveform for piece in pieces]
    assert np.array_equal(np.concatenate(sounds), joined(open_named("anna", voices, "cpu").stream(TEXT, 3)))
    del pieces
    joined(base.say(wanted(voices, "ben")))
    joined(base.say(wanted(voices, "0.5*ben")))
    assert len(base) == 1


def test_a_voice_that_is_made_again_speaks_anew(voices: Path, make_voice: Callable[..., VoiceFolder]) -> None:
    base = shared(voices)
    before = joined(base.say(wanted(voices, "ben")))
    shutil.rmtree(voices / "ben")
    make_voice(voices / "ben", seed=7)
    after = joined(base.say(wanted(voices, "ben")))
    assert not np.array_equal(before, after)
    assert np.array_equal(after, joined(open_named("ben", voices, "cpu").stream(TEXT, 3)))


@pytest.mark.parametrize("name", ["ben", "0.5*anna+0.5*ben"])
def test_a_request_that_waited_speaks_with_the_voice_as_it_is_now(
    voices: Path, make_voice: Callable[..., VoiceFolder], name: str
) -> None:
    base, waited = shared(voices), [wanted(voices, name), wanted(voices, name)]
    shutil.rmtree(voices / "ben")
    make_voice(voices / "ben", seed=7, lora={"rank": 3, "alpha": 8})
    for request in (*waited, wanted(voices, name)):
        assert np.array_equal(joined(base.say(request)), joined(open_named(name, voices, "cpu").stream(TEXT, 3)))
    assert len(base) == 1


def test_a_voice_that_has_another_base_now_must_be_asked_for_again(
    voices: Path, make_voice: Callable[..., VoiceFolder]
) -> None:
    base, waited = shared(voices), wanted(voices, "ben")
    shutil.rmtree(voices / "ben")
    make_voice(voices / "ben", engine_options={"width": 32})
    with pytest.raises(VoiceReplacedError):
        joined(base.say(waited))
    shutil.rmtree(voices / "ben")
    with pytest.raises(VoiceReplacedError):
        joined(base.say(waited))
    assert len(base) == 0


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_voice_that_is_replaced_while_it_is_read_is_read_again(
    voices: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    base, read, alone = shared(voices), list[Path](), joined(open_named("ben", voices, "cpu").stream(TEXT, 3))

    def replaced(path: Path) -> Any:
        read.append(path)
        if len(read) <= times:
            shutil.copytree(voices / "ben", voices / "next")
            shutil.rmtree(voices / "ben")
            (voices / "next").rename(voices / "ben")
            if len(read) == 2:
                raise VoiceError("a file of the former voice does not fit one of the new voice")
        return read_adapter(path)

    monkeypatch.setattr(shared_base, "read_adapter", replaced)
    if times < 3:
        assert np.array_equal(joined(base.say(wanted(voices, "ben"))), alone)
        assert len(read) == times + 1
    else:
        with pytest.raises(VoiceReplacedError, match="voice 'ben' is being replaced"):
            joined(base.say(wanted(voices, "ben")))
        assert len(base) == 0


@pytest.mark.parametrize("first", ["anna", "ben"])
def test_a_voice_that_cannot_be_loaded_leaves_nothing_behind(voices: Path, first: str) -> None:
    (voices / "ben" / "adapter_model.safetensors").write_bytes(b"no tensors")
    base = shared(voices, first="anna")
    order = ["anna", "ben"] if first == "anna" else ["ben", "anna"]
    for name in order:
        if name == "anna":
            alone = joined(open_named("anna", voices, "cpu").stream(TEXT, 3))
            assert np.array_equal(joined(base.say(wanted(voices, "anna"))), alone)
        else:
            with pytest.raises(VoiceBrokenError, match="cannot be loaded"):
                joined(base.say(wanted(voices, "ben")))
    assert len(base) == 1


def test_an_adapter_of_another_shape_is_taken_off_again(voices: Path) -> None:
    weights = voices / "anna" / "adapter_model.safetensors"
    wider = {
        name: torch.cat([tensor, tensor], 1) if "lora_A" in name else tensor
        for name, tensor in load_file(weights).items()
    }
    save_file(wider, weights)
    base = shared(voices, first="ben")
    joined(base.say(wanted(voices, "ben")))
    with pytest.raises(VoiceBrokenError, match="does not fit the base"):
        joined(base.say(wanted(voices, "anna")))
    assert isinstance(base._model, PeftModel)
    assert len(base._model.peft_config) == 1


def test_a_fully_tuned_voice_has_a_network_of_its_own(voices: Path, make_voice: Callable[..., VoiceFolder]) -> None:
    from vtune.voices.mixing import open_named

    make_voice(voices / "full", method="full")
    for name in ("full", "0.5*full"):
        alone = joined(open_named(name, voices, "cpu").stream(TEXT, 3))
        base = shared(voices, first=name)
        assert np.array_equal(joined(base.say(wanted(voices, name))), alone)
    keys = [base_key(wanted(voices, name).voice, {}) for name in ("anna", "full", "0.5*full", "0.6*full")]
    assert len(set(keys)) == 4


def test_which_voices_share_a_base(voices: Path, make_voice: Callable[..., VoiceFolder]) -> None:
    make_voice(voices / "high", engine_options={"pitch": 440.0})
    make_voice(voices / "long", engine_options={"max_frames": 2000})
    make_voice(voices / "wide", engine_options={"width": 32})
    make_voice(voices / "whole", lora={"modules_to_save": ["outer"], "targets": ["inner"]})

    def key(name: str, **options: Any) -> Any:
        return base_key(wanted(voices, name).voice, options)

    assert key("anna") == key("ben") == key("0.5*anna+0.5*ben") == key("high") == key("long")
    assert len({key(name) for name in ("anna", "wide", "whole")}) == 3
    assert key("anna", width=24) == key("ben", width=24) != key("anna")


def test_voices_on_one_base_obey_their_own_options(voices: Path, make_voice: Callable[..., VoiceFolder]) -> None:
    for number, pitch in enumerate((110.0, 440.0)):
        make_voice(voices / f"pitch{number}", seed=number, engine_options={"pitch": pitch})
    base = shared(voices, first="pitch0")
    sounds = {name: joined(base.say(wanted(voices, name))) for name in ("pitch0", "pitch1", "anna")}
    for name, sound in sounds.items():
        assert np.array_equal(sound, joined(open_named(name, voices, "cpu").stream(TEXT, 3))), name
    default_base = SharedBase(wanted(voices, "pitch0").voice, "cpu", {"pitch": 220.0}, 4)
    for name in ("pitch0", "pitch1"):
        alone = open_named(name, voices, "cpu", options={"pitch": 220.0}).stream(TEXT, 3)
        assert np.array_equal(joined(default_base.say(wanted(voices, name))), joined(alone))


GAIN = """
from dataclasses import replace

import vtune

class Options(vtune.EngineOptions):
    factor: float = vtune.option(1.0, affects="speech")

@vtune.hookimpl
def extension_info():
    return vtune.ExtensionInfo("gain", Options)

@vtune.hookimpl(wrapper=True)
def synthesize(extensions):
    pieces = yield
    factor = extensions["gain"].factor
    return (replace(piece, waveform=piece.waveform * factor) for piece in pieces)
"""


def test_each_voice_is_served_with_the_extensions_of_its_own_run(
    voices: Path, make_voice: Callable[..., VoiceFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from extensions import extension

    loud = joined(shared(voices).say(wanted(voices, "anna")))
    kept = {"origin": "extension 'gain' (gain 1.0)", "options": {"factor": 0.25}, "wraps": ["synthesize"]}
    record = json.loads((voices / "anna" / "voice.json").read_text())
    (voices / "anna" / "voice.json").write_text(json.dumps({**record, "extensions": {"gain": kept}}))
    monkeypatch.syspath_prepend(extension(tmp_path / "site", "gain", GAIN))
    importlib.invalidate_caches()
    quiet = joined(shared(voices).say(wanted(voices, "anna")))
    assert np.array_equal(quiet, loud * np.float32(0.25))
    assert np.array_equal(quiet, joined(open_named("anna", voices, "cpu").stream(TEXT, 3)))
    assert base_key(wanted(voices, "anna").voice, {}) != base_key(wanted(voices, "ben").voice, {})
    sys.modules.pop("gain_extension")
