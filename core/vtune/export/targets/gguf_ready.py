"""``--to gguf-ready``: a merged folder that llama.cpp's ``convert_hf_to_gguf.py`` takes.

What the converter asks of a folder was read in its source (llama.cpp of October 2026) and is checked here rule by rule.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.errors import VoiceError
from vtune.export.network_class import is_llama, network_of
from vtune.export.result import ExportResult
from vtune.export.target import FolderTarget
from vtune.export.targets import merged
from vtune.runtime.untrusted import MAX_TOKENIZER_BYTES, read_json_object, read_tensor_header

if TYPE_CHECKING:
    from vtune.export.source import ExportSource

DTYPES = {"bf16": "BF16", "fp16": "F16"}
"""Formats as users and as safetensors name them."""

QUANTISED = "Q4_K_M"
ROPE_CONTEXT = 8192
"""What the converter takes as Llama 3's original context, where it should read it from the configuration."""

TABLE, HEAD = "model.embed_tokens.weight", "lm_head.weight"
_LAYER = (
    "input_layernorm", "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
)  # fmt: skip


def _write(source: ExportSource, directory: Path, destination: Path, dtype: str | None) -> ExportResult:
    """Merge, write, read back, and hold the folder to the converter's rules.

    :raises VoiceError: the network is no llama, or a rule is broken.
    """
    from vtune.export.card import Form

    network = network_of(source.voice.model)
    if not is_llama(network):
        raise VoiceError(
            f"engine {source.engine.name!r}: its network ({type(network).__name__}) is no llama of transformers', so "
            "llama.cpp's converter does not take it; export it --to merged or --to peft"
        )
    dtype = dtype or "bf16"
    compared = merged.write_merged_network(source, directory, dtype)
    rules = check(directory)
    commands = _commands(str(destination), destination.resolve().name, dtype)
    use = "```sh\n" + "\n".join(_commands(destination.name, destination.resolve().name, dtype)) + "\n```"
    return ExportResult(
        Form("One merged model, for llama.cpp's converter", "finetune", "transformers", use, merged.VOICE_FILES),
        compared,
        dtype,
        rules=rules,
        commands=commands,
        notes=_notes(directory),
    )


def check(directory: Path) -> dict[str, str]:
    """Return the converter's rules with what was found. :raises VoiceError: names every broken rule."""
    config = read_json_object(directory / "config.json")
    tensors = _tensors(directory)
    architectures, theta = config.get("architectures"), config.get("rope_theta")
    rope = config.get("rope_parameters") or {}
    positions = rope.get("rope_type", "default")
    context = rope.get("original_max_position_embeddings") if positions == "llama3" else None
    formats = sorted({kind for kind, shape in tensors.values() if len(shape) > 1})
    strange = sorted(tensors.keys() ^ _expected(config))
    rows = sorted({tensors[name][1][0] for name in (TABLE, HEAD) if name in tensors})
    highest, vocabulary = _highest_id(directory), config.get("vocab_size", 0)
    others = sorted(path.name for path in directory.iterdir() if path.suffix in {".bin", ".model", ".gguf"})
    rules: list[tuple[str, bool, Any]] = [
        ("architecture is LlamaForCausalLM", architectures == ["LlamaForCausalLM"], architectures),
        ("weights are of one format of two bytes", formats in [[kind] for kind in DTYPES.values()], formats),
        ("tensors are a llama's, with a head only where it is not tied", not strange, strange[:4] or "all"),
        ("rows of the table are config's vocab_size", rows == [vocabulary], rows),
        ("every id of the tokenizer has a row", highest < vocabulary, f"highest id {highest}"),
        ("rope_theta is written where older readers look", theta == rope.get("rope_theta"), theta),
        ("positions are of a kind that it reads", positions in ("default", "linear", "yarn", "llama3"), positions),
        (
            f"llama3's positions are scaled from {ROPE_CONTEXT}",
            positions != "llama3" or context == ROPE_CONTEXT,
            context,
        ),
        ("no other weights or tokenizer that would be taken instead", not others, others or "none"),
    ]
    values = {name: ", ".join(map(str, value)) if isinstance(value, list) else str(value) for name, _, value in rules}
    broken = [f"{name}: found {values[name]}" for name, holds, _ in rules if not holds]
    if broken:
        raise VoiceError(f"llama.cpp's converter would not take the folder: {'; '.join(broken)}; nothing was kept")
    return values


def _tensors(directory: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    headers = [read_tensor_header(path)[0] for path in sorted(directory.glob("model*.safetensors"))]
    return {name: (info.dtype, info.shape) for header in headers for name, info in header.items()}


def _expected(config: Mapping[str, Any]) -> set[str]:
    layers = {
        f"model.layers.{number}.{name}.weight" for number in range(config["num_hidden_layers"]) for name in _LAYER
    }
    return {TABLE, "model.norm.weight", *layers, *([] if config.get("tie_word_embeddings") else [HEAD])}


def _highest_id(directory: Path) -> int:
    tokenizer = _tokenizer(directory)
    added = (token["id"] for token in tokenizer.get("added_tokens", []))
    return int(max([*tokenizer["model"]["vocab"].values(), *added]))


def _tokenizer(directory: Path) -> dict[str, Any]:
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise VoiceError("the checkpoint has no tokenizer.json, which llama.cpp's converter reads; nothing was kept")
    tokenizer = read_json_object(path, MAX_TOKENIZER_BYTES)
    if tokenizer["model"]["type"] != "BPE":
        raise VoiceError(f"tokenizer.json is {tokenizer['model']['type']}, not BPE as a llama's is; nothing was kept")
    return tokenizer


def _notes(directory: Path) -> list[str]:
    notes = ["llama.cpp gives tokens; the codec that makes sound of them is no part of the GGUF"]
    # By this the converter tells Llama 3's tokenizer; others it knows by a hash of how they split a text.
    if not _tokenizer(directory)["model"].get("ignore_merges"):
        notes.append(
            "its tokenizer is not Llama 3's, so the converter may stop at 'BPE pre-tokenizer was not recognized'"
        )
    return notes


def _commands(folder: str, name: str, dtype: str) -> list[str]:
    outtype = DTYPES[dtype].lower()
    full_file, small = f"{name}-{outtype}.gguf", f"{name}-{QUANTISED}.gguf"
    return [
        shlex.join(["python", "convert_hf_to_gguf.py", folder, "--outfile", full_file, "--outtype", outtype]),
        shlex.join(["llama-quantize", full_file, small, QUANTISED]),
        shlex.join(["llama-server", "--model", small, "--ctx-size", "8192", "--special"]),
    ]


TARGET = FolderTarget(
    "gguf-ready",
    "a merged folder for llama.cpp's converter",
    tuple(DTYPES),
    merged.require_merging,
    _write,
    merges=True,
)
