"""What vLLM would refuse when it loads an adapter is already reported when the adapter is exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig

from vtune.errors import VoiceError
from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.vllm_rules import LORA_RANKS, check_config, is_servable


def adapter(folder: Path, **changes: Any) -> VoiceFolder:
    LoraConfig(r=8, target_modules=["q_proj"]).save_pretrained(str(folder))
    made = VoiceFolder(folder)
    made.adapter_config.write_text(json.dumps({**json.loads(made.adapter_config.read_text()), **changes}))
    return made


def test_an_adapter_as_vtune_makes_them_is_served(tmp_path: Path) -> None:
    rules = check_config(adapter(tmp_path))
    assert rules["rank fits --max-lora-rank"] == "8 of 8"
    assert rules["scaling"] == "alpha / rank"
    assert "sqrt" in check_config(adapter(tmp_path, use_rslora=True))["scaling"]


@given(st.integers(1, 512), st.dictionaries(st.sampled_from("abc"), st.integers(1, 512)))
def test_the_rank_to_serve_with_is_the_smallest_that_holds_every_module(
    scratch: Path, rank: int, pattern: dict[str, int]
) -> None:
    result = check_config(adapter(scratch, r=rank, rank_pattern=pattern))
    largest, fits = map(int, result["rank fits --max-lora-rank"].split(" of "))
    assert largest == max(rank, *pattern.values(), 0)
    assert fits in LORA_RANKS
    assert largest <= fits
    assert not any(largest <= allowed < fits for allowed in LORA_RANKS)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"r": 1024}, "rank 1024, more than 512"),
        ({"rank_pattern": {"q_proj": 513}}, "rank 513"),
        ({"modules_to_save": ["lm_head", "embed_tokens"]}, "modules_to_save (lm_head, embed_tokens)"),
        ({"use_dora": True}, "DoRA"),
        ({"bias": "lora_only"}, "bias"),
        ({"lora_bias": True}, "lora_bias"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights pissa_niter_4"),
        ({"layer_replication": [[0, 4]]}, "layer_replication"),
        ({"peft_type": "IA3"}, "peft_type IA3"),
        ({"use_dora": True, "bias": "all", "r": 600}, "rank 600, more than 512, bias, DoRA"),
    ],
)
def test_what_vllm_does_not_know_is_named(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(VoiceError) as caught:
        check_config(adapter(tmp_path, **changes))
    assert f"adapter with {says}" in str(caught.value)
    assert str(caught.value).endswith("export it --to merged, which vLLM can serve")


@pytest.mark.parametrize("init", [True, False, "gaussian", "orthogonal", "EVA"])
def test_ways_to_begin_that_leave_the_base_alone_are_served(tmp_path: Path, init: object) -> None:
    assert check_config(adapter(tmp_path, init_lora_weights=init))


def test_servable_is_what_the_adapter_is(tmp_path: Path) -> None:
    assert not is_servable(VoiceFolder(tmp_path))  # fully fine-tuned: no adapter
    assert is_servable(adapter(tmp_path))
    assert not is_servable(adapter(tmp_path, use_dora=True))
    assert not is_servable(adapter(tmp_path, modules_to_save=["lm_head"]))
