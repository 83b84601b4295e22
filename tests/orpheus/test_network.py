"""The memory-saving loss is compared with the plain loss of transformers: same loss, same gradients, no leaks between
clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import LlamaForCausalLM

import vtune
from vtune.toolkit import packed_attention
from vtune_orpheus import loss
from vtune_orpheus.base import OrpheusBase
from vtune_orpheus.training_rows import pad

LENGTHS = (37, 90, 8, 61)


def rows(vocabulary: int, lengths: tuple[int, ...] = LENGTHS, prompt: int = 5) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(0)
    made = []
    for length in lengths:
        ids = random.integers(0, vocabulary, length)
        labels = ids.copy()
        labels[:prompt] = -100
        made.append({"input_ids": ids, "labels": labels})
    return made


@pytest.fixture
def plain(tiny: Path) -> Callable[[], Any]:
    """Load the checkpoint with transformers."""
    return lambda: LlamaForCausalLM.from_pretrained(tiny, dtype=torch.float32)


@pytest.fixture
def pair(base: OrpheusBase, plain: Callable[[], Any]) -> Callable[..., tuple[Any, Any]]:
    """Return the memory-saving network and the plain network, each with the same adapter of random numbers."""

    def make(dtype: torch.dtype = torch.float32, **lora: Any) -> tuple[Any, Any]:
        presets = vtune.load_engine("orpheus").info.lora_targets
        models = []
        for network in (base.new_network(), plain().requires_grad_(False)):
            torch.manual_seed(0)
            model = vtune.attach_lora(network.to(dtype), vtune.LoraSettings(8, 16, **lora), presets, "CAUSAL_LM")
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    nn.init.normal_(parameter, std=0.05)
            models.append(model)
        return models[0], models[1]

    return make


def gradients(model: Any, batch: dict[str, torch.Tensor], **settings: Any) -> tuple[float, dict[str, torch.Tensor]]:
    result = model(**batch, **settings)["loss"]
    assert result.dtype == torch.float32
    result.backward()
    return result.item(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float) -> None:
    assert one.keys() == other.keys()
    for name, gradient in one.items():
        scale = other[name].abs().max()
        assert scale > 0, name
        assert float((gradient - other[name]).abs().max() / scale) < tolerance, name


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("counted", [None, 500])
def test_loss_and_gradients_are_those_of_transformers(
    pair: Callable[..., tuple[Any, Any]], counted: int | None, checkpointing: bool
) -> None:
    lean, plain = pair()
    batch = pad(rows(200), 3)
    if checkpointing:
        lean.enable_input_require_grads()
        lean.train().get_base_model().activation_checkpointing_enable({"use_reentrant": False})
    settings = {} if counted is None else {"num_items_in_batch": torch.tensor(counted)}
    ours, our_gradients = gradients(lean, batch, **settings)
    theirs, their_gradients = gradients(plain, batch, **settings)
    assert ours == pytest.approx(theirs, abs=2e-6)
    same(our_gradients, their_gradients, 2e-5)


def test_in_half_precision_the_loss_is_float32_and_as_near_as_transformers_own(
    pair: Callable[..., tuple[Any, Any]],
) -> None:
    exact, _ = gradients(pair()[1], pad(rows(200), 3))
    lean, plain = pair(torch.bfloat16)
    batch = pad(rows(200), 3)
    with torch.autocast("cpu", torch.bfloat16):
        ours, our_gradients = gradients(lean, batch)
        theirs, their_gradients = gradients(plain, batch)
    assert ours == pytest.approx(theirs, abs=2e-3)
    assert abs(ours - exact) < 2e-3
    same(our_gradients, their_gradients, 0.05)


def test_every_weight_trained_gets_the_gradients_of_transformers(base: OrpheusBase, plain: Callable[[], Any]) -> None:
    """The head is tied to the embeddings and trained, so its gradient is the sum of both uses."""
    ours, our_gradients = gradients(base.new_network().requires_grad_(True), pad(rows(200), 3))
    theirs, their_gradients = gradients(plain().requires_grad_(True), pad(rows(200), 3))
    assert ours == pytest.approx(theirs, abs=2e-6)
    same(our_gradients, their_gradients, 2e-5)


def test_every_weight_trained_under_autocast(base: OrpheusBase, plain: Callable[[], Any]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        ours, our_gradients = gradients(base.new_network().requires_grad_(True), pad(rows(200), 3))
        theirs, their_gradients = gradients(plain().requires_grad_(True), pad(rows(200), 3))
    assert ours == pytest.approx(theirs, abs=2e-3)
    same(our_gradients, their_gradients, 0.05)


@pytest.mark.parametrize("lora", [{"modules_to_save": ("lm_head",)}, {"targets": ("all", "lm_head")}])
def test_a_head_that_is_adapted_takes_the_plain_way(pair: Callable[..., tuple[Any, Any]], lora: dict[str, Any]) -> None:
    lean, plain = pair(**lora)
    ours, our_gradients = gradients(lean, pad(rows(200), 3))
    theirs, their_gradients = gradients(plain, pad(rows(200), 3))
    assert ours == theirs
    same(our_gradients, their_gradients, 1e-6)


def test_accumulated_batches_are_one(pair: Callable[..., tuple[Any, Any]]) -> None:
    lean, _ = pair()
    made = rows(200)
    total_loss, whole_gradients = gradients(lean, pad(made, 3))
    lean.zero_grad()
    count = torch.tensor(sum(int((row["labels"][1:] != -100).sum()) for row in made))
    parts = [gradients(lean, pad([row], 3), num_items_in_batch=count) for row in made]
    assert sum(part for part, _ in parts) == pytest.approx(total_loss, abs=2e-6)
    same(parts[-1][1], whole_gradients, 2e-5)  # gradients add up from call to call


def test_evaluation_gives_the_same_loss(pair: Callable[..., tuple[Any, Any]]) -> None:
    lean, plain = pair()
    batch = pad(rows(200), 3)
    with torch.no_grad():
        ours, theirs = lean.eval()(**batch), plain.eval()(**batch)
    assert float(ours["loss"]) == pytest.approx(float(theirs["loss"]), abs=2e-6)
    assert ours.get("logits") is None


def test_no_row_of_logits_ever_exists(pair: Callable[..., tuple[Any, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    lean, _ = pair()

    def refuse(*_: Any) -> None:
        raise AssertionError("the head was asked for all logits")

    monkeypatch.setattr(lean.get_base_model().lm_head, "forward", refuse)
    lean(**pad(rows(200), 3))["loss"].backward()


@pytest.mark.parametrize("chunk", [1, 1000, 10**9])
def test_the_chunk_does_not_matter(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(100, 16, requires_grad=True)
    head = torch.randn(50, 16, requires_grad=True)
    labels = torch.randint(0, 50, (100,)).where(torch.rand(100) < 0.7, -100)
    monkeypatch.setattr(loss, "_CHUNK_LOGITS", chunk)
    result = loss.summed_loss(hidden, head, labels)
    gradients = torch.autograd.grad(result, (hidden, head))
    exact = nn.functional.cross_entropy(hidden.double() @ head.double().T, labels, reduction="sum")
    expected = torch.autograd.grad(exact, (hidden, head))
    assert float(result) == pytest.approx(float(exact), rel=1e-6)
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_no_label_no_gradient() -> None:
    hidden = torch.randn(4, 8, requires_grad=True)
    result = loss.summed_loss(hidden, torch.randn(5, 8), torch.full((4,), -100))
    result.backward()
    assert float(result) == 0
    assert hidden.grad is not None
    assert not hidden.grad.any()


@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_a_clip_in_a_pack_says_is_what_it_says_alone(base: OrpheusBase, checkpointing: bool) -> None:
    network: Any = base.new_network()
    if checkpointing:
        network.train().activation_checkpointing_enable({"use_reentrant": False})
    clips = [torch.from_numpy(row["input_ids"]) for row in rows(200)]
    packed = network.lm_head(
        network._packed_hidden(
            torch.cat(clips), torch.cat([torch.arange(len(clip)) for clip in clips]), [len(clip) for clip in clips]
        )
    )[0].split([len(clip) for clip in clips])
    for clip, logits in zip(clips, packed, strict=True):
        torch.testing.assert_close(logits, network(clip[None])["logits"][0], rtol=1e-4, atol=1e-6)


def test_another_clip_beside_it_changes_nothing_in_a_clip(base: OrpheusBase) -> None:
    network: Any = base.new_network()
    first, other, third = (torch.from_numpy(row["input_ids"]) for row in rows(200, (40, 40, 40)))
    positions = torch.arange(40).repeat(2)
    beside_other = network._packed_hidden(torch.cat([other, first]), positions, [40, 40])[0, 40:]
    beside_third = network._packed_hidden(torch.cat([third, first]), positions, [40, 40])[0, 40:]
    assert torch.equal(beside_other, beside_third)


def test_no_work_is_done_on_padding(base: OrpheusBase) -> None:
    network: Any = base.new_network()
    seen = []
    network.model.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[:2]))
    network(**pad(rows(200), 3))
    assert seen == [(1, sum(LENGTHS))]


@pytest.mark.parametrize("heads", [(4, 4), (4, 2)])
def test_attention_clip_by_clip_is_attention_with_a_mask(heads: tuple[int, int]) -> None:
    torch.manual_seed(0)
    lengths = [5, 1, 9]
    query, key, value = (torch.randn(1, count, 15, 8, requires_grad=True) for count in (heads[0], heads[1], heads[1]))
    number = torch.arange(3).repeat_interleave(torch.tensor(lengths))
    mask = (number[:, None] == number) & torch.ones(15, 15, dtype=torch.bool).tril()
    repeated = [tensor.repeat_interleave(heads[0] // heads[1], 1) for tensor in (key, value)]
    scores = (query @ repeated[0].transpose(2, 3) * 0.3).masked_fill(~mask, -torch.inf)
    expected = (scores.softmax(-1) @ repeated[1]).transpose(1, 2)
    result = packed_attention.attend_clip_by_clip(query, key, value, lengths, 0.0, 0.3)
    torch.testing.assert_close(result, expected)
    weight = torch.randn_like(result)
    for ours, theirs in zip(
        torch.autograd.grad((result * weight).sum(), (query, key, value)),
        torch.autograd.grad((expected * weight).sum(), (query, key, value)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_kernel_for_gpus_is_asked_for_what_it_takes() -> None:
    """The kernel needs a GPU; a call with the right arguments and shapes does not."""
    calls = []

    def kernel(*given: Any, **settings: Any) -> torch.Tensor:
        calls.append((given, settings))
        query, key, value, ends = given[:4]
        heads = query.shape[1] // key.shape[1]
        clips = []
        for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
            q, k, v = (tensor[start:end].transpose(0, 1) for tensor in (query, key, value))
            clips.append(
                nn.functional.scaled_dot_product_attention(
                    q, k.repeat_interleave(heads, 0), v.repeat_interleave(heads, 0), is_causal=True,
                    scale=settings["scale"],
                ).transpose(0, 1)
            )  # fmt: skip
        return torch.cat(clips)

    query, key, value = torch.randn(1, 4, 15, 8), torch.randn(1, 2, 15, 8), torch.randn(1, 2, 15, 8)
    result = packed_attention.attend_with_kernel(kernel, query, key, value, [5, 1, 9], 0.3)
    torch.testing.assert_close(result, packed_attention.attend_clip_by_clip(query, key, value, [5, 1, 9], 0.0, 0.3))
    (given, settings) = calls[0]
    assert given[3].tolist() == [0, 5, 6, 15]
    assert given[3].dtype == torch.int32
    assert given[5:] == (9, 9)
    assert settings == {"scale": 0.3, "window_size": (-1, 0), "enable_gqa": True}
    known = packed_attention._varlen_kernel()
    assert known is None or "cu_seq_q" in packed_attention.inspect.signature(known).parameters


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_another_attention_keeps_the_padding_and_the_loss(
    make_base: Any, plain: Callable[[], Any], implementation: str
) -> None:
    network = make_base(attn_implementation=implementation).new_network()
    batch = pad(rows(200), 3)
    with torch.no_grad():
        assert float(network(**batch)["loss"]) == pytest.approx(float(plain()(**batch)["loss"]), abs=2e-6)


def test_a_checkpoint_says_that_llama_wrote_it(base: OrpheusBase, tmp_path: Path) -> None:
    network: Any = base.new_network()
    network.save_pretrained(tmp_path)
    config = (tmp_path / "config.json").read_text()
    assert '"LlamaForCausalLM"' in config
    assert packed_attention.ATTENTION_NAME not in config


AMONG = loss.LossTokens(40, range(48, 150))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_loss_among_some_tokens_is_that_of_their_logits_alone(
    pair: Callable[..., tuple[Any, Any]], dtype: torch.dtype
) -> None:
    lean, plain = pair(dtype)
    lean.get_base_model().loss_tokens = AMONG
    ids = [AMONG.end, *AMONG.sound]
    made = rows(200)
    for row in made:
        sound_ids = np.random.default_rng(1).choice(ids, len(row["labels"]))
        row["input_ids"] = row["labels"] = np.where(row["labels"] != -100, sound_ids, row["labels"])
        row["input_ids"] = np.where(row["labels"] != -100, row["labels"], 7)
    batch = pad(made, 3)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        result, our_gradients = gradients(lean, batch)
        logits = plain(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])["logits"][:, :-1].float()
        targets = batch["labels"][:, 1:]
        index_of = {token: number for number, token in enumerate(ids)}
        target_index = torch.tensor([index_of.get(int(token), -100) for token in targets.flatten()])
        expected = nn.functional.cross_entropy(logits[..., ids].flatten(0, 1), target_index)
    expected.backward()
    their_gradients = {n: p.grad for n, p in plain.named_parameters() if p.grad is not None}
    exact = dtype == torch.float32
    assert result == pytest.approx(expected.item(), abs=2e-6 if exact else 2e-3)
    same(our_gradients, their_gradients, 2e-5 if exact else 0.05)
    chances = logits.softmax(-1)[targets != -100]
    non_sound_probability = 1 - chances[:, ids].sum(1).mean()
    total, count = lean(**batch)["metrics"]["non_sound_probability"]
    assert 0.1 < non_sound_probability < 0.9
    # It looks at some of the places.
    assert float(total / count) == pytest.approx(float(non_sound_probability), abs=0.05)
    assert 64 <= count < 128


def test_what_is_outside_is_counted_at_every_place_of_a_few() -> None:
    torch.manual_seed(0)
    hidden, head = torch.randn(9, 6), torch.randn(30, 6)
    among = loss.LossTokens(3, range(5, 20))
    labels = torch.tensor([-100, 3, 5, 7, -100, 19, 6, 8, 9])
    chances = (hidden @ head.T).softmax(-1)[labels != -100]
    total, count = loss.non_sound_probability(hidden, head, labels, among)
    assert count == 7
    assert float(total) == pytest.approx(float(7 - chances[:, [3, *range(5, 20)]].sum()), rel=1e-5)


def test_a_head_that_is_adapted_has_no_loss_among_sound(pair: Callable[..., tuple[Any, Any]]) -> None:
    lean, _ = pair(targets=("all", "lm_head"))
    lean.get_base_model().loss_tokens = AMONG
    with pytest.raises(vtune.TrainingError, match="loss_among"):
        lean(**pad(rows(200), 3))
