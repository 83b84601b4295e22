"""The GPT is compared with its formulas, alone and in batches; also what trains in it, and with which gradients."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import vtune
from vtune import dataset, load_recipe
from vtune.engines import Engine
from vtune.runtime.distributed.ranks import init_distributed
from vtune.runtime.paths import RunFolder
from vtune.training import TrainingJob, train
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.gpt.network import CODE_TOKEN, TEXT_TOKEN, SemanticGPT, SemanticGPTConfig
from vtune_indextts2.gpt.row_layout import make_row
from vtune_indextts2.training_rows import batch_rows, collate

Clip = tuple[torch.Tensor, list[int], list[int]]
"""Conditioning ``[32, D]``, text and codes."""

SIZES = {
    "model_dim": 16, "layers": 2, "heads": 2, "max_text_tokens": 6, "max_mel_tokens": 8,
    "number_text_tokens": 11, "number_mel_codes": 9, "start_mel_token": 7, "stop_mel_token": 8,
}  # fmt: skip
IGNORED_LABEL = -100
TEXTS = st.lists(st.integers(2, 11), max_size=6)
CODES = st.lists(st.integers(0, 6), max_size=8)


@pytest.fixture(scope="module")
def network(make_base: Callable[..., IndexTTS2Base]) -> SemanticGPT:
    """Return two narrow layers with weights as large as trained weights; fresh weights hardly attend to anything."""
    sizes = make_base().config.gpt.model_copy(update=SIZES)
    torch.manual_seed(0)
    small = SemanticGPT(SemanticGPTConfig(settings=sizes.model_dump(), dropout=0.0)).double()
    for parameter in small.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return small


@pytest.fixture(scope="module")
def engine() -> Engine:
    return vtune.load_engine("indextts2")


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clip(text: list[int], codes: list[int], seed: int = 0) -> Clip:
    return noise(32, SIZES["model_dim"], seed=seed), text, codes


def laid(network: SemanticGPT, clips: list[Clip]) -> vtune.Batch:
    return batch_rows([(condition, make_row(network.settings, text, codes)) for condition, text, codes in clips])


def by_hand(network: SemanticGPT, clip: Clip) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return hidden states after the prefix, logits of text at ``[start, text]`` and of codes at ``[start, codes]``."""
    w = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    sizes, (conditioning, text, codes) = network.settings, clip
    spelt = [sizes.start_text_token, *text, sizes.stop_text_token]
    spoken = [sizes.start_mel_token, *codes]
    x = np.concatenate(
        [
            conditioning.numpy(),
            w["speed_emb.weight"][[1, 0]],
            w["text_embedding.weight"][spelt] + w["text_pos_embedding.emb.weight"][: len(spelt)],
            w["mel_embedding.weight"][spoken] + w["mel_pos_embedding.emb.weight"][: len(spoken)],
        ]
    )
    future = np.triu(np.full((len(x), len(x)), -np.inf), 1)

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"]

    for layer in range(sizes.layers):
        block = f"gpt.h.{layer}"
        qkv = linear(layer_norm(x, w, f"{block}.ln_1"), f"{block}.attn.c_attn")
        heads = [np.split(part, sizes.heads, axis=1) for part in np.split(qkv, 3, axis=1)]
        mixed = [softmax(q @ k.T / math.sqrt(q.shape[1]) + future) @ v for q, k, v in zip(*heads, strict=True)]
        x = x + linear(np.concatenate(mixed, axis=1), f"{block}.attn.c_proj")
        y = linear(layer_norm(x, w, f"{block}.ln_2"), f"{block}.mlp.c_fc")
        gelu = 0.5 * y * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))
        x = x + linear(gelu, f"{block}.mlp.c_proj")
    x = layer_norm(layer_norm(x, w, "gpt.ln_f"), w, "final_norm")[34:]
    text_logits = x[: len(spelt) - 1] @ w["text_head.weight"].T + w["text_head.bias"]
    return x, text_logits, x[len(spelt) :] @ w["mel_head.weight"].T + w["mel_head.bias"]


def layer_norm(x: np.ndarray, w: dict[str, np.ndarray], name: str) -> np.ndarray:
    deviation = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return (x - x.mean(axis=-1, keepdims=True)) / deviation * w[f"{name}.weight"] + w[f"{name}.bias"]


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def scored(logits: np.ndarray, targets: list[int]) -> tuple[float, int, int]:
    """Return the sum of the cross entropy, the number of hits, and the number of labels."""
    chances = softmax(logits)[np.arange(len(targets)), targets]
    return float(-np.log(chances).sum()), int((logits.argmax(axis=1) == targets).sum()), len(targets)


def loss_by_hand(network: SemanticGPT, clips: list[Clip]) -> tuple[float, dict[str, list[float]]]:
    sizes = network.settings
    text, codes = np.zeros(3), np.zeros(3)
    for clip in clips:
        _, text_logits, code_logits = by_hand(network, clip)
        text += scored(text_logits, [*clip[1], sizes.stop_text_token])
        codes += scored(code_logits, [*clip[2], sizes.stop_mel_token])
    metrics = {"text_loss": [text[0], text[2]], "semantic_loss": [codes[0], codes[2]], "semantic_top1": [*codes[1:]]}
    return 0.2 * text[0] / text[2] + 0.8 * codes[0] / codes[2], metrics


def garbled(batch: vtune.Batch, network: SemanticGPT, seed: int = 0) -> vtune.Batch:
    """Return the same batch with other ids, kinds and positions in the padding."""
    sizes, generator = network.settings, torch.Generator().manual_seed(seed)
    padding = batch["attention_mask"] == 0
    most = {"input_ids": sizes.number_mel_codes, "kinds": 3, "positions": sizes.text_positions}
    changed = {name: torch.randint(limit, padding.shape, generator=generator) for name, limit in most.items()}
    return {**batch, **{name: torch.where(padding, other, batch[name]) for name, other in changed.items()}}


@settings(deadline=None, max_examples=60)
@given(TEXTS, CODES)
def test_each_place_is_asked_for_what_comes_next_in_its_block(
    network: SemanticGPT, text: list[int], codes: list[int]
) -> None:
    row = make_row(network.settings, text, codes)
    spelt, spoken = len(text) + 2, len(codes) + 1
    assert row.ids.tolist() == [0, *text, 1, 7, *codes]
    assert row.kinds.tolist() == [TEXT_TOKEN] * spelt + [CODE_TOKEN] * spoken
    assert row.positions.tolist() == [*range(spelt), *range(spoken)]
    assert row.text_labels.tolist() == [*text, 1, IGNORED_LABEL, *[IGNORED_LABEL] * spoken]
    assert row.labels.tolist() == [IGNORED_LABEL] * spelt + [*codes, 8]
    assert row.text_labels.tolist().count(1) == row.labels.tolist().count(8) == 1
    assert not np.any((row.text_labels != IGNORED_LABEL) & (row.labels != IGNORED_LABEL))
    # What a place is asked for stands behind it, but for the last code, behind which the stop is not written.
    asked = np.where(row.labels == IGNORED_LABEL, row.text_labels, row.labels)
    known = (asked[:-1] != IGNORED_LABEL).nonzero()[0]
    assert row.ids[known + 1].tolist() == asked[known].tolist()


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(TEXTS, CODES), min_size=1, max_size=4), st.integers(0, 99))
def test_a_batch_is_the_formula_for_each_of_its_clips(
    network: SemanticGPT, drawn: list[tuple[list[int], list[int]]], seed: int
) -> None:
    clips = [clip(text, codes, seed + number) for number, (text, codes) in enumerate(drawn)]
    batch = garbled(laid(network, clips), network, seed)
    assert batch["input_ids"].shape[1] % 8 == 0
    with torch.no_grad():
        embedded = network.embed(batch["input_ids"], batch["kinds"], batch["positions"])
        hidden = network.hidden_states(batch["conditioning"], embedded)
        output = network(**batch)
    expected = [by_hand(network, clip) for clip in clips]
    for got, (states, _, _) in zip(hidden.numpy(), expected, strict=True):
        np.testing.assert_allclose(got[: len(states)], states, atol=1e-9)
    np.testing.assert_allclose(output["logits"].numpy(), np.concatenate([codes for _, _, codes in expected]), atol=1e-9)
    loss, metrics = loss_by_hand(network, clips)
    assert float(output["loss"]) == pytest.approx(loss, rel=1e-5)
    assert output["metrics"].keys() == metrics.keys()
    for name, pair in metrics.items():
        assert output["metrics"][name].tolist() == pytest.approx(pair, rel=1e-5), name
        assert not output["metrics"][name].requires_grad


MIXED = [([2, 3, 4, 5, 6], [1, 2]), ([7], [0, 1, 2, 3, 4, 5, 6, 0]), ([], [3]), ([9, 10, 11], [])]
"""Text and codes of clips with very different lengths."""


def gradients(network: SemanticGPT, *batches: vtune.Batch, **counts: Any) -> tuple[float, dict[str, torch.Tensor]]:
    network.zero_grad()
    loss = sum(network(**batch, **counts)["loss"] for batch in batches)
    loss.backward()
    return float(loss.detach()), {name: p.grad.clone() for name, p in network.named_parameters()}


def assert_same(one: Any, other: Any) -> None:
    assert one[0] == pytest.approx(other[0], rel=1e-6)
    for name, gradient in one[1].items():
        torch.testing.assert_close(other[1][name], gradient, rtol=1e-5, atol=1e-7, msg=lambda m, n=name: f"{n}: {m}")


def test_gradients_know_nothing_of_padding_order_or_how_a_batch_was_cut(network: SemanticGPT) -> None:
    clips = [clip(text, codes, number) for number, (text, codes) in enumerate(MIXED)]
    batch = laid(network, clips)
    counts = {name: (batch[name] != IGNORED_LABEL).sum() for name in ("labels", "text_labels")}
    expected = gradients(network, batch)
    assert expected[0] == pytest.approx(loss_by_hand(network, clips)[0], rel=1e-5)
    assert_same(gradients(network, garbled(batch, network)), expected)
    assert_same(gradients(network, laid(network, clips[::-1])), expected)
    cut = [laid(network, clips[:1]), laid(network, clips[1:])]
    assert_same(gradients(network, *cut, num_items_in_batch=counts), expected)
    assert abs(gradients(network, *cut)[0] / 2 - expected[0]) > 1e-3  # a mean of means is something else
    network.zero_grad()


def padded_with_all_logits(network: SemanticGPT, batch: vtune.Batch) -> torch.Tensor:
    """Compute the loss in the plain way: every row is padded to the longest row, and every position has its logits."""
    embedded = network.embed(batch["input_ids"], batch["kinds"], batch["positions"])
    hidden = network.hidden_states(batch["conditioning"], embedded)
    text, codes = (
        torch.nn.functional.cross_entropy(head(hidden).flatten(0, 1), batch[name].flatten())
        for head, name in ((network.text_head, "text_labels"), (network.mel_head, "labels"))
    )
    return 0.2 * text + 0.8 * codes


def test_laid_one_behind_the_other_clips_lose_and_learn_what_they_do_padded(network: SemanticGPT) -> None:
    batch = laid(network, [clip(text, codes, number) for number, (text, codes) in enumerate(MIXED)])
    network.zero_grad()
    plain = padded_with_all_logits(network, batch)
    plain.backward()
    expected = {name: p.grad.clone() for name, p in network.named_parameters()}
    assert_same(gradients(network, batch), (float(plain.detach()), expected))
    network.zero_grad()


def test_no_work_is_done_on_padding_and_there_is_no_mask(network: SemanticGPT) -> None:
    clips = [clip(text, codes, number) for number, (text, codes) in enumerate(MIXED)]
    seen: list[tuple[int, Any]] = []
    hook = network.gpt.h[0].register_forward_pre_hook(
        lambda _, given: seen.append((given[0].shape[:2].numel(), given[2]))
    )
    network(**laid(network, clips))
    hook.remove()
    assert seen == [(sum(34 + len(text) + 2 + len(codes) + 1 for _, text, codes in clips), None)]


# What of it trains.


def tuned(engine: Engine, base: IndexTTS2Base, awake: bool = False, **changes: Any) -> Any:
    torch.manual_seed(0)
    model = engine.build_lora_model(base, vtune.LoraSettings(**{"rank": 2, "alpha": 4, **changes}))
    for name, parameter in model.named_parameters():
        if awake and "lora_B" in name:  # else A has no gradient
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def made_batch(base: IndexTTS2Base) -> vtune.Batch:
    random, width = np.random.default_rng(0), base.config.gpt.model_dim
    return collate(
        base,
        [
            {
                "text_ids": random.integers(2, 40, text),
                "codes": random.integers(0, 256, codes),
                "condition": random.normal(size=(32, width)).astype(np.float16),
                "emotion": random.normal(size=width).astype(np.float16),
            }
            for text, codes in ((5, 30), (12, 9), (3, 21))
        ],
    )


BLOCK = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")


def modules(parts: tuple[str, ...], layers: tuple[int, ...] = (0, 1), heads: tuple[str, ...] = ()) -> set[str]:
    return {f"gpt.h.{layer}.{part}" for layer in layers for part in parts} | set(heads)


@pytest.mark.parametrize(
    ("targets", "adapted"),
    [
        (("attention",), modules(BLOCK[:2])),
        (("attention+mlp",), modules(BLOCK)),
        (("all",), modules(BLOCK)),
        (("attention+mlp+heads",), modules(BLOCK, heads=("text_head", "mel_head"))),
        (("heads",), {"text_head", "mel_head"}),
        (("mel_head", "attention"), modules(BLOCK[:2], heads=("mel_head",))),
        ((r"gpt\.h\.1\.mlp\..*",), modules(BLOCK[2:], layers=(1,))),
        (("c_fc",), modules(("mlp.c_fc",))),
    ],
)
def test_targets_adapt_these_modules_and_no_others(
    engine: Engine, make_base: Callable[..., IndexTTS2Base], targets: tuple[str, ...], adapted: set[str]
) -> None:
    model = tuned(engine, make_base(), targets=targets)
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trainable == {f"base_model.model.{name}.lora_{side}.default.weight" for name in adapted for side in "AB"}


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_checkpointing_recomputes_every_block_and_changes_no_gradient(
    engine: Engine, make_base: Callable[..., IndexTTS2Base], dropout: float, reentrant: bool
) -> None:
    base = make_base(dropout=dropout)
    batch, result, passes = made_batch(base), [], []
    for checkpointed in (False, True):
        model = tuned(engine, base, awake=True, targets=("attention+mlp+heads",)).train()
        if checkpointed:
            model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": reentrant})
        seen: list[int] = []
        for block in model.get_base_model().gpt.h:  # hooks of a block itself stay out of what is recomputed
            block.ln_1.register_forward_pre_hook(lambda *_, seen=seen: seen.append(1))
        torch.manual_seed(1)
        result.append(gradients_of_adapter(model, batch))
        passes.append(len(seen))
    plain, checkpointed = result
    assert passes == [2, 4]
    assert len(plain) == 20
    for name, gradient in plain.items():
        assert gradient.any(), name
        torch.testing.assert_close(checkpointed[name], gradient, rtol=1e-5, atol=1e-8)


def gradients_of_adapter(model: Any, batch: vtune.Batch) -> dict[str, Any]:
    model(**batch)["loss"].backward()
    return {name: p.grad for name, p in model.named_parameters() if "lora_" in name}


def test_every_tensor_of_a_fresh_adapter_has_a_gradient_at_once_and_moves_by_the_second_step(
    engine: Engine, make_base: Callable[..., IndexTTS2Base]
) -> None:
    base = make_base()
    batch = made_batch(base)
    model = tuned(engine, base, targets=("attention+mlp+heads",)).train()
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for step in range(2):
        result = gradients_of_adapter(model, batch)
        assert len(result) == 20
        for name, gradient in result.items():
            assert gradient is not None, name
            assert gradient.any() or (step == 0 and "lora_A" in name), name
        optimizer.step()
        optimizer.zero_grad()


def test_full_fine_tuning_reaches_every_parameter(engine: Engine, make_base: Callable[..., IndexTTS2Base]) -> None:
    base = make_base()
    network = engine.build_model(base, engine.info.lora, "full").train()
    names = {name for name, _ in network.named_parameters()}
    assert names == {name for name, _ in base.new_network().named_parameters()}
    network(**made_batch(base))["loss"].backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


# In the real loop.


@pytest.fixture
def trained(tmp_path: Path, tiny: Path, speech: Callable[..., Path], engine: Engine) -> Callable[..., Any]:
    """Train on eight made clips as the pipeline does; give the base, the data and the lines of metrics."""
    folder = speech(rate=16_000)

    def run(**settings: Any) -> tuple[IndexTTS2Base, dataset.TrainingData, list[dict[str, Any]]]:
        recipe = {
            "voice": "someone",
            "engine": "indextts2",
            "engine_options": {"base_model": str(tiny), "normaliser": "basic", "dropout": 0.0},
            "data": [{"source": str(folder)}],
            "folders": {"runs": str(tmp_path / "runs"), "voices": str(tmp_path / "voices")},
            "lora": {"rank": 2, "alpha": 4},
            "train": {"scheduler": "constant", "warmup": 0, "validation": 0, "log_every": 1, **settings},
        }
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe))
        loaded, run_folder = load_recipe(path), RunFolder(tmp_path / "runs" / "someone")
        base = engine.load_base(loaded.engine_options, torch.device("cpu"), torch.float32)
        state = init_distributed("cpu", 1)
        data = dataset.build_training_data(loaded, engine, base, run_folder)
        _, facts = train(TrainingJob(engine, base, data, loaded, run_folder, state))
        lines = (run_folder.logs / facts["key"] / "metrics.jsonl").read_text().splitlines()
        return base, data, [json.loads(line) for line in lines]

    return run


METRICS = ("text_loss", "semantic_loss", "semantic_top1")


def test_a_batch_of_four_is_four_batches_accumulated(trained: Callable[..., Any]) -> None:
    """Text and codes are each averaged over the whole step, and so are the metrics."""
    common = {"epochs": 2, "learning_rate": 1e-2}
    _, _, one_pass = trained(**common, batch_size=4)
    _, _, cut = trained(**common, batch_size=1, gradient_accumulation=4)
    assert len(one_pass) == len(cut) == 4
    assert one_pass[-1]["loss"] < one_pass[0]["loss"] - 0.01
    for name in ("loss", "grad_norm", *METRICS):
        assert [line[name] for line in one_pass] == pytest.approx([line[name] for line in cut], rel=1e-4, abs=1e-5), (
            name
        )


def test_what_is_logged_are_means_over_labels_since_the_last_time(trained: Callable[..., Any]) -> None:
    """After almost no training, the line of an epoch equals the mean of the base over all clips, computed one
    by one.
    """
    base, data, lines = trained(
        epochs=2, batch_size=2, learning_rate=1e-7, validation=0.2, precision="fp32",
        arguments={"logging_strategy": "epoch"},
    )  # fmt: skip
    assert len(data.train) > 2
    assert len(data.validation) > 1
    network = base.new_network().double()

    def means(rows: Any) -> dict[str, float]:
        clips = [
            (torch.from_numpy(row["condition"] + row["emotion"]).double(), list(row["text_ids"]), list(row["codes"]))
            for row in map(rows.__getitem__, range(len(rows)))
        ]
        _, metrics = loss_by_hand(network, clips)
        return {name: total / count for name, (total, count) in metrics.items()}

    before, last = [line for line in lines if "loss" in line][-2:]
    assert (before["epoch"], last["epoch"]) == (1, 2)
    assert {name: last[name] for name in METRICS} == pytest.approx(means(data.train), rel=2e-5)
    evaluated = [line for line in lines if "eval_loss" in line][-1]
    assert {name: evaluated[f"eval_{name}"] for name in METRICS} == pytest.approx(means(data.validation), rel=2e-5)


def test_settings_say_how_many_rows_the_tables_have(network: SemanticGPT) -> None:
    sizes = network.settings
    assert sizes.prefix == 34
    longest = clip([2] * sizes.max_text_tokens, [0] * sizes.max_mel_tokens)
    assert network(**laid(network, [longest]))["loss"].isfinite()
    assert len(network.text_pos_embedding.emb.weight) == sizes.max_text_tokens + 2
    assert len(network.mel_pos_embedding.emb.weight) == sizes.max_mel_tokens + 3
