"""The size of an adapter: which modules the arguments of ``lora.arguments`` adapt, and what is counted without
weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import peft
import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from vtune.errors import TrainingError
from vtune.recipe import LoraRecipe
from vtune.recipe.lora_arguments import KEYS, REFUSED, LoraArguments
from vtune.toolkit.lora import adapter_size, add_lora, attach_lora
from vtune.toolkit.rank_patterns import largest_rank, module_scales
from vtune.types import LoraSettings

PRESETS = {"all": ("query", "up", "down")}

ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"use_dora": True},
    {"init_lora_weights": "orthogonal", "use_dora": True},
    {"rank_pattern": {"up": 2, "query": 6}},
    {"rank_pattern": {r"layers\.[01]\..*": 1, "body.layers.2.up": 8}, "use_dora": True},
    {"alpha_pattern": {"down": 3.0}},
    {"layers_to_transform": [0, 2]},
    {"layers_to_transform": [1], "layers_pattern": ["layers"], "use_dora": True},
    {"exclude_modules": ["up", "layers.0.query"]},
    {"lora_bias": True, "exclude_modules": ["query"]},
]


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(8, 12, bias=False)
        self.up = nn.Linear(12, 16)
        self.down = Conv1D(8, 16)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.down(self.up(self.query(given)))
        return answer


class Network(nn.Module):
    """Three layers with modules of several kinds and sizes, below one attribute as in models of transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Module()
        self.body.layers = nn.ModuleList(Layer() for _ in range(3))
        self.head = nn.Linear(8, 5)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        for layer in self.body.layers:  # type: ignore[union-attr]
            given = layer(given)
        answer: torch.Tensor = self.head(given)
        return answer


def shape(**arguments: Any) -> LoraSettings:
    return LoraSettings(rank=4, alpha=6, arguments=arguments)


def refusal(lora: LoraSettings) -> str:
    with pytest.raises(TrainingError) as caught:
        attach_lora(Network(), lora, PRESETS)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_every_field_of_peft_is_decided_once() -> None:
    decided = [*LoraArguments.model_fields, *KEYS, *REFUSED]
    assert sorted(decided) == sorted(field.name for field in dataclasses.fields(peft.LoraConfig))


def test_defaults_are_those_of_peft() -> None:
    config = peft.LoraConfig()
    for name, default in LoraArguments().model_dump().items():
        assert (getattr(config, name) or None) == (default or None)


@pytest.mark.parametrize("arguments", ARGUMENTS)
@pytest.mark.parametrize("targets", [("all",), ("all", "head"), (r".*\.(up|down)",)])
def test_what_is_counted_is_what_is_trained(arguments: dict[str, Any], targets: tuple[str, ...]) -> None:
    if arguments.get("exclude_modules") == ["query"] and "head" in targets:
        targets = ("up", "head")
    patterns = arguments.get("rank_pattern", {})
    if "query" in patterns and targets[0] != "all":
        arguments = {"rank_pattern": {"up": 2}}
    lora = LoraSettings(rank=4, alpha=6, targets=targets, arguments=arguments)
    model = attach_lora(Network(), lora, PRESETS)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.device("meta"):
        size = adapter_size(Network(), lora, PRESETS)
    assert (size.parameters, size.tensors) == (sum(p.numel() for p in trained), len(trained))
    assert set(size.modules) == {
        name.removeprefix("base_model.model.") for name, module in model.named_modules() if hasattr(module, "lora_A")
    }
    for name, (inputs, outputs) in size.modules.items():
        module: Any = model.get_submodule(f"base_model.model.{name}")
        assert module.lora_A["default"].weight.shape[1] == inputs
        assert module.lora_B["default"].weight.shape[0] == outputs


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_dora_keeps_what_is_counted_for_each_token(dropout: float) -> None:
    def kept(lora: LoraSettings, tokens: int) -> int:
        sizes: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            sizes[tensor.data_ptr()] = max(tensor.numel(), sizes.get(tensor.data_ptr(), 0))
            alive.append(tensor)
            return tensor

        alive: list[torch.Tensor] = []
        model = attach_lora(Network(), lora, PRESETS)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model(torch.zeros(tokens, 8)).sum()
        return sum(sizes.values())

    def per_token(arguments: dict[str, Any]) -> float:
        lora = LoraSettings(rank=4, dropout=dropout, arguments=arguments)
        return (kept(lora, 3000) - kept(lora, 1000)) / 2000

    with torch.device("meta"):
        size = adapter_size(Network(), shape(use_dora=True), PRESETS)
    beside = per_token({"use_dora": True}) - per_token({})
    assert beside == pytest.approx(size.token_numbers, rel=0.15)


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_merged_answers_as_beside(arguments: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network, given = Network(), torch.randn(7, 8)
    before = network(given)
    model = attach_lora(network, shape(**arguments), PRESETS)
    torch.testing.assert_close(model(given), before)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data += 0.1 * torch.randn_like(parameter)
    beside = model(given)
    assert (beside - before).abs().max() > 1e-4
    torch.testing.assert_close(model.merge_and_unload()(given), beside, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [
        {"rank_pattern": {"up": 2}, "alpha_pattern": {r"layers\.1\..*": 5.0}},
        {"rank_pattern": {"body.layers.0.query": 9, "^body.layers.2.*": 3}},
        {"alpha_pattern": {"(query|up)": 1.5}},
    ],
)
def test_each_module_has_the_scale_that_peft_gives_it(arguments: dict[str, Any], rslora: bool) -> None:
    lora = LoraSettings(rank=4, alpha=6, rslora=rslora, arguments=arguments)
    model = attach_lora(Network(), lora, PRESETS)
    layers = {
        name.removeprefix("base_model.model."): module
        for name, module in model.named_modules()
        if hasattr(module, "lora_A")
    }
    scales = module_scales(lora, list(layers))
    for name, module in layers.items():
        assert scales[name].scaling == pytest.approx(module.scaling["default"])
        assert scales[name].rank == module.r["default"]
    assert largest_rank(lora) >= max(scale.rank for scale in scales.values())


def test_layers_are_heeded_where_a_regular_expression_names_the_modules() -> None:
    lora = LoraSettings(rank=4, targets=(r".*\.up",), arguments={"layers_to_transform": [1]})
    model = attach_lora(Network(), lora, PRESETS)
    assert [name for name, _ in model.named_parameters() if "lora_A" in name] == [
        "base_model.model.body.layers.1.up.lora_A.default.weight"
    ]


def test_a_target_that_is_excluded_as_a_whole_is_not_written_down() -> None:
    model = attach_lora(Network(), shape(exclude_modules=["down"]), PRESETS)
    assert model.peft_config["default"].target_modules == {"query", "up"}


def test_a_plain_adapter_goes_beside_a_dora_one_and_away_again() -> None:
    torch.manual_seed(0)
    model, given = attach_lora(Network(), shape(use_dora=True), PRESETS), torch.randn(7, 8)
    add_lora(model, "plain", shape(), PRESETS)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(parameter)
    before = model(given)
    model.set_adapter("plain")
    plain = model(given)
    assert not torch.allclose(before, plain)
    model.set_adapter("default")
    assert torch.equal(model(given), before)
    model.set_adapter("plain")
    model.delete_adapter("default")
    assert torch.equal(model(given), plain)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"exclude_modules": ["dwon"]}, "exclude_modules: 'dwon' matches no module; did you mean 'down'?"),
        ({"rank_pattern": {"qury": 2}}, "rank_pattern: 'qury' matches no adapted module; did you mean 'query'?"),
        ({"alpha_pattern": {"head": 2}}, "alpha_pattern: 'head' matches no adapted module"),
        ({"rank_pattern": {"up": 2, "layers.0.*": 3}}, "'up' and 'layers.0.*' both match 'body.layers.0.up', with 2"),
        ({"rank_pattern": {"(": 2}}, "rank_pattern: '(' is not a regular expression"),
        ({"layers_to_transform": [3]}, "layers_to_transform: the network has no layer 3"),
        ({"exclude_modules": ["query", "up", "down"]}, "leave no module to adapt"),
        ({"lora_bias": True}, "query have no bias"),
        ({"init_lora_weights": "orthogonal", "rank_pattern": {"up": 3}}, "PEFT refuses this adapter"),
    ],
)
def test_an_argument_without_effect_is_one_line(arguments: dict[str, Any], why: str) -> None:
    assert why in refusal(shape(**arguments))


def test_a_pattern_that_never_ends_is_refused_before_peft_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vtune.toolkit.target_patterns.MAX_MATCHING_SECONDS", 1)
    message = refusal(shape(alpha_pattern={"((([a-z_.0-9])+)+)+[!?]": 2.0}))
    assert message.startswith("lora.arguments.alpha_pattern: ")
    assert "within 1 s" in message


@pytest.mark.parametrize("entry", ["(([a-z_.0-9])+)+[!?]", "heads", ""])
def test_modules_to_save_are_ends_of_names_and_never_reach_peft_otherwise(entry: str) -> None:
    lora = LoraSettings(4, 8, 0.0, False, ("up",), ("head", entry))
    with pytest.raises(TrainingError, match=r"^lora\.modules_to_save: '.*' matches no module.*; write ends of names$"):
        attach_lora(Network(), lora, PRESETS)
    assert attach_lora(Network(), dataclasses.replace(lora, modules_to_save=("head",)), PRESETS)


def test_arguments_are_kept_as_they_were_given() -> None:
    given = {"use_dora": True, "rank_pattern": {"up": 2}, "layers_to_transform": 1}
    recipe = LoraRecipe.model_validate({"arguments": given})
    assert recipe.settings().arguments == {**given, "layers_to_transform": [1]}
    assert LoraRecipe.model_validate(recipe.model_dump()) == recipe
    assert LoraRecipe().model_dump()["arguments"] == {}
