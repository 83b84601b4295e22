"""Code of vtune that only a GPU runs, checked against the plain way to compute the same. A check that fails raises."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch import nn

from gpu_parts.parts import NotRunError, Settings
from gpu_parts.products import require_cuda, synchronize
from vtune.runtime.device import is_out_of_memory, release_memory
from vtune.toolkit import packed_attention
from vtune.training.further_optimizers import FurtherOptimizer
from vtune.training.loss_watch import LossWatch
from vtune_orpheus.loss import summed_loss

LENGTHS = (5, 64, 1, 130)
HALF_TOLERANCE = 5e-2
"""Largest difference of bf16 and float32, as a share of the largest number."""


def varlen(settings: Settings) -> dict[str, Any]:
    """Compare the kernel for all clips with attention clip by clip in float32: output and gradients."""
    require_cuda(settings)
    dtype = torch.bfloat16
    query, key, value = heads(settings.device, dtype)
    if not packed_attention._flash_is_supported(query, dtype):
        raise NotRunError("flash attention does not support this GPU")
    calls: list[int] = []
    kernel = packed_attention._varlen_kernel()
    if kernel is None:
        raise NotRunError("this torch has no varlen_attn with scale, window_size and enable_gqa")

    def counted(*args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(1)
        return kernel(*args, **kwargs)

    with mock.patch.object(packed_attention, "_varlen_kernel", return_value=counted):
        fast = gradients(lambda *given: attended(*given), (query, key, value))
    assert calls, "the kernel was not called"
    plain = gradients(lambda *given: clip_by_clip(*given), [tensor.detach().float() for tensor in (query, key, value)])
    return {"difference": require_close(fast, plain, HALF_TOLERANCE)}


def varlen_under_autocast(settings: Settings) -> dict[str, Any]:
    """Check that queries in float32 use the kernel under autocast, as they do when all weights are trained."""
    require_cuda(settings)
    query, key, value = heads(settings.device, torch.float32)
    with torch.autocast("cuda", torch.bfloat16):
        fast = gradients(lambda *given: attended(*given), (query, key, value))
    with (
        torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile,
        torch.autocast("cuda", torch.bfloat16),
    ):
        attended(query, key, value)
    names = {event.key for event in profile.key_averages()}
    if packed_attention._flash_is_supported(query, torch.bfloat16) and packed_attention._varlen_kernel() is not None:
        assert any("varlen" in name for name in names), "clip by clip, although the kernel could be used"
    plain = gradients(lambda *given: clip_by_clip(*given), [tensor.detach() for tensor in (query, key, value)])
    return {"difference": require_close(fast, plain, HALF_TOLERANCE)}


def grouped_heads(settings: Settings) -> dict[str, Any]:
    """Compare attention clip by clip in half precision with float32, where keys have fewer heads than queries."""
    dtype = torch.float16 if settings.device == "cuda" else torch.bfloat16
    tensors = heads(settings.device, dtype)
    half = gradients(lambda *given: clip_by_clip(*given), tensors)
    plain = gradients(lambda *given: clip_by_clip(*given), [tensor.detach().float() for tensor in tensors])
    return {"difference": require_close(half, plain, HALF_TOLERANCE)}


def heads(device: str, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return queries of 8 heads, and keys and values of 2: ``[1 x heads x T x 64]``."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, count, sum(LENGTHS), 64) for count in (8, 2, 2)]
    query, key, value = (torch.randn(shape, generator=generator).to(device, dtype) for shape in shapes)
    return query, key, value


def attended(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Compute attention as vtune's networks do."""
    return packed_attention.attend(nn.Module(), query, key, value, None, clip_lengths=LENGTHS)[0]


def clip_by_clip(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Compute attention clip by clip."""
    return packed_attention.attend_clip_by_clip(query, key, value, LENGTHS, 0.0, None)


def gradients(function: Callable[..., torch.Tensor], given: Any) -> list[torch.Tensor]:
    """Return what a function computes, and the gradients of what it is given for a weighted sum of that."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in given]
    output = function(*leaves)
    weights = torch.linspace(-1, 1, output.numel(), device=output.device).view(output.shape)
    (output.float() * weights).sum().backward()
    return [output.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


def require_close(first: list[torch.Tensor], second: list[torch.Tensor], tolerance: float) -> float:
    """Return the largest difference as a share of the largest number, and check it."""
    differences = [
        float((a.float() - b.float()).abs().max() / b.float().abs().max().clamp(min=1e-9))
        for a, b in zip(first, second, strict=True)
    ]
    assert max(differences) <= tolerance, f"the difference is {max(differences):.3g}; {tolerance:g} is allowed"
    return max(differences)


def chunked_loss(settings: Settings) -> dict[str, Any]:
    """Compare the loss in chunks under autocast with cross entropy in float32."""
    torch.manual_seed(0)
    vocabulary = 500 if settings.small else 156_940
    with torch.device(settings.device):
        hidden = torch.randn(300, 64)
        head, labels = torch.randn(vocabulary, 64) * 0.1, torch.randint(0, vocabulary, (300,))
    labels[::7] = -100
    dtype = torch.bfloat16

    def ours(given: torch.Tensor) -> torch.Tensor:
        with torch.autocast(settings.device, dtype):
            return summed_loss(given, head, labels)

    def plain(given: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(given @ head.T, labels, ignore_index=-100, reduction="sum")

    return {"difference": require_close(gradients(ours, [hidden]), gradients(plain, [hidden]), HALF_TOLERANCE)}


def checkpointing(settings: Settings) -> dict[str, Any]:
    """Check that checkpointing gives the same gradients, bit by bit, dropout included."""
    from training import ARMS, made_clips
    from transformers import LlamaConfig

    from gpu_parts.orpheus_training import TINY_SHAPE

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)  # the backward pass of flash attention adds up in any order otherwise
    found = []
    for active in (False, True):
        arm = ARMS["vtune"](LlamaConfig(**TINY_SHAPE, tie_word_embeddings=True), settings.device, "bfloat16")
        if active:
            arm.network.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        batch = arm.collate(made_clips(3, 300, seed=0))
        torch.manual_seed(0)
        with torch.autocast(settings.device, torch.bfloat16):
            arm.model.train()(**{name: tensor.to(settings.device) for name, tensor in batch.items()})["loss"].backward()
        found.append({name: p.grad for name, p in arm.model.named_parameters() if p.grad is not None})
    different = [name for name in found[0] if not torch.equal(found[0][name], found[1][name])]
    assert not different, f"the gradients of {len(different)} tensors differ, such as {different[0]}"
    return {}


def loss_watch(settings: Settings) -> dict[str, Any]:
    """Check that a loss that is no number is found, and that finite ones are not."""
    from vtune import TrainingError

    watch = LossWatch()
    for step in range(1, 4):
        watch.add(torch.tensor(float(step), device=settings.device), step)
        watch.check()
    watch.check(wait=True)
    watch.add(torch.tensor(float("nan"), device=settings.device), 4)
    message = ""
    try:
        watch.check(wait=True)
    except TrainingError as error:
        message = str(error)
    assert "step 4" in message, "a loss that is no number was not found"
    return {}


def scaler_skips(settings: Settings) -> dict[str, Any]:
    """Check that a step with an overflow changes no weight and halves the scale."""
    require_cuda(settings)
    further = _further(settings)
    ((name, parameter),) = further.parameters.items()
    before, scale = parameter.detach().clone(), None
    for factor in (1.0, float("inf")):
        further.scaler.scale(parameter.sum() * factor).backward()
        further.step()
        if factor == 1.0:
            assert not torch.equal(before, parameter), f"{name} has not moved"
            before, scale = parameter.detach().clone(), further.scaler.get_scale()
    assert torch.equal(before, parameter), "a step with an overflow was made"
    assert further.scaler.get_scale() == scale / 2, "the scale is the same after an overflow"
    return {}


def two_scalers(settings: Settings) -> dict[str, Any]:
    """Check that an overflow of one optimizer leaves the scale of another one."""
    require_cuda(settings)
    first, second = _further(settings), _further(settings)
    for further, factor in ((first, float("inf")), (second, 1.0)):
        (parameter,) = further.parameters.values()
        further.scaler.scale(parameter.sum() * factor).backward()
        further.step()
    assert first.scaler.get_scale() == second.scaler.get_scale() / 2
    return {}


def _further(settings: Settings) -> FurtherOptimizer:
    parameter = nn.Parameter(torch.ones(4, device=settings.device))
    optimizer = torch.optim.AdamW([parameter], lr=0.1, fused=settings.device == "cuda")
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return FurtherOptimizer(optimizer, {"part.weight": parameter}, schedule, torch.amp.GradScaler(settings.device), 1.0)


def quantised_parts(settings: Settings) -> dict[str, Any]:
    """Check that a part beside quantised layers is trained in float32, and that a quantised part is refused."""
    require_cuda(settings)
    import bitsandbytes

    from vtune import EngineError
    from vtune.training.parts import TrainingParts

    model = nn.ModuleDict(
        {"linear": bitsandbytes.nn.Linear4bit(64, 64, bias=False), "norm": nn.LayerNorm(64, dtype=torch.bfloat16)}
    ).to(settings.device)
    parts = TrainingParts(model, {"norm": model["norm"]}, torch.device(settings.device), "the check")
    assert {parameter.dtype for parameter in parts.parameters().values()} == {torch.float32}
    refused = False
    try:
        TrainingParts(model, {"linear": model["linear"]}, torch.device(settings.device), "the check")
    except EngineError:
        refused = True
    assert refused, "a quantised part was taken"
    return {}


def out_of_memory(settings: Settings) -> dict[str, Any]:
    """Ask for more memory than there is, and check that vtune recognises the error and gives back what it had."""
    require_cuda(settings)
    free, _ = torch.cuda.mem_get_info()
    kept = [torch.empty(free // 4, dtype=torch.uint8, device="cuda")]
    recognised = False
    try:
        kept.append(torch.empty(free, dtype=torch.uint8, device="cuda"))
    except RuntimeError as error:
        recognised = is_out_of_memory(error)
    assert recognised, "there was no error, or it was not recognised"
    kept.clear()
    release_memory()
    synchronize(settings.device)
    assert torch.cuda.mem_get_info()[0] > 0.9 * free, "the memory was not given back"
    return {}
