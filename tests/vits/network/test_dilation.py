"""An adapter beside a dilated convolution reads the samples that the convolution reads."""

from __future__ import annotations

import copy

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from vtune_vits.network.dilation import give_classes_to_dilated_convolutions


def test_an_adapter_has_the_dilation_of_its_convolution_and_merges() -> None:
    network = nn.Sequential(nn.Conv1d(4, 4, 3, dilation=3, padding=3), nn.Conv1d(4, 4, 3, padding=1))
    give_classes_to_dilated_convolutions(network)
    signal = torch.randn(2, 4, 40)
    before = copy.deepcopy(network)(signal)

    model = get_peft_model(network, LoraConfig(r=2, target_modules=["0", "1"]))
    assert torch.equal(model(signal), before)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    beside = model(signal)
    folded = model.merge_and_unload()(signal)

    assert model.base_model.model[0].dilation == (3,)
    assert not torch.allclose(beside, before)
    torch.testing.assert_close(folded, beside, atol=1e-5, rtol=1e-4)
