from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoConfig, LlamaConfig

from vtune.export.transformers4 import write_for_older_readers

LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500_000.0, "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}  # fmt: skip


@pytest.mark.parametrize("rope", [{"rope_type": "default", "rope_theta": 500_000.0}, LLAMA3])
def test_positions_are_said_twice_and_read_once(rope: dict[str, object], tmp_path: Path) -> None:
    LlamaConfig(rope_parameters=dict(rope), max_position_embeddings=131_072).save_pretrained(tmp_path)
    before = AutoConfig.from_pretrained(tmp_path).to_dict()
    write_for_older_readers(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["rope_theta"] == 500_000.0
    scaling = {name: value for name, value in rope.items() if name != "rope_theta"}
    assert written["rope_scaling"] == (None if rope["rope_type"] == "default" else scaling)
    # What reads the newer names reads the same as before.
    after = AutoConfig.from_pretrained(tmp_path).to_dict()
    assert after["rope_parameters"] == before["rope_parameters"] == rope


def test_names_of_the_time_alone_are_enough(tmp_path: Path) -> None:
    """The older names alone mean the same positions."""
    LlamaConfig(rope_parameters=dict(LLAMA3), max_position_embeddings=131_072).save_pretrained(tmp_path)
    write_for_older_readers(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["rope_parameters"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert AutoConfig.from_pretrained(tmp_path).rope_parameters == LLAMA3


def test_the_tokenizer_is_called_as_both_generations_call_it(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer_config.json"
    path.write_text(
        json.dumps({"tokenizer_class": "TokenizersBackend", "extra_special_tokens": ["<a>"], "eos_token": "x"})
    )
    write_for_older_readers(tmp_path)
    assert json.loads(path.read_text()) == {
        "tokenizer_class": "PreTrainedTokenizerFast", "additional_special_tokens": ["<a>"], "eos_token": "x",
    }  # fmt: skip


def test_what_is_not_in_question_stays(tmp_path: Path) -> None:
    for name, content in {
        "config.json": {"a": 1},
        "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer"},
    }.items():
        (tmp_path / name).write_text(json.dumps(content))
        write_for_older_readers(tmp_path)
        assert json.loads((tmp_path / name).read_text()) == content
