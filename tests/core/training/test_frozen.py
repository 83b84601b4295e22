"""``train.frozen``: named tensors of a network are left out of what is trained."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from vtune.errors import TrainingError
from vtune.training.frozen import freeze
from vtune.training.guards import adapter_parameters, check_trainable


def network() -> nn.Module:
    return nn.ModuleDict({"embedding": nn.Embedding(3, 2), "layers": nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])})


@pytest.mark.parametrize(
    ("keys", "frozen"),
    [
        (["embedding"], {"embedding.weight"}),
        (["layers.0"], {"layers.0.weight", "layers.0.bias"}),
        ([r".*\.bias", "embedding"], {"layers.0.bias", "layers.1.bias", "embedding.weight"}),
    ],
)
def test_named_tensors_keep_their_values_and_all_others_are_trained(keys: Sequence[str], frozen: set[str]) -> None:
    model = network()
    names = {name for name, _ in model.named_parameters()}
    freeze(model, keys)
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == frozen
    assert set(adapter_parameters(model)) == names - frozen
    check_trainable(model)
    optimizer = torch.optim.SGD(adapter_parameters(model).values(), lr=1.0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    loss = model["layers"][1](model["layers"][0](model["embedding"](torch.tensor([0, 1, 2])))).square().sum()
    loss.backward()
    optimizer.step()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == names - frozen


def test_nothing_named_freezes_nothing() -> None:
    model = network()
    freeze(model, [])
    assert len(adapter_parameters(model)) == 5


def test_what_cannot_be_frozen_is_one_line() -> None:
    for keys, says in (
        (["embeding"], r"'embeding' matches no tensor of the network; did you mean 'embedding'\?"),
        ([".*"], "freezes all 5 tensors of the network, so nothing would be trained"),
        (["lay("], "is not a regular expression"),
    ):
        with pytest.raises(TrainingError, match=says) as caught:
            freeze(network(), keys)
        assert "\n" not in str(caught.value)
    adapted = get_peft_model(nn.Sequential(nn.Linear(2, 2)), LoraConfig(target_modules=["0"]))
    with pytest.raises(TrainingError, match=r"is for train\.method: full; with an adapter the whole base is frozen"):
        freeze(adapted, ["0"])
