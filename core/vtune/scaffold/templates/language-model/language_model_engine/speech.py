"""Speaking: sample tokens with a KV cache, and decode each frame as soon as it is complete."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import torch
import vtune
from torch import nn
from transformers import DynamicCache

from language_model_engine.codec import FRAME_SAMPLES, SAMPLE_RATE, Decoder
from language_model_engine.tokens import END_OF_SOUND, SLOT_COUNT, allowed_tokens, frame_codes, prompt_tokens


def speak(
    model: nn.Module, text: str, seconds_per_character: float, temperature: float, seed: int
) -> Iterator[vtune.Audio]:
    """Yield the sound of a text frame by frame; each sentence is an utterance of its own.

    :param seconds_per_character: an utterance that is longer than this is stopped.
    """
    for index, sentence in enumerate(re.split(r"(?<=[.!?])\s+", text.strip())):
        decoder = Decoder()
        max_frames = 1 + int(len(sentence) * seconds_per_character * SAMPLE_RATE / FRAME_SAMPLES)
        tokens = sample_frames(model, prompt_tokens(sentence), max_frames, temperature, seed + index)
        for frame, ending in tokens:
            yield vtune.Audio(decoder.decode(frame_codes(frame)), SAMPLE_RATE, ending)


def sample_frames(
    model: nn.Module, prompt: Sequence[int], max_frames: int, temperature: float, seed: int
) -> Iterator[tuple[list[int], vtune.Ending | None]]:
    """Yield the six tokens of each frame; the last frame comes with the reason why no other follows."""
    generator = torch.Generator().manual_seed(seed)
    cache = DynamicCache()
    unread = list(prompt)
    frame: list[int] = []
    for position in range(max_frames * SLOT_COUNT):
        input_ids = torch.tensor([unread], device=next(model.parameters()).device)
        logits = model(input_ids=input_ids, cache=cache, use_cache=True)["logits"][0, -1]
        token = choose(logits.float().cpu(), allowed_tokens(position), temperature, generator)
        if len(frame) == SLOT_COUNT:
            yield frame, vtune.Ending.END_TOKEN if token == END_OF_SOUND else None
            frame = []
        if token == END_OF_SOUND:
            return
        frame.append(token)
        unread = [token]
    yield frame, vtune.Ending.RUNAWAY


def choose(logits: torch.Tensor, allowed: Sequence[int], temperature: float, generator: torch.Generator) -> int:
    """Return one of the allowed tokens, by chance, or the most likely if the temperature is 0.

    The choice is made on the CPU, so that a seed gives the same tokens on every device.

    :param logits: float32 ``[V]``.
    """
    scores = logits[list(allowed)]
    if temperature == 0:
        return allowed[int(scores.argmax())]
    probabilities = (scores / temperature).softmax(-1)
    return allowed[int(torch.multinomial(probabilities, 1, generator=generator))]
