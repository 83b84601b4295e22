"""What the engine loads once: here the frozen network."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from language_model_engine.options import LanguageModelOptions
from language_model_engine.tokens import SLOTS, VOCABULARY_SIZE


class LanguageModelBase:
    """The state that every hook receives as ``base``."""

    def __init__(self, options: LanguageModelOptions, device: torch.device, dtype: torch.dtype) -> None:
        self.options, self.device, self.dtype = options, device, dtype

    def new_network(self) -> nn.Module:
        """Return the frozen network.

        It has random weights from a fixed seed, because this engine has no pretrained ones. Load yours here:
        ``vtune.toolkit.load_pretrained(LlamaForCausalLM, folder, dtype=self.dtype)``.
        """
        width = self.options.width
        config = LlamaConfig(
            vocab_size=VOCABULARY_SIZE,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=4096,
            initializer_range=2 * width**-0.5,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=None,
        )
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            network = LlamaForCausalLM(config)
            network.get_input_embeddings().weight.copy_(smooth_embeddings(width))
        network.to(self.device, self.dtype)
        return cast(nn.Module, network)

    def fingerprint(self) -> dict[str, str]:
        """Name the parts that a voice needs, each with a hash of its content: here what the weights are made from."""
        return {"network": f"seed 0, width {self.options.width}"}


def smooth_embeddings(width: int) -> torch.Tensor:
    """Return random embeddings ``[V x width]`` in which neighbouring codes are similar, as pretraining makes them."""
    embeddings = torch.randn(VOCABULARY_SIZE, width)
    for slot in SLOTS:
        positions = torch.linspace(0, 1, len(slot))[:, None]
        curve = torch.cos(positions * torch.arange(8) * torch.pi / 2) @ torch.randn(8, width) / 8**0.5
        embeddings[slot.start : slot.stop] = torch.randn(width) + curve
    return embeddings * (2 / math.sqrt(width))
