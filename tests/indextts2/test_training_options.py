"""What trainers of IndexTTS2 set: weights of the two losses, rates of parts, frozen embeddings."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from vtune import LoraSettings
from vtune.testing import made_clip
from vtune.training.frozen import freeze
from vtune.training.guards import adapter_parameters
from vtune.training.learning_rates import tensor_rates
from vtune_indextts2 import build_lora_model
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.training_rows import collate, prepare


@pytest.mark.parametrize(("text", "codes"), [(0.2, 0.8), (0.5, 2.0), (0.0, 1.0)])
def test_the_loss_is_the_weighted_sum_of_both(
    make_base: Callable[..., IndexTTS2Base], text: float, codes: float
) -> None:
    base = make_base(text_loss_weight=text, code_loss_weight=codes)
    network = base.new_network().eval()
    batch = collate(base, [prepare(base, made_clip(22_050, 0.6, number)) for number in range(2)])
    with torch.no_grad():
        output = network(**batch)
    of_text, of_codes = (output["metrics"][name] for name in ("text_loss", "semantic_loss"))
    expected = text * of_text[0] / of_text[1] + codes * of_codes[0] / of_codes[1]
    torch.testing.assert_close(output["loss"], expected)


def test_parts_have_their_own_rates_and_embeddings_keep_their_values(make_base: Callable[..., IndexTTS2Base]) -> None:
    """The keys are those of the page on coming from IndexTTS."""
    base = make_base()
    model = build_lora_model(base, LoraSettings(targets=("attention+mlp+heads",)))
    names = [name.removeprefix("base_model.model.") for name in adapter_parameters(model)]
    rates = tensor_rates({"mel_head": 1e-5, "h.0": 1e-6}, names, [])
    assert set(rates.values()) == {1e-5, 1e-6}
    assert {name for name, rate in rates.items() if rate == 1e-5} == {name for name in names if "mel_head" in name}
    assert {name for name, rate in rates.items() if rate == 1e-6} == {name for name in names if "gpt.h.0." in name}
    network = base.new_network().requires_grad_(True)
    tables = ["text_embedding", "mel_embedding", "text_pos_embedding", "mel_pos_embedding"]
    freeze(network, tables)
    left = set(dict(network.named_parameters())) - set(adapter_parameters(network))
    assert left == {f"{table}.weight" for table in tables[:2]} | {f"{table}.emb.weight" for table in tables[2:]}
