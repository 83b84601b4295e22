"""Orpheus for other software: plain PEFT and transformers, llama.cpp's converter, vLLM."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
import yaml
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from vtune import load_recipe, pipeline
from vtune.engines import Engine
from vtune.errors import VoiceError
from vtune.export.export import export
from vtune.export.targets import gguf_ready, merged
from vtune.runtime.paths import VoiceFolder, write_json
from vtune.testing import made_clip
from vtune.voice_format.record import read_record
from vtune.voices.speech import open_voice
from vtune_orpheus.prompts import prompt_ids


@pytest.fixture(scope="module")
def make_voice(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., VoiceFolder]:
    root = tmp_path_factory.mktemp("made")
    (root / "speech").mkdir()
    with (root / "speech/transcripts.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["filename", "text"])
        for number in range(4):
            clip = made_clip(24_000, 0.5, number)
            soundfile.write(root / "speech" / f"{number}.wav", clip.waveform, 24_000)
            table.writerow([f"{number}.wav", f"this is sentence number {number}"])

    def make(name: str, **lora: Any) -> VoiceFolder:
        recipe = {
            "voice": name,
            "engine": "orpheus",
            "engine_options": {"base_model": str(tiny), "max_new_tokens": 35},
            "data": [{"source": str(root / "speech")}],
            "folders": {"runs": str(root / "runs"), "voices": str(root / "voices")},
            "lora": {"rank": 8, "alpha": 16, **lora},
            "train": {"max_steps": 2, "batch_size": 4, "learning_rate": 1e-2, "validation": 0, "warmup": 0},
            "evaluate": {"sentences": ["hello there", "one more line"], "metrics": ["delivery"]},
            "consent": {"person": "A tone", "statement": "Tones need not be asked."},
        }
        (root / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
        (folder,) = pipeline.run(load_recipe(root / f"{name}.yaml"))
        return folder

    return make


@pytest.fixture(scope="module")
def voice(make_voice: Callable[..., VoiceFolder]) -> VoiceFolder:
    return make_voice("anna")


@pytest.fixture(scope="module")
def untied(make_voice: Callable[..., VoiceFolder]) -> VoiceFolder:
    """Return a network whose head was trained in full, as the official script does, and no longer shares the embedding
    table.
    """
    return make_voice("untied", modules_to_save=["lm_head"], targets=["attention"])


@pytest.fixture(scope="module")
def ready(voice: VoiceFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ready") / "anna"
    export(voice, folder, "gguf-ready")
    return folder


def prompt(voice: VoiceFolder) -> torch.Tensor:
    base = open_voice(voice).base
    return torch.tensor([prompt_ids(base.tokenizer, base.layout, f"{voice.name}: hello there")])


@torch.no_grad()
def logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = model.eval()(input_ids=ids)["logits"].float()
    return result


# Plain PEFT


def test_plain_peft_loads_what_the_adapter_names(voice: VoiceFolder, tiny: Path, tmp_path: Path) -> None:
    exported = export(voice, tmp_path / "out", "peft")
    config = json.loads((tmp_path / "out/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny)
    base = AutoModelForCausalLM.from_pretrained(config["base_model_name_or_path"], dtype=torch.float32)
    model = PeftModel.from_pretrained(base, str(tmp_path / "out"))
    ids = prompt(voice)
    torch.testing.assert_close(logits(model, ids), logits(open_voice(voice).model, ids))
    assert exported.result.compared.how == "read back by plain transformers and PEFT"
    assert any("is a folder of this machine" in note for note in exported.result.notes)


def test_a_relative_base_is_named_from_the_root(
    voice: VoiceFolder, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.parent)
    export(voice, tmp_path / "out", "peft", options={"base_model": tiny.name})
    config = json.loads((tmp_path / "out/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny)
    # What was changed for the export is true of what was exported.
    assert read_record(VoiceFolder(tmp_path / "out")).engine_options["base_model"] == tiny.name
    assert f"(base `{tiny.name}`)" in (tmp_path / "out/README.md").read_text()


# Merged


@pytest.mark.parametrize("dtype", [None, "bf16", "fp16", "fp32"])
def test_plain_transformers_loads_a_merged_model(voice: VoiceFolder, tmp_path: Path, dtype: str | None) -> None:
    exported = export(voice, tmp_path / "out", "merged", dtype=dtype)
    kind = {"fp32": torch.float32, "fp16": torch.float16}.get(str(dtype), torch.bfloat16)
    assert {tensor.dtype for tensor in load_file(tmp_path / "out/model.safetensors").values()} == {kind}
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").dtype == kind
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    ids = prompt(voice)
    expected = logits(open_voice(voice).model, ids)
    difference = (logits(model, ids) - expected).abs().max() / expected.abs().max()
    assert difference < (1e-5 if dtype == "fp32" else 1e-2)
    # Rounding shows in the number that is written down, so it was taken from the file and not from memory.
    assert (exported.result.compared.difference < 1e-5) == (dtype == "fp32")
    words = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert words.get_vocab() == open_voice(voice).base.tokenizer.get_vocab()


def test_a_merged_model_is_a_base_for_this_engine(voice: VoiceFolder, tmp_path: Path, make_base: Any) -> None:
    export(voice, tmp_path / "out", "merged")
    assert make_base(base_model=str(tmp_path / "out")).fingerprint() == make_base().fingerprint()
    # Nothing of vtune's lies where loaders look for weights.
    assert [path.name for path in (tmp_path / "out").glob("*.safetensors")] == ["model.safetensors"]


def test_weights_out_of_reach_of_a_format_are_refused(
    voice: VoiceFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In fp16 a large weight becomes infinite, and then every answer is infinite or not a number, so no difference can
    be computed.
    """
    honest = merged.merged_network

    def scaled(model: Any) -> Any:
        network = honest(model)
        with torch.no_grad():  # what one halves, the other doubles
            network.model.layers[0].mlp.up_proj.weight *= 2**21
            network.model.layers[0].mlp.down_proj.weight *= 2**-21
        return network

    monkeypatch.setattr(merged, "merged_network", scaled)
    with pytest.raises(VoiceError, match="answers differently from the voice: by nan"):
        export(voice, tmp_path / "half", "merged", dtype="fp16")
    export(voice, tmp_path / "brain", "merged", dtype="bf16")
    assert [path.name for path in tmp_path.iterdir()] == ["brain"]


def test_another_tokenizer_in_the_folder_is_refused(
    voice: VoiceFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Engine.save_merged

    def swap(self: Engine, base: Any, network: Any, directory: Path) -> list[Path]:
        written = honest(self, base, network, directory)
        path = directory / "tokenizer.json"
        tokenizer = json.loads(path.read_text())
        vocabulary = tokenizer["model"]["vocab"]
        vocabulary["h"], vocabulary["e"] = vocabulary["e"], vocabulary["h"]
        path.write_text(json.dumps(tokenizer))
        return written

    monkeypatch.setattr(Engine, "save_merged", swap)
    with pytest.raises(VoiceError, match=r"encodes 'hello there' differently \(input_ids"):
        export(voice, tmp_path / "out", "merged")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", ["merged", "gguf-ready"])
def test_a_head_of_its_own_stays_one(untied: VoiceFolder, tmp_path: Path, target: str) -> None:
    export(untied, tmp_path / "out", target)
    assert json.loads((tmp_path / "out/config.json").read_text())["tie_word_embeddings"] is False
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    assert not torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)
    ids = prompt(untied)
    expected = logits(open_voice(untied).model, ids)
    assert (logits(model, ids) - expected).abs().max() / expected.abs().max() < 1e-2


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_an_adapter_on_shared_weights_changes_one_end_of_them(tiny: Path, target: str) -> None:
    """Merging adds to weights in place: if table and head share their weights, both would change."""
    network = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    model = get_peft_model(network, LoraConfig(r=4, target_modules=["q_proj", target], task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1)
    ids = torch.randint(0, 400, (1, 12))
    before = logits(model, ids)
    folded = merged.merged_network(model)
    torch.testing.assert_close(logits(folded, ids), before, atol=1e-5, rtol=1e-4)
    assert folded.config.tie_word_embeddings is False


# llama.cpp


def test_the_converter_finds_every_tensor_and_a_row_for_every_token(ready: Path, voice: VoiceFolder) -> None:
    config = json.loads((ready / "config.json").read_text())
    tensors = load_file(ready / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values() if tensor.dim() > 1} == {torch.bfloat16}
    assert config["tie_word_embeddings"] is True
    assert "lm_head.weight" not in tensors
    tokenizer = AutoTokenizer.from_pretrained(ready)
    assert max(tokenizer.get_vocab().values()) < config["vocab_size"] == len(tensors["model.embed_tokens.weight"])
    gguf = pytest.importorskip("gguf", reason="gguf is not installed")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    mapped = {name: names.get_name(name, try_suffixes=(".weight", ".bias")) for name in tensors}
    assert None not in mapped.values()
    assert len(set(mapped.values())) == len(tensors)
    assert sorted(gguf.Metadata.load(None, ready).tags)[:2] == ["lora", "orpheus"]  # it reads the card, too


def test_commands_name_the_folder_and_go_on_from_each_other(ready: Path, voice: VoiceFolder) -> None:
    commands = json.loads((ready / "export.json").read_text())["commands"]
    convert, quantise, serve = map(shlex.split, commands)
    assert convert[:3] == ["python", "convert_hf_to_gguf.py", str(ready)]
    assert convert[convert.index("--outtype") + 1] == "bf16"
    full_file = convert[convert.index("--outfile") + 1]
    assert quantise[:2] == ["llama-quantize", full_file]
    assert serve[:3] == ["llama-server", "--model", quantise[2]]


def test_a_tokenizer_that_is_not_llama_3s_is_noted(ready: Path) -> None:
    notes = json.loads((ready / "export.json").read_text())["notes"]
    assert any("pre-tokenizer was not recognized" in note for note in notes)


def _config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        write_json(folder / "config.json", {**config, **changes})

    return change


def _tensors(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        path = folder / "model.safetensors"
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- not a dict
        save_file(change(tensors), str(path))

    return rewrite


def _added_token(folder: Path) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][-1], "id": 496, "content": "<new>"})
    path.write_text(json.dumps(tokenizer))


TABLE = "model.embed_tokens.weight"


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (_config(architectures=["MistralForCausalLM"]), "architecture is LlamaForCausalLM"),
        (_config(vocab_size=500), "rows of the table are config's vocab_size: found 496"),
        (_config(tie_word_embeddings=False), "with a head only where it is not tied: found lm_head.weight"),
        (_config(num_hidden_layers=3), "model.layers.2.input_layernorm.weight"),
        (_config(rope_theta=10_000.0), "rope_theta is written where older readers look: found 10000.0"),
        (
            _config(
                rope_parameters={
                    "rope_type": "llama3",
                    "rope_theta": 500_000.0,
                    "original_max_position_embeddings": 4096,
                }
            ),
            "positions are scaled from 8192: found 4096",
        ),
        (
            _config(rope_parameters={"rope_type": "dynamic", "rope_theta": 500_000.0, "factor": 2.0}),
            "positions are of a kind that it reads: found dynamic",
        ),
        (_tensors(lambda result: {**result, "lm_head.weight": result[TABLE].clone()}), "found lm_head.weight"),
        (_tensors(lambda result: {**result, TABLE: result[TABLE].float()}), "one format of two bytes: found BF16, F32"),
        (_tensors(lambda result: {**result, "model.layers.0.extra": torch.zeros(2)}), "model.layers.0.extra"),
        (_added_token, "every id of the tokenizer has a row: found highest id 496"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer.json"),
        (lambda folder: (folder / "tokenizer.model").write_bytes(b""), "found tokenizer.model"),
    ],
)
def test_each_rule_of_the_converter_is_looked_at(
    ready: Path, tmp_path: Path, harm: Callable[[Path], None], says: str
) -> None:
    folder = Path(shutil.copytree(ready, tmp_path / "copy"))
    assert gguf_ready.check(folder)
    harm(folder)
    with pytest.raises(VoiceError) as caught:
        gguf_ready.check(folder)
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


# vLLM


def test_vllm_is_told_the_base_that_the_adapter_names(voice: VoiceFolder, tiny: Path, tmp_path: Path) -> None:
    """vLLM's resolver accepts an adapter only if both names are the same text."""
    exported = export(voice, tmp_path / "my_anna", "vllm")
    named, resolved = exported.result.commands
    words = shlex.split(named)
    assert words[:3] == ["vllm", "serve", str(tiny)]
    assert words[3:] == [
        "--enable-lora", "--max-lora-rank", "8", "--lora-modules", f"my_anna={tmp_path / 'my_anna'}",
    ]  # fmt: skip
    config = json.loads((tmp_path / "my_anna/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == words[2]
    assert f"VLLM_LORA_RESOLVER_CACHE_DIR={tmp_path}" in resolved
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" in resolved
    assert exported.result.rules["rank fits --max-lora-rank"] == "8 of 8"
    targets = exported.result.rules["targets are modules that vLLM adapts"].split(", ")
    assert sorted(config["target_modules"]) == targets


def test_what_vllm_refuses_is_refused_before_anything_is_loaded(
    untied: VoiceFolder, voice: VoiceFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vtune.export.export.open_export_source", lambda *_: pytest.fail("it loads the base"))
    with pytest.raises(VoiceError, match=r"adapter with modules_to_save \(lm_head\); export it --to merged"):
        export(untied, tmp_path / "out", "vllm")
    with pytest.raises(VoiceError, match="calls a model by its folder's name"):
        export(voice, tmp_path / "a name", "vllm")
