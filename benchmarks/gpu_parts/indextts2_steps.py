"""Training steps of IndexTTS2's GPT at the published size: packed, and in the two ways in which others pad."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from counting import default_dtype
from indextts2_gate import CONFIG, PaddedNetwork
from indextts2_training import made_rows, padded
from peft.helpers import disable_input_dtype_casting
from torch import nn

import vtune_indextts2
from gpu_parts.orpheus_training import WARM_UP_STEPS
from gpu_parts.parts import NotRunError, Settings
from gpu_parts.products import peak_bytes, synchronize
from vtune import LoraSettings, attach_lora
from vtune.training.weight_casting import cast_weights_per_product
from vtune_indextts2.config import read_config
from vtune_indextts2.gpt.network import SemanticGPT, SemanticGPTConfig
from vtune_indextts2.training_rows import batch_rows

CLIPS, SECONDS = 8, 13.0
"""Clips of a batch, and the length of the longest; the shortest is half as long."""


def measure(
    settings: Settings,
    way: str,
    precision: str = "bf16",
    checkpointing: bool = False,
    dropout: float = 0.1,
    optimizer: str = "adamw_torch",
) -> dict[str, Any]:
    """Train for the given time on one batch.

    :param way: ``packed`` (vtune), ``padded apart`` (text and codes each to the longest) or ``padded`` (the usual form,
        with the logits of every position).
    """
    if settings.device == "cpu" and (precision == "fp16" or "bnb" in optimizer):
        raise NotRunError("needs a CUDA GPU")
    gpt = read_config(CONFIG).gpt
    if settings.small:
        gpt = gpt.model_copy(update={"model_dim": 32, "layers": 2, "heads": 2})
    rows = made_rows(gpt, 2 if settings.small else CLIPS, 0.5 if settings.small else SECONDS)
    batch = padded(rows) if way == "padded apart" else batch_rows(rows)
    real = sum(len(row.ids) for _, row in rows) + gpt.prefix * len(rows)
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    torch.manual_seed(0)
    with torch.device(settings.device), default_dtype(dtype):
        network = (PaddedNetwork if way == "padded" else SemanticGPT)(
            SemanticGPTConfig(settings=gpt.model_dump(), dropout=dropout)
        )
    network.requires_grad_(False)
    lora = LoraSettings(rank=16, alpha=32, targets=("attention+mlp",))
    model = attach_lora(network, lora, vtune_indextts2.engine_info().lora_targets).train()
    if checkpointing:
        network.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    if settings.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if "bnb" in optimizer:
        import bitsandbytes

        made: Any = bitsandbytes.optim.AdamW8bit(learning, lr=1e-4)
    else:
        made = torch.optim.AdamW(learning, lr=1e-4, fused=settings.device == "cuda")
    on_device = {name: value.to(settings.device) for name, value in batch.items()}
    seconds = step_seconds(model, on_device, made, settings, dtype)
    median = float(np.median(seconds))
    return {
        "tokens_per_second": real / median,
        "seconds_per_step": median,
        "steps": len(seconds),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "peak_bytes": peak_bytes(settings.device),
    }


def step_seconds(
    model: nn.Module, batch: Any, optimizer: torch.optim.Optimizer, settings: Settings, dtype: torch.dtype
) -> list[float]:
    """Return the seconds of each step after the first ones, on one batch, as vtune's loop makes them."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    scaler = torch.amp.GradScaler(settings.device, enabled=dtype == torch.float16)
    took: list[float] = []
    ended = time.perf_counter() + settings.seconds
    while len(took) <= WARM_UP_STEPS or time.perf_counter() < ended:
        began = time.perf_counter()
        with disable_input_dtype_casting(model), cast_weights_per_product(model, active=True):
            with torch.autocast(settings.device, dtype):
                loss = model(**batch)["loss"]
            scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(learning, 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        synchronize(settings.device)
        took.append(time.perf_counter() - began)
    return took[WARM_UP_STEPS:]
