"""The memory that the pages state for each GPU is what vtune plans for the published shapes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from vtune.engines import load_engine, load_recipe
from vtune.runtime.memory import GIB
from vtune.training.memory_estimate import of_method, stages

ROOT = Path(__file__).resolve().parents[1]
ORPHEUS = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 3072, "intermediate_size": 8192,
    "num_hidden_layers": 28, "num_attention_heads": 24, "num_key_value_heads": 8, "head_dim": 128,
    "vocab_size": 156_940, "tie_word_embeddings": True, "max_position_embeddings": 131_072,
}  # fmt: skip
TOKENS = {"orpheus": 1090, "indextts2": 847, "indextts25": 441}
"""Tokens of a clip of 13 s (82 a second, and the prompt), and of 15 s (50 or 25 codes and 4 pieces of text)."""


def planned(folder: Path, shape: str, *overrides: str, processes: int = 1) -> dict[str, float]:
    """Return the GiB on the GPU of each stage of a run with the engine's own recipe; weights have two bytes.

    :param shape: a key of ``TOKENS``: an engine, or a release of it.
    """
    engine_name = "indextts2" if shape.startswith("indextts2") else shape
    if engine_name == "orpheus":
        (folder / "config.json").write_text(json.dumps(ORPHEUS), encoding="utf-8")
    else:
        shutil.copy(ROOT / "benchmarks" / f"{shape}.yaml", folder / "config.yaml")
    settings = ["train.gradient_checkpointing=false", f"engine_options.base_model={folder}", *overrides]
    recipe = load_recipe(f"{engine_name}_character", settings)
    full = recipe.train.method == "full"
    engine = load_engine(engine_name)
    footprint = engine.footprint(recipe.engine_options, recipe.lora.settings(), 4 if full else 2, 2)
    assert footprint is not None
    tokens = int(recipe.train.batch_size) * TOKENS[shape]
    listed = stages(of_method(footprint, recipe.train.method), recipe, tokens, 13, on_gpu=True, processes=processes)
    return {stage.name: stage.device_bytes / GIB for stage in listed}


def numbers(page: str, beginning: str) -> list[float]:
    """Return the numbers with a decimal point of the table row that begins like this."""
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {beginning}")]
    return [float(number) for number in re.findall(r"\d+\.\d+", row)]


@pytest.mark.slow
def test_orpheus_takes_what_its_page_states(tmp_path: Path) -> None:
    plain = planned(tmp_path, "orpheus")
    two = planned(tmp_path, "orpheus", "train.batch_size=2")
    lean = planned(tmp_path, "orpheus", "train.gradient_checkpointing=true")
    four = planned(tmp_path, "orpheus", "train.gradient_checkpointing=true", "train.batch_size=4")
    assert numbers("orpheus.md", "24 GB") == pytest.approx([plain["training"], two["training"]], abs=0.06)
    assert numbers("orpheus.md", "16 GB") == pytest.approx([plain["training"]], abs=0.06)
    expected = [lean["training"], four["training"], lean["scoring checkpoints"]]
    assert numbers("orpheus.md", "10 to 12 GB") == pytest.approx(expected, abs=0.06)
    small = planned(tmp_path, "orpheus", "train.gradient_checkpointing=true", "engine_options.quantization=4bit")
    expected = [small["training"], small["scoring checkpoints"], small["speaking"]]
    assert numbers("orpheus.md", "6 GB") == pytest.approx(expected, abs=0.06)
    full = planned(tmp_path, "orpheus", "train.gradient_checkpointing=true", "train.method=full")
    assert (round(full["training"]), round(full["resuming"])) == (51, 74)
    text = (ROOT / "docs" / "how-to" / "clusters.md").read_text(encoding="utf-8")
    assert "51 GiB for 3.3 billion weights in all, and 74 GiB" in text
    settings = ["train.gradient_checkpointing=true", "train.method=full", "train.sharding=fsdp2"]
    for processes in (2, 4, 8):
        full = planned(tmp_path, "orpheus", *settings, processes=processes)
        stated = [full["loading"], full["training"], full["resuming"], full["scoring checkpoints"], full["speaking"]]
        assert numbers("clusters.md", f"{processes} GPUs") == pytest.approx(stated, abs=0.06)


def test_indextts2_takes_what_its_page_states(tmp_path: Path) -> None:
    plain = planned(tmp_path, "indextts2")
    four = planned(tmp_path, "indextts2", "train.batch_size=4")
    lean = planned(tmp_path, "indextts2", "train.gradient_checkpointing=true")
    assert numbers("indextts2.md", "encoding") == pytest.approx([plain["encoding"]], abs=0.06)
    expected = [plain["training"], four["training"], lean["training"]]
    assert numbers("indextts2.md", "training") == pytest.approx(expected, abs=0.06)
    assert numbers("indextts2.md", "speaking") == pytest.approx([plain["scoring checkpoints"]], abs=0.06)
    assert round(max(planned(tmp_path, "indextts2", "train.method=full").values())) == 12


def test_indextts25_takes_what_its_page_states(tmp_path: Path) -> None:
    plain = planned(tmp_path, "indextts25")
    four = planned(tmp_path, "indextts25", "train.batch_size=4")
    lean = planned(tmp_path, "indextts25", "train.gradient_checkpointing=true")
    expected = [
        plain["encoding"], plain["training"], four["training"], lean["training"], plain["scoring checkpoints"],
    ]  # fmt: skip
    own = numbers("indextts2.md", "IndexTTS-2.5")[1:]  # the first is its name
    assert own == pytest.approx(expected, abs=0.06)
    assert round(max(planned(tmp_path, "indextts25", "train.method=full").values())) == 15
    eight = planned(tmp_path, "indextts25", "train.batch_size=8")["training"]
    text = (ROOT / "docs" / "how-to" / "indextts2.md").read_text(encoding="utf-8")
    assert f"batches of 8 ({eight:.1f} GiB" in text
    assert "Full fine-tuning takes 15 GiB" in text
