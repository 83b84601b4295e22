"""Speaking with Orpheus at the shape of 3B: tokens per second of several rows, and the time to the first sound."""

from __future__ import annotations

import time
from typing import Any

import torch
from real_size_bases import CODEC
from training import ARMS

from gpu_parts.orpheus_training import shape
from gpu_parts.parts import Settings
from gpu_parts.products import peak_bytes, synchronize
from vtune_orpheus.decode_batch import DecodeBatch, DecodeRequest, sample_from_network
from vtune_orpheus.frame_decoder import FrameDecoder
from vtune_orpheus.layout import SLOTS, Layout, derive_layout
from vtune_orpheus.sampling import OrpheusSampling, sample_frames
from vtune_orpheus.steppers import make_stepper
from vtune_orpheus.tiny_checkpoint import build_tokenizer

TOKENS_PER_SECOND_OF_SOUND = 7 * 24_000 / 2048
PROMPT_TOKENS = 40
WARM_UP_FRAMES = 2
MAX_FRAMES = 120
TRIES = 5
SAMPLING = OrpheusSampling(temperature=0.6, top_p=0.8, repetition_penalty=1.3, max_new_tokens=7 * 1000)


def measure(settings: Settings, rows: int) -> dict[str, Any]:
    """Decode rows of one length at the same time, with an adapter, and return tokens per second of all rows."""
    model, layout, _ = speaking(settings)
    stepper: Any = make_stepper(model)
    stepper.max_rows = rows  # an own attribute: the class keeps what vtune takes by default
    batch = DecodeBatch(stepper, layout)
    for seed in range(rows):
        batch.add(DecodeRequest(prompt(layout), SAMPLING.max_new_tokens, seed, SAMPLING))
    with torch.inference_mode():
        for _ in range(WARM_UP_FRAMES):
            batch.decode_frame()
        synchronize(settings.device)
        began, tokens, frames = time.perf_counter(), 0, 0
        while len(batch) and frames < (2 if settings.small else MAX_FRAMES):
            tokens += SLOTS * len(batch)  # rows that end in this frame count as whole
            batch.decode_frame()
            frames += 1
            if time.perf_counter() - began > settings.seconds:
                break
        synchronize(settings.device)
        speed = tokens / (time.perf_counter() - began)
    return {
        "tokens_per_second": speed,
        "times_real_time": speed / TOKENS_PER_SECOND_OF_SOUND,
        "peak_bytes": peak_bytes(settings.device),
    }


def first_sound(settings: Settings) -> dict[str, Any]:
    """Speak an utterance as a stream several times; return the seconds to its first sound, the first time left out."""
    model, layout, codec = speaking(settings)
    took = []
    with torch.inference_mode():
        for seed in range(1 + (1 if settings.small else TRIES)):
            synchronize(settings.device)
            began = time.perf_counter()
            decoder = FrameDecoder(codec, layout, seed, first_frames=2)
            frames = sample_frames(
                lambda *asked: sample_from_network(model, layout, *asked),
                layout,
                prompt(layout),
                SAMPLING,
                7 * 60,
                seed,
            )
            sound = next(
                sound for frame, ending in frames if ending is None and (sound := decoder.push(frame)) is not None
            )
            assert len(sound)
            took.append(time.perf_counter() - began)
    return {"first_sound_seconds": sorted(took[1:])[len(took[1:]) // 2], "cold_seconds": took[0]}


def speaking(settings: Settings) -> tuple[Any, Layout, Any]:
    """Return a network with an adapter, the layout of its tokens, and a codec on the CPU as by default."""
    from snac import SNAC

    from vtune_orpheus.tiny_checkpoint import CODEC_CONFIG

    codec = {**CODEC_CONFIG, "decoder_dim": 32, "codebook_size": 16} if settings.small else CODEC
    tokenizer = build_tokenizer(codec["codebook_size"])
    config = shape(settings)
    config.vocab_size = max(config.vocab_size, -(-len(tokenizer) // 8) * 8)
    torch.manual_seed(0)
    model = ARMS["vtune"](config, settings.device, "bfloat16").model.eval()
    layout = derive_layout(tokenizer, codec, config.vocab_size, "random weights")
    return model, layout, SNAC(**codec).eval().requires_grad_(False)


def prompt(layout: Layout) -> list[int]:
    """Return a prompt of some letters."""
    return [*range(10, 10 + PROMPT_TOKENS), layout.start_of_speech]
