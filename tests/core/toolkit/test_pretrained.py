"""Models of transformers are loaded without the Python code in their folders."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForCausalLM,
    AutoProcessor,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
)

from vtune import EngineError, VtuneError
from vtune.ingest.transcribe.hub_models import open_model
from vtune.serve.settings import VllmSettings
from vtune.serve.vllm.start import start
from vtune.toolkit import load_pretrained

CODE = ("configuration_evil", "modeling_evil", "tokenization_evil", "processing_evil", "feature_evil")
AUTO_MAP = {
    "AutoConfig": "configuration_evil.Config",
    "AutoModel": "modeling_evil.Model",
    "AutoModelForCausalLM": "modeling_evil.Model",
    "AutoModelForCTC": "modeling_evil.Model",
    "AutoModelForSpeechSeq2Seq": "modeling_evil.Model",
    "AutoTokenizer": ["tokenization_evil.Slow", "tokenization_evil.Fast"],
    "AutoProcessor": "processing_evil.Processor",
    "AutoFeatureExtractor": "feature_evil.Extractor",
}


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    """Save a plain small Llama."""
    shape = dict(vocab_size=32, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    folder = tmp_path / "llama"
    LlamaForCausalLM(LlamaConfig(**shape)).save_pretrained(folder)
    return folder


@pytest.fixture
def with_code(llama: Path) -> Callable[..., Path]:
    """Name Python code in every file of the Llama that may name some; the code writes a mark when it is executed."""

    def add(model_type: str = "llama") -> Path:
        for module in CODE:
            (llama / f"{module}.py").write_text(f"open({str(llama / 'ran')!r}, 'w').close()\n")
        (llama / "custom_generate").mkdir()
        (llama / "custom_generate" / "generate.py").write_text(f"open({str(llama / 'ran')!r}, 'w').close()\n")
        changed(llama, "config.json", model_type=model_type, auto_map=AUTO_MAP)
        for name in ("tokenizer_config.json", "processor_config.json", "preprocessor_config.json"):
            (llama / name).write_text(json.dumps({"auto_map": AUTO_MAP}))
        return llama

    return add


def changed(folder: Path, name: str, **settings: Any) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def refusal(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(VtuneError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 600
    return message


def test_a_known_kind_of_model_is_loaded_as_what_is_known(with_code, caplog) -> None:
    folder = with_code()
    with caplog.at_level(logging.INFO, "vtune"):
        config = load_pretrained(AutoConfig, folder)
        network = load_pretrained(AutoModelForCausalLM, folder)
    assert (type(config), type(network)) == (LlamaConfig, LlamaForCausalLM)
    assert not (folder / "ran").exists()
    assert "its own code (configuration_evil.py, feature_evil.py, modeling_evil.py" in caplog.text


@pytest.mark.parametrize("answer", ["y\n" * 20, ""], ids=["yes", "nothing"])
@pytest.mark.parametrize("kind", [AutoConfig, AutoModelForCausalLM, AutoProcessor, AutoFeatureExtractor])
def test_an_unknown_kind_of_model_is_refused_without_asking(kind, with_code, answer, monkeypatch, capsys) -> None:
    folder = with_code("evil")
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    message = refusal(load_pretrained, kind, folder)
    assert "cannot be loaded without its own code (configuration_evil.py, feature_evil.py, " in message
    assert capsys.readouterr().out == "", "it asked"
    assert not (folder / "ran").exists()


def test_transformers_by_itself_would_have_run_it(with_code, monkeypatch) -> None:
    # else the tests above would prove nothing
    folder = with_code("evil")
    monkeypatch.setattr("builtins.input", lambda prompt: "y")
    with pytest.raises(AttributeError):  # the module has no class of that name, but it has been imported
        AutoConfig.from_pretrained(folder)
    assert (folder / "ran").exists()


def test_a_tokenizer_brings_no_code(with_code, monkeypatch) -> None:
    folder = with_code("evil")
    monkeypatch.setattr("builtins.input", lambda prompt: "y")
    with suppress(EngineError):  # transformers may find that it knows the tokenizer's files
        load_pretrained(AutoTokenizer, folder)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("name", ["attn_implementation", "_attn_implementation", "experts_implementation"])
@pytest.mark.parametrize(
    "value", ["stranger/kernel", "stranger/kernel@main:forward", {"": "a/b"}, {"text_config": "a/b"}]
)
def test_attention_that_is_code_on_the_hub_is_refused(llama, name, value) -> None:
    changed(llama, "config.json", **{name: value})
    message = refusal(load_pretrained, AutoModelForCausalLM, llama)
    assert f"asks for code from the Hub ({name}: " in message


def test_attention_of_a_part_is_looked_at_too(llama) -> None:
    changed(llama, "config.json", text_config={"deep": {"attn_implementation": "stranger/kernel"}})
    assert "asks for code from the Hub" in refusal(load_pretrained, AutoConfig, llama)


@pytest.mark.parametrize("value", ["sdpa", "eager", None])
def test_attention_that_is_here_is_taken(llama, value) -> None:
    changed(llama, "config.json", attn_implementation=value)
    assert isinstance(load_pretrained(AutoModelForCausalLM, llama), LlamaForCausalLM)


class Code:
    """An object whose pickle executes code when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_weights_that_are_a_pickle_run_nothing(llama, tmp_path) -> None:
    (llama / "model.safetensors").unlink()
    torch.save({"lm_head.weight": Code(tmp_path / "ran")}, llama / "pytorch_model.bin")
    message = refusal(load_pretrained, AutoModelForCausalLM, llama)
    refused = "damaged, or they hold more than tensors, and vtune runs no code; use safetensors files"
    assert message == f"{llama}: its weights are {refused}"
    assert not (tmp_path / "ran").exists()


def test_a_recogniser_of_the_hub_runs_nothing(with_code) -> None:
    folder = with_code("evil")
    assert "configuration_evil.py" in refusal(open_model, str(folder), "en", torch.device("cpu"))
    assert not (folder / "ran").exists()


def test_vllm_is_not_started_on_a_base_with_code(with_code) -> None:
    folder = with_code("evil")
    assert "configuration_evil.py" in refusal(start, str(folder), 8, VllmSettings(command=sys.executable))
    assert not (folder / "ran").exists()


def test_nothing_in_the_project_loads_a_model_by_another_way() -> None:
    root = Path(__file__).resolve().parents[3]
    loads = "from_pretrained(|torch.load(|pickle.load|np.load(|trust_remote_code|yaml.load(|import_module("
    result = {
        f"{path.name}: {line.strip()}"
        for part in ("core", "cli", "plugins")
        for path in (root / part).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if any(word in line for word in loads.split("|"))
        and not ("torch.load(" in line and "weights_only=True" in line)
        and not line.strip().startswith(('f"', '"'))
    }
    assert result == {
        "hub.py: loaded = kind.from_pretrained(name, trust_remote_code=False, **settings)",
        # an adapter that vtune has just written there
        "peft.py: model = PeftModel.from_pretrained(fresh.to(source.device), str(directory))",
        "export_target.py: adapted = PeftModel.from_pretrained("
        "base.new_network().float(), str(directory / LORA_FOLDER))",
        # from another rank of the same launch, by torch's own store, as torch's collectives do
        "rank_store.py: return pickle.loads(data)",
        # registries, by the names of vtune's own packages
        "registry.py: for module in pkgutil.iter_modules(import_module(package).__path__):",
        "registry.py: entry = getattr(import_module(dotted), attribute, None)",
        # the public names of vtune itself, imported at their first use
        '__init__.py: members = vars(import_module(f"vtune.{module}"))',
        '__init__.py: return import_module(f"vtune.{name}")',
        # packages of the project's dependencies, by names in `vtune check`
        "steps.py: importlib.import_module(module)",
        # the verbs of the command line, by a name in a table
        'main.py: command: click.Command = getattr(importlib.import_module(f"vtune_cli.{module}"), module)',
        'engine.py: module = importlib.import_module(f"vtune_cli.engine_{cmd_name}")',
        # what the conformance kit has just written there for its second process; NumPy refuses pickles by default
        'second_process.py: with np.load(folder / "clips.npz") as file:',
        'second_process.py: with np.load(folder / "made.npz") as file:',
    }
