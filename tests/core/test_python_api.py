"""vtune as a library: run a recipe, load a voice, speak, stream and measure."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

import vtune
from vtune import python_api, recipe, toolkit
from vtune.runtime.paths import VoiceFolder
from vtune.voices.speech import open_voice

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture(scope="module")
def someone(trained_voice: Callable[..., VoiceFolder]) -> VoiceFolder:
    return trained_voice(train={"learning_rate": 5e-2})


@pytest.fixture(scope="module")
def voice(someone: VoiceFolder) -> vtune.Voice:
    return vtune.Voice.load("someone", voices=someone.path.parent, device="cpu")


def test_run_returns_voices_that_speak(toy_recipe: Callable[..., Path], tmp_path: Path) -> None:
    (voice,) = vtune.run(toy_recipe(), {"train.max_steps": 1, "train.learning_rate": 1e-3, "voice": "jane"})
    assert voice.name == "jane"
    assert voice.record.training["steps"] == 1
    audio = voice.say("hello there", seed=3)
    saved = open_voice(VoiceFolder(tmp_path / "voices" / "jane"))
    pieces = [piece.waveform for piece in saved.stream("hello there", 3)]
    assert np.array_equal(audio.waveform, np.concatenate(pieces))


def test_run_takes_a_loaded_recipe_and_refuses_overrides_of_it(
    toy_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = vtune.load_recipe(toy_recipe())
    folders = [VoiceFolder(tmp_path / "voices" / name) for name in ("ann", "ben")]
    monkeypatch.setattr("vtune.pipeline.run", lambda given, callbacks: folders if given is recipe else None)
    assert len(vtune.run(recipe)) == 2
    with pytest.raises(TypeError, match="load_recipe"):
        vtune.run(recipe, {"train.epochs": 1})


@pytest.mark.parametrize("overrides", [["train.epochs=1e-1", "voice=ann"], {"train.epochs": 1e-1, "voice": "ann"}])
def test_overrides_are_texts_or_a_mapping(
    overrides: list[str] | dict[str, object], toy_recipe: Callable[..., Path]
) -> None:
    recipe = vtune.load_recipe(toy_recipe(), overrides)
    assert (recipe.train.epochs, recipe.voice) == (0.1, "ann")


def test_one_text_is_no_list_of_overrides(toy_recipe: Callable[..., Path]) -> None:
    with pytest.raises(TypeError, match=r"write \['train.epochs=1'\]"):
        vtune.load_recipe(toy_recipe(), "train.epochs=1")


def test_what_is_said_can_be_saved_and_notes_that_it_is_synthetic(voice: vtune.Voice, tmp_path: Path) -> None:
    audio = voice.say("hello there", seed=1)
    assert audio.waveform.dtype == np.float32
    assert audio.sample_rate == voice.sample_rate == 8000
    assert audio.seconds == len(audio.waveform) / 8000
    assert audio.ending == vtune.Ending.END_TOKEN
    with soundfile.SoundFile(audio.save(tmp_path / "hello.wav")) as file:
        assert "synthetic" in file.comment
        assert "someone" in file.comment
        np.testing.assert_allclose(file.read(dtype="float32"), audio.waveform, atol=1 / 32000)


def test_the_pieces_of_a_stream_are_what_say_returns(voice: vtune.Voice) -> None:
    text = "hello there.\n* * *\nand more"
    pieces = list(voice.stream(text, seed=2))
    assert len(pieces) > 3
    assert np.array_equal(np.concatenate([piece.waveform for piece in pieces]), voice.say(text, seed=2).waveform)


def test_sampling_and_the_base_change_the_sound(voice: vtune.Voice) -> None:
    own = voice.say("hello there", seed=1).waveform.tobytes()
    assert voice.say("hello there", seed=1).waveform.tobytes() == own
    assert voice.say("hello there", seed=1, untuned=True).waveform.tobytes() != own
    assert voice.say("hello there", seed=1, pitch=330.0).waveform.tobytes() != own
    with pytest.raises(vtune.VoiceError, match="takes no 'pich' for one utterance"):
        voice.say("hello there", pich=330.0)


def test_a_voice_is_a_name_a_path_or_a_mix(someone: VoiceFolder, voice: vtune.Voice) -> None:
    expected = voice.say("hello").waveform
    assert np.array_equal(vtune.Voice.load(someone.path, device="cpu").say("hello").waveform, expected)
    mix = vtune.Voice.load("0.5*someone", voices=someone.path.parent, device="cpu")
    assert mix.name == "0.5*someone"
    assert mix.say("hello").sample_rate == 8000
    with pytest.raises(vtune.VoiceError, match="someone"):
        vtune.Voice.load("someon", voices=someone.path.parent)


def test_options_of_the_engine_change_with_loading(someone: VoiceFolder, voice: vtune.Voice) -> None:
    higher = vtune.Voice.load(someone.path, device="cpu", options={"pitch": 330.0})
    assert not np.array_equal(higher.say("hello").waveform, voice.say("hello").waveform)


def test_evaluate_scores_the_voice_beside_its_base(voice: vtune.Voice) -> None:
    evaluation = voice.evaluate(overrides={"evaluate.clips": 2, "evaluate.metrics": ["delivery"]})
    assert evaluation.scores.systems[:2] == ["voice", "base"]
    assert len(evaluation.scores.texts) == 2
    assert voice.evaluate(["hello there"]).scores.texts == ["hello there"]


def test_nothing_to_speak_is_one_line(voice: vtune.Voice) -> None:
    with pytest.raises(vtune.VoiceError, match="no letter and no digit"):
        voice.say("* * *")


def test_importing_vtune_imports_nothing_heavy() -> None:
    heavy = {"torch", "soundfile", "numpy", "pydantic", "vtune.engines"}
    code = f"import sys, vtune; print({heavy} & set(sys.modules) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "None"


def test_every_public_name_is_there() -> None:
    assert all(getattr(vtune, name) is not None for name in vtune.__all__)
    assert (vtune.run, vtune.Recipe, vtune.toolkit) == (python_api.run, recipe.Recipe, toolkit)
    with pytest.raises(AttributeError, match="no_such_name"):
        vtune.no_such_name  # noqa: B018


def test_the_example_of_the_readme_runs(
    toy_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipe of the toy engine replaces the reader's recipe."""
    section = README.read_text(encoding="utf-8").partition("## Use from Python")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.S)
    assert len([line for line in code.splitlines() if line.strip()]) == 6
    toy_recipe("jane.yaml", voice="jane", folders={"runs": "runs", "voices": "voices"})
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert soundfile.info(tmp_path / "hello.wav").duration > 0
