"""Speaking on a GPU, compared with the plain way to compute the same."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from gpu_parts.kernel_checks import HALF_TOLERANCE, require_close
from gpu_parts.orpheus_training import TINY_SHAPE
from gpu_parts.parts import NotRunError, Settings
from gpu_parts.products import require_cuda
from vtune_orpheus.steppers import LlamaStepper, TransformersStepper, can_step

MIN_CORRELATION = 0.999


def stepper(settings: Settings) -> dict[str, Any]:
    """Read two prompts and some tokens with vtune's stepper and with transformers, in bf16."""
    config = transformers.LlamaConfig(**TINY_SHAPE, tie_word_embeddings=True)
    config._attn_implementation = "sdpa"
    torch.manual_seed(0)
    network = transformers.LlamaForCausalLM(config).to(settings.device, torch.bfloat16).eval()
    assert can_step(network)
    ours, found = LlamaStepper(network), []
    prompts = ([1, 2, 3, 4, 5], [6, 7, 8])
    with torch.inference_mode():
        for prompt in prompts:
            ours.add(prompt)
        plain = [TransformersStepper(network) for _ in prompts]
        for other, prompt in zip(plain, prompts, strict=True):
            other.add(prompt)
        for token in (9, 10, 11):
            ours.step([token] * len(prompts))
            for other in plain:
                other.step([token])
            expected = torch.cat([other.logits(range(300)) for other in plain])
            found.append(require_close([ours.logits(range(300))], [expected], HALF_TOLERANCE))
    return {"difference": max(found)}


def codec(settings: Settings) -> dict[str, Any]:
    """Encode and decode noise with the codec on the GPU and on the CPU (`codec_device: auto` and `cpu`)."""
    require_cuda(settings)
    from real_size_bases import CODEC
    from snac import SNAC

    from vtune_orpheus.frame_decoder import positional_noise

    torch.manual_seed(0)
    snac = SNAC(**CODEC).eval()
    for block in positional_noise(snac):
        block.frames = 12
    codes = [torch.randint(0, 4096, (1, 12 * count)) for count in (1, 2, 4)]
    with torch.inference_mode():
        expected = snac.decode(codes)[0, 0].numpy()
        snac.to(settings.device)
        sound = snac.decode([level.to(settings.device) for level in codes])[0, 0].cpu().numpy()
    correlation = float(np.corrcoef(expected, sound)[0, 1])
    assert correlation > MIN_CORRELATION, f"the correlation of the sounds is {correlation:.4f}"
    return {"correlation": correlation}


def attention(settings: Settings, implementation: str) -> dict[str, Any]:
    """Load a small base with another implementation of attention, and compare its loss with that of vtune's own."""
    require_cuda(settings)
    if implementation == "flash_attention_2" and importlib.util.find_spec("flash_attn") is None:
        raise NotRunError("a library is missing: flash-attn")
    from vtune_orpheus.base import OrpheusBase
    from vtune_orpheus.options import OrpheusOptions
    from vtune_orpheus.tiny_checkpoint import build
    from vtune_orpheus.training_rows import pad

    rows = [{"input_ids": np.arange(length) + 5, "labels": np.arange(length) + 5} for length in (40, 70)]
    losses = []
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), hidden=256, layers=2, heads=4)
        for name in ("auto", implementation):
            options = OrpheusOptions(base_model=folder, attn_implementation=name)  # type: ignore[arg-type]
            network = OrpheusBase(options, torch.device("cuda", 0), torch.bfloat16).new_network()
            batch = {key: tensor.to("cuda") for key, tensor in pad(rows, 0).items()}
            with torch.no_grad():
                losses.append(network(**batch)["loss"].reshape(1))
    return {"difference": require_close(losses[1:], losses[:1], HALF_TOLERANCE)}


def whisper(settings: Settings) -> dict[str, Any]:
    """Transcribe noise with openai-whisper, whose weights the environment variable VTUNE_WHISPER names."""
    require_cuda(settings)
    weights = os.environ.get("VTUNE_WHISPER", "")
    if not Path(weights).is_file():
        raise NotRunError("VTUNE_WHISPER names no file with weights of openai-whisper")
    from vtune.ingest.transcribe.openai_whisper import OpenAIWhisper

    recogniser = OpenAIWhisper(weights, "en", torch.device(settings.device))
    sounds = [np.random.default_rng(0).normal(0, 0.1, seconds * 16_000).astype(np.float32) for seconds in (1, 2)]
    assert len(recogniser.transcribe(sounds)) == len(sounds)
    return {}
