"""``lora.arguments`` with Orpheus: the plan counts what is trained, the merge speaks as the voice, and the server
serves it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForCausalLM

import vtune
from vtune import load_recipe, pipeline
from vtune.export.export import export
from vtune.plan import make_plan
from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.record import read_record
from vtune.voices.speech import open_voice
from vtune_orpheus.base import OrpheusBase
from vtune_orpheus.memory_footprint import estimate
from vtune_orpheus.options import OrpheusOptions

PRESETS = {"all": ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")}


@pytest.mark.parametrize(
    "arguments",
    [
        {"use_dora": True},
        {"rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\..*": 7}, "use_dora": True},
        {"layers_to_transform": [0], "alpha_pattern": {"v_proj": 3}},
        {"exclude_modules": ["mlp.up_proj", "layers.1.self_attn.q_proj"]},
    ],
)
def test_the_footprint_counts_what_the_arguments_train(
    arguments: dict[str, Any], base: OrpheusBase, tiny: Path
) -> None:
    lora = vtune.LoraSettings(rank=4, alpha=8, arguments=arguments)
    model = vtune.attach_lora(base.new_network(), lora, PRESETS, task_type="CAUSAL_LM")
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    footprint = estimate(OrpheusOptions(base_model=str(tiny)), lora, 4, PRESETS)
    assert (footprint.trainable, footprint.tensors) == (sum(p.numel() for p in trained), len(trained))
    assert footprint.parameters == sum(p.numel() for p in model.parameters()) - footprint.trainable


def test_dora_needs_more_memory_than_lora(tiny: Path) -> None:
    options = OrpheusOptions(base_model=str(tiny))
    plain, dora = (
        estimate(options, vtune.LoraSettings(rank=4, arguments=arguments), 4, PRESETS)
        for arguments in ({}, {"use_dora": True})
    )
    assert dora.token_bytes > plain.token_bytes
    assert dora.token_bytes_checkpointed > plain.token_bytes_checkpointed
    assert dora.pass_bytes > plain.pass_bytes


@pytest.fixture(scope="module")
def recipe(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> vtune.Recipe:
    import soundfile

    from vtune.testing import made_clip

    root = tmp_path_factory.mktemp("dora")
    (root / "speech").mkdir()
    rows = [{"audio": f"{number}.wav", "text": f"sentence {number}"} for number in range(3)]
    for number, row in enumerate(rows):
        soundfile.write(root / "speech" / row["audio"], made_clip(24_000, 0.5, number).waveform, 24_000)
    (root / "speech" / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = {
        "voice": "dora",
        "engine": "orpheus",
        "engine_options": {"base_model": str(tiny), "max_new_tokens": 35},
        "data": [{"source": str(root / "speech")}],
        "folders": {"runs": str(root / "runs"), "voices": str(root / "voices")},
        "lora": {"rank": 4, "arguments": {"use_dora": True}},
        "train": {"max_steps": 2, "batch_size": 3, "learning_rate": 1e-2, "validation": 0, "warmup": 0},
        "evaluate": {"sentences": ["hello there"], "metrics": ["delivery"]},
        "consent": {"person": "A tone", "statement": "Tones need not be asked."},
    }
    (root / "recipe.yaml").write_text(yaml.safe_dump(settings))
    return load_recipe(root / "recipe.yaml")


@pytest.fixture(scope="module")
def dora(recipe: vtune.Recipe) -> VoiceFolder:
    (folder,) = pipeline.run(recipe)
    return folder


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    answer: torch.Tensor = model.eval()(input_ids=torch.arange(12)[None] + 7)["logits"].float()
    return answer


def test_a_dora_voice_is_planned_as_it_is_trained(recipe: vtune.Recipe, dora: VoiceFolder) -> None:
    footprint = make_plan(recipe).footprint
    assert footprint is not None
    model = open_voice(dora).model
    tensors = [parameter for name, parameter in model.named_parameters() if "lora_" in name]
    assert (footprint.tensors, footprint.trainable) == (len(tensors), sum(p.numel() for p in tensors))
    assert not read_record(dora).servable


def test_a_dora_voice_answers_as_its_merged_network(dora: VoiceFolder, tmp_path: Path) -> None:
    voice = open_voice(dora)
    beside = logits(voice.model)
    with voice.model.disable_adapter():  # type: ignore[operator]
        assert (logits(voice.model) - beside).abs().max() > 1e-3
    exported = export(dora, tmp_path / "merged", "merged", dtype="fp32")
    assert exported.result.compared.difference < 1e-3
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    torch.testing.assert_close(logits(merged), beside, atol=1e-4, rtol=1e-3)


def test_plain_peft_reads_a_dora_voice(dora: VoiceFolder, tiny: Path, tmp_path: Path) -> None:
    export(dora, tmp_path / "out", "peft")
    base = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, str(tmp_path / "out"))
    torch.testing.assert_close(logits(model), logits(open_voice(dora).model))


def test_voices_of_several_kinds_share_a_base(
    make_voice: Callable[..., VoiceFolder], tiny: Path, tmp_path: Path
) -> None:
    from vtune.serve.backend import SynthesisRequest
    from vtune.serve.registry import VoiceRegistry
    from vtune.serve.shared_base import SharedBase

    voices, options = tmp_path / "voices", {"base_model": str(tiny), "max_new_tokens": 35}
    shapes: dict[str, dict[str, Any]] = {
        "plain": {},
        "dora": {"arguments": {"use_dora": True}},
        "some": {"rslora": True, "arguments": {"rank_pattern": {"q_proj": 2}, "layers_to_transform": [1]}},
    }
    for seed, (name, lora) in enumerate(shapes.items()):
        make_voice(voices / name, "orpheus", lora=lora, seed=seed, engine_options=options)

    def request(name: str) -> SynthesisRequest:
        return SynthesisRequest(VoiceRegistry(voices, {}, {}, 8).find(name), "hello", seed=3)

    base = SharedBase(request("plain").voice, "cpu", {}, 4)
    names = ["plain", "dora", "some", "0.5*plain+0.5*some", "dora", "plain"]
    sounds = [np.concatenate([piece.waveform for piece in base.say(request(name))]) for name in names]
    assert np.array_equal(sounds[1], sounds[4])
    assert np.array_equal(sounds[0], sounds[5])
    assert len({sound.tobytes() for sound in sounds}) == 4
    streamed = base.engine.info.streaming_defaults
    alone = open_voice(VoiceFolder(voices / "dora"), "cpu", options=streamed)
    assert np.array_equal(sounds[1], np.concatenate([piece.waveform for piece in alone.stream("hello", 3)]))
