"""``vtune export --to indextts``: what is written is loaded as index-tts and its fork load it, and imported again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml
from click.testing import CliRunner, Result
from indextts_fork import load_fork, merged_fork
from safetensors.torch import load_file

from vtune import load_recipe, pipeline
from vtune.runtime.paths import VoiceFolder
from vtune.testing import made_clip
from vtune.voice_format.record import read_conditioning
from vtune.voices.speech import open_voice
from vtune_cli.main import main
from vtune_indextts2.gpt.row_layout import make_row
from vtune_indextts2.training_rows import batch_rows

TEXT, CODES = [5, 9, 12, 7], [3, 200, 41, 17, 3, 90]
FIVE = ("spk_cond_emb", "style", "ref_mel", "prompt_condition", "emo_cond_emb")


@pytest.fixture(scope="module")
def trained(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], VoiceFolder]:
    """Train a voice with LoRA, or with every weight."""
    root = tmp_path_factory.mktemp("trained")
    (root / "clips").mkdir()
    for number in range(3):
        clip = made_clip(22_050, 0.7, number)
        soundfile.write(root / "clips" / f"{number}.wav", clip.waveform, clip.sample_rate)
        (root / "clips" / f"{number}.txt").write_text(f"this is sentence number {number}")
    made: dict[str, VoiceFolder] = {}

    def make(method: str) -> VoiceFolder:
        if method not in made:
            recipe = {
                "voice": method,
                "engine": "indextts2",
                "data": [{"source": str(root / "clips")}],
                "engine_options": {
                    "base_model": str(tiny), "normaliser": "basic", "max_codes": 20, "flow_steps": 2
                },
                "folders": {"runs": str(root / "runs"), "voices": str(root / "voices")},
                "lora": {"rank": 4, "alpha": 8},
                "train": {
                    "method": method, "epochs": 2, "learning_rate": {"lora": 1e-2, "full": 1e-4}[method], "warmup": 0,
                    "validation": 0,
                    "gradient_checkpointing": False,
                },
                "evaluate": {
                    "sentences": ["hello there"], "clips": 0, "checkpoint_sentences": 0, "metrics": ["delivery"],
                },
                "consent": {"person": "nobody", "statement": "synthesised"},
            }  # fmt: skip
            (root / f"{method}.yaml").write_text(yaml.safe_dump(recipe))
            (made[method],) = pipeline.run(load_recipe(root / f"{method}.yaml"))
        return made[method]

    return make


def settings(tiny: Path) -> list[str]:
    options = (f"base_model={tiny}", "normaliser=basic", "max_codes=20", "flow_steps=2")
    return [part for option in options for part in ("--set", option)]


def export(voice: VoiceFolder, out: Path) -> Result:
    return CliRunner().invoke(main, ["export", str(voice.path), str(out), "--to", "indextts"])


def own_logits(folder: VoiceFolder) -> torch.Tensor:
    voice = open_voice(folder, "cpu", "fp32")
    kept = voice.conditioning.tensors
    conditioning = torch.from_numpy(kept["condition"][0] + kept["emotion"])
    with torch.no_grad():
        batch = batch_rows([(conditioning, make_row(voice.base.config.gpt, TEXT, CODES))])
        logits: torch.Tensor = voice.model(**batch)["logits"]
    return logits


def fork_logits(network: Any, embeddings: Path) -> torch.Tensor:
    """Answer as the fork does: speaker and emotion from the stored features, by its own encoders."""
    five = torch.load(embeddings, weights_only=True)
    assert sorted(five) == sorted(FIVE)
    with torch.no_grad():
        logits: torch.Tensor = network.code_logits(
            network.conditioning(five["spk_cond_emb"], five["emo_cond_emb"]), TEXT, CODES
        )
    return logits


def test_the_fork_loads_the_adapter_and_the_merged_checkpoint(
    trained: Callable[[str], VoiceFolder], tiny: Path, tmp_path: Path
) -> None:
    voice = trained("lora")
    result = export(voice, tmp_path / "jane")
    assert result.exit_code == 0, result.output
    assert "--set mel_pos_offset=1" in result.output
    expected, embeddings = own_logits(voice), tmp_path / "jane/embeddings/speaker_embeddings.pt"
    for network in (
        load_fork(tiny, tmp_path / "jane/gpt.pth"),
        merged_fork(tiny, tmp_path / "jane/lora/final_checkpoint"),
    ):
        torch.testing.assert_close(fork_logits(network, embeddings), expected, atol=2e-5, rtol=1e-4)
    base = fork_logits(load_fork(tiny), embeddings)
    assert (base - expected).abs().max() > 1e-3
    card = (tmp_path / "jane/README.md").read_text()
    assert "numbers the positions of the codes 0, 2, 3, ..." in card
    assert (tmp_path / "jane/LICENCE-NOTE.md").is_file()


def test_every_name_in_the_adapters_settings_is_one_that_older_peft_knows(
    trained: Callable[[str], VoiceFolder], tmp_path: Path
) -> None:
    """Of PEFT 0.9 (March 2024); an unknown name is a TypeError there."""
    known = {
        "peft_type", "auto_mapping", "base_model_name_or_path", "revision", "task_type", "inference_mode", "r",
        "target_modules", "lora_alpha", "lora_dropout", "fan_in_fan_out", "bias", "use_rslora", "modules_to_save",
        "init_lora_weights", "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern",
        "megatron_config", "megatron_core", "loftq_config", "use_dora",
    }  # fmt: skip
    export(trained("lora"), tmp_path / "jane")
    assert json.loads((tmp_path / "jane/lora/final_checkpoint/adapter_config.json").read_text()).keys() <= known


def test_a_full_fine_tuning_is_exported_and_merged(
    trained: Callable[[str], VoiceFolder], tiny: Path, tmp_path: Path
) -> None:
    voice = trained("full")
    result = export(voice, tmp_path / "jane")
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "jane/lora").exists()
    expected = own_logits(voice)
    embeddings = tmp_path / "jane/embeddings/speaker_embeddings.pt"
    network = load_fork(tiny, tmp_path / "jane/gpt.pth")
    torch.testing.assert_close(fork_logits(network, embeddings), expected, atol=2e-5, rtol=1e-4)
    merged = CliRunner().invoke(main, ["merge", str(voice.path), str(tmp_path / "merged")])
    assert merged.exit_code == 0, merged.output
    network = load_fork(tmp_path / "merged")
    torch.testing.assert_close(fork_logits(network, embeddings), expected, atol=2e-5, rtol=1e-4)


def test_an_export_is_imported_again_to_the_same_voice(
    trained: Callable[[str], VoiceFolder], tiny: Path, tmp_path: Path
) -> None:
    voice = trained("lora")
    export(voice, tmp_path / "jane")
    arguments = ["import", str(tmp_path / "jane"), "--engine", "indextts2", "--voices", str(tmp_path / "voices")]
    options = [
        "--set",
        f"base_model={tiny}",
        "--set",
        "normaliser=basic",
        "--set",
        "max_codes=20",
        "--set",
        "flow_steps=2",
    ]
    result = CliRunner().invoke(main, [*arguments, *options])
    assert result.exit_code == 0, result.output
    before, after = (
        load_file(folder / "adapter_model.safetensors") for folder in (voice.path, tmp_path / "voices/jane")
    )
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    first, second = (
        read_conditioning(folder / "conditioning.safetensors").tensors
        for folder in (voice.path, tmp_path / "voices/jane")
    )
    for name in (*FIVE, "condition", "emotion"):
        np.testing.assert_allclose(first[name], second[name], atol=1e-6)
    # export.json names the base, so another base is refused.
    facts = json.loads((tmp_path / "jane/export.json").read_text())
    (tmp_path / "jane/export.json").write_text(json.dumps({**facts, "fingerprint": {"network": "0" * 16}}))
    refused = CliRunner().invoke(main, [*arguments, *options, "--name", "other"])
    assert refused.exit_code == 1
    assert "belongs to another base: network" in refused.output


def test_a_voice_of_changed_encoders_is_not_exported_as_another_speaker(
    speaker_folder: Callable[..., Path], tiny: Path, tmp_path: Path
) -> None:
    given = ["--engine", "indextts2", "--voices", str(tmp_path / "voices")]
    options = [
        "--set",
        f"base_model={tiny}",
        "--set",
        "normaliser=basic",
        "--set",
        "max_codes=20",
        "--set",
        "flow_steps=2",
    ]
    consent = ["--person", "nobody", "--statement", "synthesised"]
    assert CliRunner().invoke(main, ["import", str(speaker_folder("")), *given, *options, *consent]).exit_code == 0
    result = export(VoiceFolder(tmp_path / "voices/jane"), tmp_path / "out")
    assert result.exit_code == 1
    assert "has speaker latents that the encoders of its base do not give" in result.output
