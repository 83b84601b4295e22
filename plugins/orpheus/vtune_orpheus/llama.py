"""A Llama, token by token: the sums of transformers and PEFT, without what they do around each of them.

A step of a small network, or of a large one on a GPU, is mostly Python: modules, hooks, LoRA's wrappers, a cache and
masks. Here it is a plain loop over weights, which are the network's own and not copied. Logits are computed of those
tokens alone that are asked for: a slot has 4,096 of the 156,940.
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

from vtune.toolkit import packed_attention as attention
from vtune_orpheus import network

GROWTH = 256
"""Positions that the cache grows by."""

_MADE_OF = {
    network.LlamaForCausalLM, llama.LlamaForCausalLM, llama.LlamaModel, llama.LlamaDecoderLayer, llama.LlamaAttention,
    llama.LlamaMLP, llama.LlamaRMSNorm, llama.LlamaRotaryEmbedding, type(ACT2FN["silu"]), LoraLinear,
    nn.ModuleList, nn.ModuleDict, nn.ParameterDict, nn.Linear, nn.Embedding, nn.Dropout, nn.Identity,
}  # fmt: skip


def is_plain(model: nn.Module) -> bool:
    """Whether it is a Llama, with LoRA on linear modules or without, and nothing else: not quantised, no other kind of
    adapter, nothing that is elsewhere until it is needed.
    """
    config = getattr(model, "config", None)
    return (
        isinstance(model, llama.LlamaForCausalLM)
        and config is not None
        and config._attn_implementation in (attention.NAME, "sdpa")
        and config.rope_parameters["rope_type"] in ("default", "linear", "llama3")
        and all(type(module) in _MADE_OF and not hasattr(module, "_hf_hook") for module in model.modules())
        and all(_is_plain_lora(module) for module in model.modules() if isinstance(module, LoraLinear))
    )


def _is_plain_lora(module: Any) -> bool:
    odd = module.merged or module.fan_in_fan_out or module.lora_variant
    return not odd and all(up.bias is None for up in module.lora_B.values())


@dataclass(frozen=True, slots=True)
class Matrix:
    """A linear module, with what the adapters that are on add to it."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    added: tuple[tuple[torch.Tensor, torch.Tensor], ...]

    @classmethod
    def of(cls, module: Any) -> Matrix:
        """Take what a module has now."""
        if not isinstance(module, LoraLinear):
            return cls(module.weight, module.bias, ())
        on = [] if module.disable_adapters else [name for name in module.active_adapters if name in module.lora_A]
        added = [(module.lora_A[n].weight, module.lora_B[n].weight * module.scaling[n]) for n in on]
        return cls(module.base_layer.weight, module.base_layer.bias, tuple(added))

    def of_rows(self, rows: range) -> Matrix:
        """Return the part that gives some rows."""
        part = slice(rows.start, rows.stop)
        bias = None if self.bias is None else self.bias[part]
        return Matrix(self.weight[part], bias, tuple((down, up[part]) for down, up in self.added))

    def __call__(self, given: torch.Tensor) -> torch.Tensor:
        """Map ``[N, inputs]`` to ``[N, outputs]``."""
        said = functional.linear(given, self.weight, self.bias)
        for down, up in self.added:
            low = functional.linear(given.to(down.dtype), down)
            said = (said + functional.linear(low, up)).to(said.dtype)
        return said


class _Norm:
    def __init__(self, module: Any) -> None:
        self._weight, self._epsilon = module.weight, module.variance_epsilon

    def __call__(self, given: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(given, self._weight.shape, self._weight, self._epsilon)


class _Layer:
    def __init__(self, layer: Any) -> None:
        inner, mlp = layer.self_attn, layer.mlp
        self.before, self.after = _Norm(layer.input_layernorm), _Norm(layer.post_attention_layernorm)
        self.query, self.key, self.value = Matrix.of(inner.q_proj), Matrix.of(inner.k_proj), Matrix.of(inner.v_proj)
        self.out = Matrix.of(inner.o_proj)
        self.gate, self.up, self.down = Matrix.of(mlp.gate_proj), Matrix.of(mlp.up_proj), Matrix.of(mlp.down_proj)


Attend = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Takes the number of a layer, queries ``[N, heads, D]``, keys and values ``[N, fewer heads, D]``."""


class LlamaSteps:
    """See ``vtune_orpheus.steps.Steps``. Prompts are read one by one, so no row has padding, and each has positions of
    its own: what a row is told does not depend on the others.

    Keys and values take ``2 * layers * key_value_heads * head_dim`` numbers for each row and position, and as many
    positions as the longest row has, rounded up to 256: 112 KiB a position at 3B in bf16, 140 MiB for a row of 1,300.

    :param model: for which ``is_plain`` holds; its adapters are taken as they are on now.
    """

    most = 8

    @torch.no_grad()
    def __init__(self, model: Any) -> None:
        body, config = model.model, model.config
        self._embedding = body.embed_tokens.weight
        self._layers = [_Layer(layer) for layer in body.layers]
        self._norm, self._head = _Norm(body.norm), Matrix.of(model.lm_head)
        self._rotary, self._act = body.rotary_emb, ACT2FN[config.hidden_act]
        self._heads, self._shared = config.num_attention_heads, config.num_key_value_heads
        self._width = body.layers[0].self_attn.head_dim
        self._lengths: list[int] = []
        self._hidden = self._embedding.new_zeros(0, config.hidden_size)  # (B, H), of the last place of each row
        self._cache = [self._embedding.new_zeros(0, 2, self._shared, 0, self._width) for _ in self._layers]

    @torch.no_grad()
    def add(self, prompt: Sequence[int]) -> None:
        """See ``Steps``."""
        length = len(prompt)
        self._make_room(length)

        def attend(number: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
            cache = self._cache[number]
            query, key, value = (tensor.transpose(0, 1)[None] for tensor in (query, key, value))  # (1, heads, N, D)
            row = cache.new_zeros(1, *cache.shape[1:])
            row[0, 0, :, :length], row[0, 1, :, :length] = key[0], value[0]
            self._cache[number] = torch.cat([cache, row])
            said = functional.scaled_dot_product_attention(
                query, key, value, is_causal=True, enable_gqa=self._heads != self._shared
            )
            return said[0].transpose(0, 1)

        last = self._read(prompt, range(length), attend)[-1:]
        self._hidden = torch.cat([self._hidden, last])
        self._lengths.append(length)

    @torch.no_grad()
    def keep(self, rows: Sequence[int]) -> None:
        """See ``Steps``."""
        self._lengths = [self._lengths[row] for row in rows]
        self._hidden = self._hidden[list(rows)]
        for number, cache in enumerate(self._cache):
            self._cache[number] = cache[list(rows)]

    @torch.no_grad()
    def step(self, tokens: Sequence[int]) -> None:
        """See ``Steps``."""
        longest = max(self._lengths) + 1
        self._make_room(longest)
        rows = torch.arange(len(tokens), device=self._hidden.device)
        places = torch.tensor(self._lengths, device=self._hidden.device)
        mask = None
        if min(self._lengths) < longest - 1:
            mask = (torch.arange(longest, device=places.device) <= places[:, None])[:, None, None]  # (B, 1, 1, L)

        def attend(number: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
            cache = self._cache[number]
            cache[rows, :, :, places] = torch.stack((key, value), 1)
            keys, values = cache[:, :, :, :longest].unbind(1)
            # Heads that share keys are rows of one product.
            grouped = query.view(len(tokens), self._shared, -1, self._width)
            return functional.scaled_dot_product_attention(grouped, keys, values, attn_mask=mask)

        self._hidden = self._read(tokens, self._lengths, attend)
        self._lengths = [length + 1 for length in self._lengths]

    @torch.no_grad()
    def logits(self, ids: range) -> torch.Tensor:
        """See ``Steps``."""
        return self._head.of_rows(ids)(self._hidden).float()

    def _read(self, ids: Sequence[int], places: Sequence[int], attend: Attend) -> torch.Tensor:
        """Hidden states ``[N, H]`` of N tokens at their positions."""
        device = self._hidden.device
        hidden = functional.embedding(torch.tensor(ids, device=device), self._embedding)
        at = torch.tensor(places, device=device)
        cosine, sine = self._cosine[at], self._sine[at]  # (N, 1, D)
        for number, layer in enumerate(self._layers):
            given = layer.before(hidden)
            turning = torch.cat((layer.query(given), layer.key(given)), 1).view(len(ids), -1, self._width)
            turned = torch.addcmul(turning * cosine, _swapped(turning), sine)
            query, key = turned[:, : self._heads], turned[:, self._heads :]
            value = layer.value(given).view(len(ids), -1, self._width)
            hidden = hidden + layer.out(attend(number, query, key, value).reshape(len(ids), -1))
            given = layer.after(hidden)
            hidden = hidden + layer.down(self._act(layer.gate(given)) * layer.up(given))
        return self._norm(hidden)

    def _make_room(self, positions: int) -> None:
        """Let every row have so many positions."""
        there = self._cache[0].shape[3]
        if positions <= there:
            return
        wanted = -(-positions // GROWTH) * GROWTH
        for number, cache in enumerate(self._cache):
            self._cache[number] = functional.pad(cache, (0, 0, 0, wanted - there))
        cosine, sine = self._rotary(self._hidden, torch.arange(wanted, device=self._hidden.device)[None])
        half = self._width // 2
        self._cosine, self._sine = cosine[0][:, None], torch.cat((-sine[0, :, :half], sine[0, :, half:]), 1)[:, None]


def _swapped(turning: torch.Tensor) -> torch.Tensor:
    """Swap the halves of ``[..., D]``."""
    return turning.view(*turning.shape[:-1], 2, -1).flip(-2).view(turning.shape)
