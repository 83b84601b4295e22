"""Multiply by frozen float32 weights in half precision without half-precision copies that stay until backward.

Autocast casts a weight for each product and keeps the copy for backward: 5.2 GiB for a base of 3B on a CPU. Here the
copy exists for one product, and backward makes it again: the same numbers, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from transformers.pytorch_utils import Conv1D


@contextmanager
def cast_weights_per_product(model: nn.Module, *, active: bool) -> Iterator[None]:
    """Cast the float32 weights of frozen linear modules to autocast's dtype for one product at a time.

    :param active: False changes nothing.
    """
    kinds: dict[type, Any] = {nn.Linear: _Linear, Conv1D: _Conv1D}
    changed = [module for module in model.modules() if active and type(module) in kinds and _is_frozen(module)]
    for module in changed:
        module.forward = partial(_forward, kinds[type(module)], module, module.forward)
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _is_frozen(module: Any) -> bool:
    own = [parameter for parameter in (module.weight, module.bias) if parameter is not None]
    plain = "forward" not in vars(module) and module.weight.dtype == torch.float32
    return plain and not any(parameter.requires_grad for parameter in own)


def _forward(
    function: Any, module: Any, forward: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor
) -> torch.Tensor:
    kind = inputs.device.type
    if not torch.is_autocast_enabled(kind):
        return forward(inputs)
    product: torch.Tensor = function.apply(inputs, module.weight, module.bias, torch.get_autocast_dtype(kind))
    return product


class _Linear(torch.autograd.Function):
    """``inputs @ weight.T + bias`` as ``nn.Linear`` has it; ``inputs`` is [..., in_features]."""

    @staticmethod
    def forward(
        ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype
    ) -> torch.Tensor:
        ctx.save_for_backward(weight)
        ctx.dtypes = inputs.dtype, dtype
        with torch.autocast(inputs.device.type, enabled=False):
            narrow = None if bias is None else bias.to(dtype)
            return nn.functional.linear(inputs.to(dtype), weight.to(dtype), narrow)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (weight,), (wide, narrow) = ctx.saved_tensors, ctx.dtypes
        return (grad_output @ weight.to(narrow)).to(wide), None, None, None


class _Conv1D(torch.autograd.Function):
    """``inputs @ weight + bias`` as GPT-2's modules have it; ``inputs`` is [..., in_features]."""

    @staticmethod
    def forward(
        ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, dtype: torch.dtype
    ) -> torch.Tensor:
        ctx.save_for_backward(weight)
        ctx.dtypes = inputs.dtype, dtype
        with torch.autocast(inputs.device.type, enabled=False):
            rows = inputs.to(dtype).view(-1, inputs.shape[-1])
            return torch.addmm(bias.to(dtype), rows, weight.to(dtype)).view(*inputs.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (weight,), (wide, narrow) = ctx.saved_tensors, ctx.dtypes
        return (grad_output @ weight.to(narrow).T).to(wide), None, None, None
