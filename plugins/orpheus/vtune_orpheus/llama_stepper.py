"""Run a Llama token by token with the arithmetic of transformers and PEFT, but without their overhead.

In transformers, most of a step of a small network, or of a large network on a GPU, is Python: modules, hooks, LoRA's
wrappers, a cache and masks. Here a step is a plain loop over the network's own weights, which are not copied. Logits
are computed only for the requested tokens: a slot has 4,096 of the 156,940 tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import nn
from torch.nn import functional
from transformers.activations import ACT2FN
from transformers.models.llama import modeling_llama as llama

from vtune.toolkit import packed_attention
from vtune_orpheus import network

CACHE_GROWTH_POSITIONS = 256
"""The KV cache grows by this many positions at a time."""

_PLAIN_MODULES = {
    network.LlamaForCausalLM, llama.LlamaForCausalLM, llama.LlamaModel, llama.LlamaDecoderLayer, llama.LlamaAttention,
    llama.LlamaMLP, llama.LlamaRMSNorm, llama.LlamaRotaryEmbedding, type(ACT2FN["silu"]), LoraLinear,
    nn.ModuleList, nn.ModuleDict, nn.ParameterDict, nn.Linear, nn.Embedding, nn.Dropout, nn.Identity,
}  # fmt: skip


def can_step(model: nn.Module) -> bool:
    """Whether a network is a plain Llama, with LoRA on linear modules or without LoRA.

    Quantised networks, other kinds of adapters and offloaded weights are not plain.
    """
    config = getattr(model, "config", None)
    return (
        isinstance(model, llama.LlamaForCausalLM)
        and config is not None
        and config._attn_implementation in (packed_attention.ATTENTION_NAME, "sdpa")
        and config.rope_parameters["rope_type"] in ("default", "linear", "llama3")
        and all(type(module) in _PLAIN_MODULES and not hasattr(module, "_hf_hook") for module in model.modules())
        and all(_is_plain_lora(module) for module in model.modules() if isinstance(module, LoraLinear))
    )


def _is_plain_lora(module: Any) -> bool:
    special = module.merged or module.fan_in_fan_out or module.lora_variant
    return not special and all(up.bias is None for up in module.lora_B.values())


@dataclass(frozen=True, slots=True)
class LinearWeights:
    """The weights of a linear module and of its active adapters.

    :param adapters: LoRA's A and B of each active adapter, B already multiplied with the scale.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    adapters: tuple[tuple[torch.Tensor, torch.Tensor], ...]

    @classmethod
    def of(cls, module: Any) -> LinearWeights:
        """Read the weights that a module has now."""
        if not isinstance(module, LoraLinear):
            return cls(module.weight, module.bias, ())
        names = [] if module.disable_adapters else [name for name in module.active_adapters if name in module.lora_A]
        adapters = [(module.lora_A[name].weight, module.lora_B[name].weight * module.scaling[name]) for name in names]
        return cls(module.base_layer.weight, module.base_layer.bias, tuple(adapters))

    def for_outputs(self, outputs: range) -> LinearWeights:
        """Return the weights that compute only these outputs."""
        rows = slice(outputs.start, outputs.stop)
        bias = None if self.bias is None else self.bias[rows]
        return LinearWeights(self.weight[rows], bias, tuple((lora_a, lora_b[rows]) for lora_a, lora_b in self.adapters))

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map ``[N x inputs]`` to ``[N x outputs]``."""
        outputs = functional.linear(inputs, self.weight, self.bias)
        for lora_a, lora_b in self.adapters:
            low_rank = functional.linear(inputs.to(lora_a.dtype), lora_a)  # [N x rank]
            outputs = (outputs + functional.linear(low_rank, lora_b)).to(outputs.dtype)
        return outputs


class _NormWeights:
    def __init__(self, module: Any) -> None:
        self._weight, self._epsilon = module.weight, module.variance_epsilon

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(hidden, self._weight.shape, self._weight, self._epsilon)


class _LayerWeights:
    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.attention_norm, self.mlp_norm = (
            _NormWeights(layer.input_layernorm),
            _NormWeights(layer.post_attention_layernorm),
        )
        self.query, self.key, self.value = (
            LinearWeights.of(attention.q_proj),
            LinearWeights.of(attention.k_proj),
            LinearWeights.of(attention.v_proj),
        )
        self.out = LinearWeights.of(attention.o_proj)
        self.gate, self.up, self.down = (
            LinearWeights.of(mlp.gate_proj),
            LinearWeights.of(mlp.up_proj),
            LinearWeights.of(mlp.down_proj),
        )


AttentionFunction = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""A function of the number of a layer, queries ``[N x heads x D]``, and keys and values ``[N x kv_heads x D]``."""


class LlamaStepper:
    """Steps a plain Llama with up to eight rows; see ``vtune_orpheus.steppers.TokenStepper``.

    Prompts are read one by one, so no row has padding and each row has its own positions: the logits of a row do not
    depend on the other rows.

    The KV cache takes ``2 * layers * kv_heads * head_dim`` numbers for each row and position, and as many positions as
    the longest row has, rounded up to 256: 112 KiB for a position at 3B in bf16, 140 MiB for a row of 1,300 positions.

    :param model: a network for which ``can_step`` is true. The adapters that are active now are used.
    """

    max_rows = 8

    @torch.no_grad()
    def __init__(self, model: Any) -> None:
        body, config = model.model, model.config
        self._embedding = body.embed_tokens.weight
        self._layers = [_LayerWeights(layer) for layer in body.layers]
        self._norm, self._head = _NormWeights(body.norm), LinearWeights.of(model.lm_head)
        self._rotary, self._act = body.rotary_emb, ACT2FN[config.hidden_act]
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        self._head_dim = body.layers[0].self_attn.head_dim
        self._lengths: list[int] = []
        self._hidden = self._embedding.new_zeros(0, config.hidden_size)  # [B x H], of the last position of each row
        self._cache = [self._embedding.new_zeros(0, 2, self._kv_heads, 0, self._head_dim) for _ in self._layers]

    @torch.no_grad()
    def add(self, prompt: Sequence[int]) -> None:
        """Read a prompt as a new last row; see ``TokenStepper``."""
        length = len(prompt)
        self._grow_cache(length)

        def attend(number: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
            cache = self._cache[number]
            query, key, value = (tensor.transpose(0, 1)[None] for tensor in (query, key, value))  # [1 x heads x N x D]
            row = cache.new_zeros(1, *cache.shape[1:])  # [1 x 2 x kv_heads x positions x D]
            row[0, 0, :, :length], row[0, 1, :, :length] = key[0], value[0]
            self._cache[number] = torch.cat([cache, row])
            output = functional.scaled_dot_product_attention(
                query, key, value, is_causal=True, enable_gqa=self._heads != self._kv_heads
            )
            return output[0].transpose(0, 1)  # [N x heads x D]

        last = self._forward(prompt, range(length), attend)[-1:]
        self._hidden = torch.cat([self._hidden, last])
        self._lengths.append(length)

    @torch.no_grad()
    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows and drop all others; see ``TokenStepper``."""
        self._lengths = [self._lengths[row] for row in rows]
        self._hidden = self._hidden[list(rows)]
        for number, cache in enumerate(self._cache):
            self._cache[number] = cache[list(rows)]

    @torch.no_grad()
    def step(self, tokens: Sequence[int]) -> None:
        """Read the next token of each row; see ``TokenStepper``."""
        longest = max(self._lengths) + 1
        self._grow_cache(longest)
        rows = torch.arange(len(tokens), device=self._hidden.device)
        positions = torch.tensor(self._lengths, device=self._hidden.device)
        mask = None
        if min(self._lengths) < longest - 1:
            mask = (torch.arange(longest, device=positions.device) <= positions[:, None])[
                :, None, None
            ]  # [B x 1 x 1 x L]

        def attend(number: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
            cache = self._cache[number]
            cache[rows, :, :, positions] = torch.stack((key, value), 1)
            keys, values = cache[:, :, :, :longest].unbind(1)  # [B x kv_heads x L x D]
            # Heads that share keys are rows of one product: [B x kv_heads x heads/kv_heads x D].
            grouped = query.view(len(tokens), self._kv_heads, -1, self._head_dim)
            return functional.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask)

        self._hidden = self._forward(tokens, self._lengths, attend)
        self._lengths = [length + 1 for length in self._lengths]

    @torch.no_grad()
    def logits(self, ids: range) -> torch.Tensor:
        """Return the logits of some token ids, float32 ``[B x len(ids)]``; see ``TokenStepper``."""
        return self._head.for_outputs(ids)(self._hidden).float()

    def _forward(self, ids: Sequence[int], positions: Sequence[int], attend: AttentionFunction) -> torch.Tensor:
        """Return the last hidden states ``[N x H]`` of N tokens at their positions."""
        device = self._hidden.device
        hidden = functional.embedding(torch.tensor(ids, device=device), self._embedding)  # [N x H]
        index = torch.tensor(positions, device=device)
        cosine, sine = self._cosine[index], self._sine[index]  # [N x 1 x D]
        for number, layer in enumerate(self._layers):
            # 1. Queries and keys side by side, [N x (heads + kv_heads) x D], rotated by their position.
            inputs = layer.attention_norm(hidden)
            unrotated = torch.cat((layer.query(inputs), layer.key(inputs)), 1).view(len(ids), -1, self._head_dim)
            rotated = torch.addcmul(unrotated * cosine, _swap_halves(unrotated), sine)
            query, key = rotated[:, : self._heads], rotated[:, self._heads :]
            value = layer.value(inputs).view(len(ids), -1, self._head_dim)
            # 2. Attention, then the MLP, each with its residual: [N x H].
            hidden = hidden + layer.out(attend(number, query, key, value).reshape(len(ids), -1))
            inputs = layer.mlp_norm(hidden)
            hidden = hidden + layer.down(self._act(layer.gate(inputs)) * layer.up(inputs))
        return self._norm(hidden)

    def _grow_cache(self, positions: int) -> None:
        """Make the cache at least this many positions long."""
        current = self._cache[0].shape[3]
        if positions <= current:
            return
        size = -(-positions // CACHE_GROWTH_POSITIONS) * CACHE_GROWTH_POSITIONS
        for number, cache in enumerate(self._cache):
            self._cache[number] = functional.pad(cache, (0, 0, 0, size - current))
        cosine, sine = self._rotary(self._hidden, torch.arange(size, device=self._hidden.device)[None])
        half = self._head_dim // 2
        self._cosine, self._sine = cosine[0][:, None], torch.cat((-sine[0, :, :half], sine[0, :, half:]), 1)[:, None]


def _swap_halves(vectors: torch.Tensor) -> torch.Tensor:
    """Swap the two halves of each vector of ``[... x D]``."""
    return vectors.view(*vectors.shape[:-1], 2, -1).flip(-2).view(vectors.shape)
