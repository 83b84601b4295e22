"""A network that is run token by token gives the answers that transformers and PEFT give for the whole row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from vtune_orpheus.base import OrpheusBase
from vtune_orpheus.llama_stepper import CACHE_GROWTH_POSITIONS, LlamaStepper
from vtune_orpheus.steppers import TokenStepper, TransformersStepper, make_stepper

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def adapted(base: OrpheusBase, **settings: Any) -> PeftModel:
    """Return the network with an adapter that changes its answers."""
    model = get_peft_model(
        base.new_network(), LoraConfig(**{"r": 3, "lora_alpha": 5, "target_modules": ALL, **settings})
    )
    wake(model)
    return model.eval()


def wake(model: PeftModel, seed: int = 0) -> None:
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.2)


def row(length: int, seed: int = 0) -> list[int]:
    return torch.randint(0, 200, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def whole(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids]))["logits"][0, -1].float()


def check(steps: TokenStepper, model: Any, ids: list[int], prompt: int, tolerance: float = 1e-5) -> None:
    """Check that all logits, and a part of them, equal those of the row up to each position."""
    vocabulary = model.config.vocab_size
    steps.add(ids[:prompt])
    for index in range(prompt, len(ids) + 1):
        expected = whole(model, ids[:index])
        torch.testing.assert_close(steps.logits(range(vocabulary))[0], expected, atol=tolerance, rtol=tolerance)
        torch.testing.assert_close(steps.logits(range(40, 47))[0], expected[40:47], atol=tolerance, rtol=tolerance)
        if index < len(ids):
            steps.step([ids[index]])


@pytest.mark.parametrize(
    "settings",
    [{}, {"use_rslora": True}, {"target_modules": ["q_proj", "lm_head"]}, {"lora_dropout": 0.5, "r": 4}],
)
def test_a_llama_with_an_adapter_is_stepped_without_wrappers(base: OrpheusBase, settings: dict[str, Any]) -> None:
    model = adapted(base, **settings)
    steps = make_stepper(model)
    assert isinstance(steps, LlamaStepper)
    check(steps, model, row(12), 5)
    tuned = whole(model, row(12))
    with model.disable_adapter():
        untuned = make_stepper(model)
        assert isinstance(untuned, LlamaStepper)
        check(untuned, model, row(12), 5)
        assert (whole(model, row(12)) - tuned).abs().max() > 1e-2


def test_the_adapter_that_is_on_counts(base: OrpheusBase) -> None:
    model = adapted(base)
    model.add_adapter("other", LoraConfig(r=2, target_modules=["o_proj"]))
    wake(model, 1)
    for name in ("default", "other"):
        model.set_adapter(name)
        assert isinstance(make_stepper(model), LlamaStepper)
        check(make_stepper(model), model, row(9), 4)


@pytest.mark.parametrize(
    "shape",
    [
        {"num_attention_heads": 4, "num_key_value_heads": 4, "attention_bias": True, "mlp_bias": True},
        {"num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 12},
        {"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 32.0, "low_freq_factor": 1.0,
         "high_freq_factor": 4.0, "original_max_position_embeddings": 16}},
        {"tie_word_embeddings": True, "rms_norm_eps": 1e-3},
    ],
)  # fmt: skip
def test_any_shape_of_llama(shape: dict[str, Any]) -> None:
    torch.manual_seed(0)
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, **shape}
    config = LlamaConfig(vocab_size=200, hidden_size=32, intermediate_size=48, num_hidden_layers=2, **heads)
    config._attn_implementation = "sdpa"
    model = LlamaForCausalLM(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    assert isinstance(make_stepper(model), LlamaStepper)
    check(make_stepper(model), model, row(30), 20, 1e-4)


def test_half_precision_differs_as_halves_do(base: OrpheusBase) -> None:
    exact = base.new_network().eval()
    expected = whole(exact, row(9))
    halved = exact.to(torch.bfloat16)
    error = (whole(halved, row(9)) - expected).abs().max()
    steps = make_stepper(halved)
    steps.add(row(9)[:8])
    steps.step(row(9)[8:])
    assert isinstance(steps, LlamaStepper)
    assert (steps.logits(range(base.config.vocab_size))[0] - expected).abs().max() < 2 * error + 1e-3


def test_rows_of_any_length_come_and_go_and_do_not_see_each_other(base: OrpheusBase) -> None:
    model = adapted(base)
    steps = make_stepper(model)
    rows = [row(3, 1), row(CACHE_GROWTH_POSITIONS - 2, 2), row(7, 3)]
    ids = range(base.config.vocab_size)

    def step(tokens: list[int]) -> None:
        steps.step(tokens)
        for known, token in zip(rows, tokens, strict=True):
            known.append(token)
        expected = torch.stack([whole(model, known) for known in rows])
        torch.testing.assert_close(steps.logits(ids), expected, atol=1e-5, rtol=1e-5)

    for known in rows:
        steps.add(known)
    for token in range(4):  # the longest grows beyond what was kept for it
        step([token, token + 50, token + 100])
    rows = [rows[0], rows[2]]
    steps.keep([0, 2])
    step([1, 2])
    steps.add(row(11, 5))
    rows.append(row(11, 5))
    step([3, 4, 5])
    steps.keep([])
    steps.add(row(6, 6))
    rows = [row(6, 6)]
    step([9])


def test_anything_else_is_stepped_by_its_own_forward(base: OrpheusBase) -> None:
    torch.manual_seed(0)
    other = GPT2LMHeadModel(GPT2Config(vocab_size=200, n_positions=64, n_embd=16, n_layer=2, n_head=2)).eval()
    eager = LlamaForCausalLM(LlamaConfig(vocab_size=200, hidden_size=16, num_hidden_layers=1, num_attention_heads=2))
    eager.set_attn_implementation("eager")
    turning = LlamaConfig(
        vocab_size=200, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0},
    )  # fmt: skip
    turned = LlamaForCausalLM(turning)
    turned.set_attn_implementation("sdpa")
    for model in (
        other, eager.eval(), turned.eval(), adapted(base, use_dora=True), adapted(base, modules_to_save=["lm_head"]),
        adapted(base, lora_bias=True), adapted(base, target_modules=["embed_tokens"]),
    ):  # fmt: skip
        assert isinstance(make_stepper(model), TransformersStepper)
        check(make_stepper(model), model, row(9), 4)


def test_the_checkpoint_that_comes_with_vtune_is_stepped_the_quick_way(tmp_path: Path, make_base: Any) -> None:
    base = make_base(base_model="nano")
    model = adapted(base)
    assert isinstance(make_stepper(model), LlamaStepper)
    check(make_stepper(model), model, row(12), 5, 1e-3)
