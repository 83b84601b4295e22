"""The tiny steps themselves: each raises an error if something does not work."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Step = Callable[[], Mapping[str, Any] | None]


def torch_facts() -> dict[str, Any]:
    """Import torch, and tell how it was built and what it sees."""
    import torch

    facts: dict[str, Any] = {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "gpus": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps_built": torch.backends.mps.is_built(),
        "mps": torch.backends.mps.is_available(),
        "xpu": torch.xpu.is_available() if hasattr(torch, "xpu") else False,
        "architectures": [],
    }
    if facts["gpus"]:
        capability = torch.cuda.get_device_capability(0)
        free, total = torch.cuda.mem_get_info(0)
        facts |= {
            "gpu": torch.cuda.get_device_name(0),
            "capability": list(capability),
            "gpu_free": free,
            "gpu_total": total,
            "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
            "architectures": torch.cuda.get_arch_list(),
        }
    return facts


def training_step(device: str, kind: str) -> None:
    """Train a small layer for a step, as the training loop does: autocast, and a scaler for fp16."""
    import torch

    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 64).to(device)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-3)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[kind]
    scaler = torch.amp.GradScaler(device, enabled=kind == "fp16" and device == "cuda")
    rows = torch.randn(8, 64, device=device)
    with torch.autocast(device, dtype, enabled=kind != "fp32"):
        loss = layer(rows).float().square().mean()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    if not all(bool(torch.isfinite(parameter).all()) for parameter in layer.parameters()):
        raise ArithmeticError("the weights are no numbers after one step")


def attention_step(device: str, flash: bool) -> None:
    """Compute attention and its gradient; with ``flash``, by the flash kernel and no other."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    dtype = torch.float32 if device == "cpu" else torch.float16
    query, key, value = (torch.randn(1, 4, 32, 64, device=device, dtype=dtype, requires_grad=True) for _ in range(3))
    kernels = [SDPBackend.FLASH_ATTENTION] if flash else [SDPBackend.MATH, SDPBackend.EFFICIENT_ATTENTION]
    if not flash and device not in ("cpu", "cuda"):
        kernels = [SDPBackend.MATH]
    with sdpa_kernel(kernels):
        answer: torch.Tensor = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    answer.sum().backward()  # type: ignore[no-untyped-call]


def quantised_step(device: str) -> None:
    """Compute with weights of 4 bits, as a QLoRA training does."""
    import bitsandbytes
    import torch

    layer = bitsandbytes.nn.Linear4bit(64, 64, compute_dtype=torch.float32, quant_type="nf4").to(device)
    rows = torch.randn(2, 64, device=device, requires_grad=True)
    layer(rows).sum().backward()
    if rows.grad is None or not bool(torch.isfinite(rows.grad).all()):
        raise ArithmeticError("the gradient is no number")


def coded_sound(name: str) -> None:
    """Encode a short tone with a codec of PyAV."""
    import numpy as np

    from vtune.audio.formats import FORMATS

    audio_format = FORMATS[name]
    rate = audio_format.rate_for(24000)
    encoder = audio_format.encoder(rate, "")
    tone = (0.1 * np.sin(np.arange(rate // 2) / 10)).astype(np.float32)
    if len(encoder.add(tone) + encoder.end()) < 100:
        raise ValueError(f"{name} gave nothing")


def whisper_files() -> dict[str, Any]:
    """Look for weights of Whisper: in the file that the variable names, in the cache, in a package."""
    import os

    from vtune.ingest.transcribe.whisper_weights import VARIABLE, cache_folder, local_weights

    named, path = os.environ.get(VARIABLE, ""), local_weights()
    there = {file.stem for file in cache_folder().glob("*.pt")}
    if path is not None and path.is_file():
        there.add(path.stem)
    return {
        "named": named, "named_exists": bool(named) and path is not None and path.is_file(), "there": sorted(there),
        "path": None if path is None else str(path),
    }  # fmt: skip


def recognised_sound() -> None:
    """Let a small Whisper transcribe a second of silence; larger ones are only opened in a run."""
    import numpy as np
    import torch

    from vtune.ingest.transcribe.openai_whisper import OpenAIWhisper
    from vtune.ingest.transcribe.whisper_weights import local_weights

    path = local_weights()
    assert path is not None, "the check looks for weights first"
    if path.stat().st_size < MAX_TRIED_BYTES:
        OpenAIWhisper(str(path), None, torch.device("cpu")).transcribe([np.zeros(16_000, np.float32)])


def compared_speakers() -> None:
    """Embed two seconds of noise with the speaker encoder."""
    import numpy as np

    from vtune.audio.speaker_embedding import SpeakerEncoder

    noise = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)
    length = float(np.linalg.norm(SpeakerEncoder().embed(noise, 16_000)))
    if abs(length - 1) > 1e-3:
        raise ArithmeticError(f"an embedding has the length {length}")


def judged_naturalness() -> None:
    """Let DistillMOS judge a second of noise."""
    import numpy as np
    import torch

    from vtune.evaluation.metrics.naturalness import load_distillmos

    noise = np.random.default_rng(0).normal(0, 0.1, (1, 16_000)).astype(np.float32)
    with torch.inference_mode():
        score = float(load_distillmos()(torch.from_numpy(noise)))
    if not 0 < score < 6:
        raise ArithmeticError(f"the score is {score}")


def imported(module: str) -> None:
    """Import a module."""
    importlib.import_module(module)


MAX_TRIED_BYTES = 400 << 20
"""Weights up to ``small`` are loaded for a try; ``medium`` takes 1.5 GB of reading and as much memory."""

MODULES = ("peft", "transformers", "whisper", "torchaudio", "torchvision")
DEVICES = ("cpu", "cuda", "mps", "xpu")
STEPS: dict[str, Step] = {
    "torch": torch_facts,
    **{f"{kind} on {device}": partial(training_step, device, kind) for device in DEVICES for kind in ("fp32", "bf16")},
    **{f"fp16 on {device}": partial(training_step, device, "fp16") for device in DEVICES[1:]},
    **{f"attention on {device}": partial(attention_step, device, flash=False) for device in DEVICES},
    "flash attention on cuda": partial(attention_step, "cuda", flash=True),
    "bitsandbytes on cpu": partial(quantised_step, "cpu"),
    "bitsandbytes on cuda": partial(quantised_step, "cuda"),
    **{f"encode {name}": partial(coded_sound, name) for name in ("mp3", "opus", "flac")},
    "weights of whisper": whisper_files,
    "recognise": recognised_sound,
    "compare speakers": compared_speakers,
    "judge naturalness": judged_naturalness,
    **{f"import {module}": partial(imported, module) for module in MODULES},
}
"""The steps by name; ``fp16`` is left out on a CPU, which cannot train in it."""
