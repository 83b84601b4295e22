"""IndexTTS2 in the real pipeline: recordings become voices that speak, resume after a stop, and are merged."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from click.testing import CliRunner
from indextts2_runs import Made, run_recipe, spoken
from safetensors.torch import load_file

from vtune import load_recipe, pipeline
from vtune.errors import VoiceError
from vtune.export.consent import CONSENT_SENTENCE
from vtune.export.export import export
from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.record import read_record
from vtune.voices.speech import open_voice
from vtune_cli.main import main
from vtune_indextts2.licence import DISCLAIMER

Run = Callable[..., list[VoiceFolder]]


@pytest.fixture(scope="module")
def run(speakers: Path, tiny: Path) -> Run:
    return partial(run_recipe, speakers, tiny)


@pytest.fixture(scope="module")
def made(made20: Made) -> Made:
    return made20


# What training leaves


def test_metrics_hold_both_losses_and_how_often_the_code_was_right(made: Made) -> None:
    lines = [line for line in made.metrics if "loss" in line]
    for line in lines:
        assert {"text_loss", "semantic_loss", "semantic_top1"} <= line.keys()
        assert 0 <= line["semantic_top1"] <= 1
        assert line["loss"] == pytest.approx(0.2 * line["text_loss"] + 0.8 * line["semantic_loss"], abs=1e-3)


def test_gradient_checkpointing_trains_to_the_same_adapter(made: Made, run: Run, tmp_path: Path) -> None:
    (folder,) = run(tmp_path, train={"gradient_checkpointing": False})
    unlike_run = Made(folder, tmp_path)
    assert [line["loss"] for line in unlike_run.metrics] == pytest.approx(
        [line["loss"] for line in made.metrics], abs=1e-4
    )
    for name, tensor in made.adapter.items():
        torch.testing.assert_close(unlike_run.adapter[name], tensor, rtol=0, atol=1e-3)


def test_what_lies_in_a_voice_folder(made: Made) -> None:
    folder = made.folder
    assert folder.adapter_config.is_file()
    assert folder.conditioning.is_file()
    assert {path.name for path in folder.samples.iterdir()} == {"01.wav", "01_base.wav"}
    suffixes = {path.suffix for path in folder.path.rglob("*") if path.is_file()}
    assert not suffixes & {".pt", ".pth", ".bin", ".pkl"}, "a voice is no pickle"
    record = read_record(folder)
    assert set(record.fingerprint) == {"network", "s2mel", "vocoder", "tokenizer", "config.yaml"}
    assert record.servable


def test_what_the_licence_asks_for_goes_with_the_voice(made: Made) -> None:
    """The sentence that the licence prescribes is, word for word, in every copy of the voice."""
    assert DISCLAIMER == (
        "Any modifications made to the original model in this Derivative Work are not endorsed, warranted, or "
        "guaranteed by the original right-holder of the original model, and the original right-holder disclaims all "
        "liability related to this Derivative Work."
    )
    note = (made.folder.path / "LICENCE-NOTE.md").read_text()
    assert DISCLAIMER in note
    assert "bilibili" in note
    assert "CC-BY-NC-4.0" in note
    card = made.folder.card.read_text()
    assert DISCLAIMER in card
    assert "LICENCE-NOTE.md" in card


# Speaking


def test_a_voice_speaks_the_same_whenever_it_is_loaded(made: Made) -> None:
    voice = open_voice(made.folder)
    first = spoken(voice, "hello there", seed=1)
    assert np.array_equal(first, spoken(open_voice(made.folder), "hello there", seed=1))
    assert not np.array_equal(first, spoken(voice, "hello there", seed=1, untuned=True))
    sample, rate = soundfile.read(made.folder.samples / "01.wav", dtype="float32")
    assert rate == 22_050
    np.testing.assert_allclose(sample, spoken(voice, "hello there", seed=0), atol=1 / 32768)


def say(made: Made, out: Path, *arguments: str) -> Any:
    voices = str(made.folder.path.parent)
    command = ["say", "someone", "Hello there. I am the miller.", "--out", str(out), "--voices", voices]
    return CliRunner().invoke(main, [*command, *arguments])


def test_options_are_set_from_the_command_line(made: Made, tmp_path: Path) -> None:
    result = say(made, tmp_path / "usual.wav")
    assert result.exit_code == 0, result.output
    changed = ["flow_steps=4", "temperature=0", "guidance=0", "emotion_weights=[0.5, 0, 0, 0, 0, 0, 0, 0.2]"]
    result = say(made, tmp_path / "changed.wav", *[part for option in changed for part in ("--set", option)])
    assert result.exit_code == 0, result.output
    sounds = [soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("usual", "changed")]
    assert min(map(len, sounds)) > 1000
    assert not np.array_equal(*sounds)


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("flow_step=4", "has no option 'flow_step'; did you mean 'flow_steps'?"),
        ("temperature=hot", "engine option 'temperature' must be a number, found 'hot'"),
        ("top_p=2", "engine option 'top_p' must be 1 or less, found 2"),
        ("language=jp", "engine option 'language': there is no language 'jp'"),
        ("emotion_weights=[0, 1]", "engine option 'emotion_weights.2' must not be missing, found [0, 1]"),
        ("reference_audio=nowhere.wav", "nowhere.wav"),
        ("base_model=./nowhere", "engine_options.base_model: there is no folder './nowhere'"),
    ],
)
def test_an_option_that_cannot_be_set_is_one_line(made: Made, tmp_path: Path, option: str, says: str) -> None:
    result = say(made, tmp_path / "out.wav", "--set", option)
    assert result.exit_code == 1
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


# Other ways to make a voice


def test_every_weight_may_be_trained(run: Run, tmp_path: Path) -> None:
    (folder,) = run(tmp_path, train={"method": "full", "learning_rate": 1e-3, "epochs": 1})
    assert read_record(folder).method == "full"
    assert (folder.path / "LICENCE-NOTE.md").is_file()
    assert not folder.adapter_config.exists()
    tuned, base = (spoken(open_voice(folder, untuned=untuned), "hello") for untuned in (False, True))
    assert not np.array_equal(tuned, base)


def test_two_voices_of_one_training_each_get_a_folder(run: Run, speakers: Path, tmp_path: Path) -> None:
    data = [{"source": str(speakers / name), "voice": name} for name in ("someone", "another")]
    folders = run(tmp_path, data=data, engine_options={"reference": "join"}, train={"epochs": 1})
    assert [folder.name for folder in folders] == ["someone", "another"]
    adapters, references, choices = [], [], []
    for folder in folders:
        voice = open_voice(folder)
        adapters.append(load_file(folder.path / "adapter_model.safetensors"))
        references.append(voice.conditioning.tensors["ref_mel"])
        choices.append(json.loads(voice.conditioning.strings["choice"]))
        assert len(spoken(voice, "hello"))
        assert (folder.path / "LICENCE-NOTE.md").is_file()
    assert all(torch.equal(adapters[0][name], tensor) for name, tensor in adapters[1].items())
    assert references[0].shape != references[1].shape
    candidates = [{entry["clip"] for entry in choice["scores"]} for choice in choices]
    assert (len(candidates[0]), len(candidates[1])) == (6, 4)
    assert not candidates[0] & candidates[1]


def test_an_engine_without_a_licence_note_writes_none(speakers: Path, tmp_path: Path) -> None:
    recipe = {
        "voice": "someone",
        "engine": "toy",
        "data": [{"source": str(speakers / "someone")}],
        "folders": {"runs": str(tmp_path / "runs"), "voices": str(tmp_path / "voices")},
        "train": {"epochs": 1, "learning_rate": 1e-2, "validation": 0},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (folder,) = pipeline.run(load_recipe(tmp_path / "recipe.yaml"))
    assert folder.card.is_file()
    assert not (folder.path / "LICENCE-NOTE.md").exists()


# Exports


def test_an_adapter_is_read_back_onto_the_network_that_only_this_engine_has(made: Made, tmp_path: Path) -> None:
    exported = export(made.folder, tmp_path / "out", "peft", without_consent=CONSENT_SENTENCE)
    assert exported.result.compared.difference == 0
    assert "plain transformers does not load" in exported.result.compared.how
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license_name: bilibili-model-use-licence\nlicense_link: LICENCE-NOTE.md" in card
    assert DISCLAIMER in (tmp_path / "out" / "LICENCE-NOTE.md").read_text()


def test_a_merged_checkpoint_is_read_back_by_this_engine(made: Made, tmp_path: Path) -> None:
    exported = export(made.folder, tmp_path / "out", "merged", without_consent=CONSENT_SENTENCE)
    assert exported.result.compared.how == "read back by the engine 'indextts2'"
    assert exported.result.compared.difference < 1e-4
    assert (tmp_path / "out" / "gpt.pth").is_file()


@pytest.mark.parametrize("target", ["gguf-ready", "vllm"])
def test_software_for_llamas_is_refused_in_one_line(made: Made, tmp_path: Path, target: str) -> None:
    with pytest.raises(VoiceError, match=r"engine 'indextts2': .*\(SemanticGPT\)") as caught:
        export(made.folder, tmp_path / "out", target, without_consent=CONSENT_SENTENCE)
    assert len(str(caught.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())
