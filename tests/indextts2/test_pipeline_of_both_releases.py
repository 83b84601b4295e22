"""What the pipeline does with every release of IndexTTS2: training, resuming, merging."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from indextts2_runs import Made, run_recipe
from transformers import Trainer

from vtune.export.merge import merge_voice
from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.record import read_record
from vtune.voices.speech import open_voice
from vtune_cli.main import main
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.licence import DISCLAIMER
from vtune_indextts2.speaker_reference import speaker_of
from vtune_indextts2.speech import generate_codes

Run = Callable[..., list[VoiceFolder]]


@pytest.fixture(scope="module", params=["20", "25"])
def release(request: pytest.FixtureRequest) -> str:
    """Return the end of the names of a release's fixtures."""
    end: str = request.param
    return end


@pytest.fixture(scope="module")
def checkpoint(request: pytest.FixtureRequest, release: str) -> Path:
    folder: Path = request.getfixturevalue("tiny" if release == "20" else "tiny25")
    return folder


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest, release: str) -> Made:
    voice: Made = request.getfixturevalue(f"made{release}")
    return voice


@pytest.fixture(scope="module")
def run(speakers: Path, checkpoint: Path) -> Run:
    return partial(run_recipe, speakers, checkpoint)


@pytest.fixture(scope="module")
def merged(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merging") / "merged"
    assert merge_voice(made.folder, folder) < 1e-3
    return folder


def test_the_loss_falls_and_every_tensor_learns(made: Made) -> None:
    losses = [line["loss"] for line in made.metrics if "loss" in line]
    assert len(losses) == 6
    assert np.mean(losses[-2:]) < losses[0] - 0.1
    adapter = made.adapter
    assert len(adapter) == 2 * 2 * 4
    silent = [name for name, tensor in adapter.items() if not tensor.any()]
    assert not silent
    facts = read_record(made.folder).training
    assert facts["adapter_effect"] > 0
    assert facts["merge_difference"] < 1e-3


def test_a_run_that_was_stopped_goes_on_to_the_same_adapter(
    made: Made, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Three epochs of two steps, with a checkpoint in the middle of the second epoch; dropout and prompts of rows
    continue from there.
    """
    step = Trainer.training_step

    def stop(self: Trainer, *arguments: Any) -> Any:
        if self.state.global_step == 5:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    with caplog.at_level(logging.INFO):
        (folder,) = run(tmp_path)
    assert re.search("resuming from .*/checkpoint-3", caplog.text)
    again = Made(folder, tmp_path)
    assert again.adapter.keys() == made.adapter.keys()
    assert all(torch.equal(again.adapter[name], tensor) for name, tensor in made.adapter.items())
    assert [line["loss"] for line in again.metrics] == [line["loss"] for line in made.metrics]


# Merging


def test_a_merged_folder_is_a_checkpoint_of_the_official_layout(merged: Path, checkpoint: Path) -> None:
    before, after = ({str(p.relative_to(at)) for p in at.rglob("*") if p.is_file()} for at in (checkpoint, merged))
    assert after - before == {"LICENCE-NOTE.md"}
    assert not before - after
    assert DISCLAIMER in (merged / "LICENCE-NOTE.md").read_text()
    for name in before - {"gpt.pth"}:
        assert (merged / name).read_bytes() == (checkpoint / name).read_bytes(), name
    old, new = (torch.load(at / "gpt.pth", weights_only=True)["model"] for at in (checkpoint, merged))
    assert old.keys() == new.keys()
    differ = {name for name in old if not torch.equal(old[name], new[name])}
    assert differ == {
        f"gpt.h.{layer}.{module}.weight"
        for layer in range(2)
        for module in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    }


def test_a_merged_network_says_the_codes_that_the_adapter_says(
    made: Made, merged: Path, checkpoint: Path, make_base: Callable[..., IndexTTS2Base]
) -> None:
    voice = open_voice(made.folder, options={"temperature": 0, "max_codes": 60})
    base = make_base(base_model=str(merged), temperature=0, max_codes=60)
    network = base.new_network()

    def codes(base: IndexTTS2Base, network: Any, text: str) -> list[int]:
        tag = base.frontend.resolve(text, "auto", "en")
        ids = base.frontend.tokenize(text, tag)
        with torch.inference_mode():
            speaker = speaker_of(base, voice.conditioning, tag=tag)
            return generate_codes(base, network, speaker, ids, 1000, 0, base.options)[0]

    untuned = make_base(base_model=str(checkpoint), temperature=0, max_codes=60)
    differ = 0
    for text in ("hello there", "this is sentence number 3", "the river runs past the mill"):
        tuned = codes(voice.base, voice.model.get_base_model(), text)
        assert codes(base, network, text) == tuned
        differ += codes(untuned, untuned.new_network(), text) != tuned
    assert differ, "the adapter changes no code, so this test sees nothing"


def test_a_voice_does_not_speak_over_a_base_that_it_is_merged_into(made: Made, merged: Path, tmp_path: Path) -> None:
    command = ["say", "someone", "Hello.", "--out", str(tmp_path / "out.wav")]
    voices = ["--voices", str(made.folder.path.parent)]
    result = CliRunner().invoke(main, [*command, *voices, "--set", f"base_model={merged}"])
    assert result.exit_code == 1
    assert "was trained on another network than this base has" in result.stderr
    assert len(result.stderr.splitlines()) == 1
