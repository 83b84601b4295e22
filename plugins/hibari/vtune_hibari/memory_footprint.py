"""Estimate the memory and computation of a training from the shapes of a base, without reading its weights.

A token is one sample of sound at 24,000 Hz. What a block keeps for the backward pass follows from its operations; a
test counts what autograd really keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from vtune import Footprint, LoraSettings
from vtune.toolkit import adapter_size
from vtune_hibari.bases import open_base
from vtune_hibari.network.settings import (
    BINS,
    FFT_SAMPLES,
    HOP_SAMPLES,
    SAMPLE_RATE,
    SPECTRAL_PARTS,
    STEP_FRAMES,
    BlockStackSettings,
    HibariSettings,
    TextEncoderSettings,
)
from vtune_hibari.network.voice import HibariNetwork

if TYPE_CHECKING:
    from torch import nn

    from vtune_hibari.options import HibariOptions

SYMBOLS_PER_SECOND = 15.0
"""Phonemes, marks and spaces of a second of English."""

SOUND_NUMBERS = 22.0
"""Numbers that the sum of the three spectra keeps for one band of one frame."""

LOSS_NUMBERS = 12.0
"""Numbers that the losses keep for one band of one frame."""

SPOKEN_SECONDS = 30.0
"""The longest sentence, see ``speech.MAX_SENTENCE_SYMBOLS``."""


def estimate(options: HibariOptions, lora: LoraSettings, presets: Mapping[str, tuple[str, ...]]) -> Footprint:
    """Count parameters, bytes and operations for the shapes of the base.

    :param presets: the engine's presets of LoRA targets.
    """
    settings = open_base(options.base_model).settings
    network = empty_network(settings)
    adapter = adapter_size(empty_network(settings), lora, presets)
    parameters = _count(network)
    sample_bytes = 4 * frame_numbers(settings) / HOP_SAMPLES
    largest = 4 * max(parameter.numel() for parameter in network.parameters())
    spoken_frames = SPOKEN_SECONDS * SAMPLE_RATE / HOP_SAMPLES
    return Footprint(
        parameters=parameters,
        trainable=adapter.parameters,
        tensors=adapter.tensors,
        tokens_per_second=SAMPLE_RATE,
        tokens_per_clip=0.0,
        weight_bytes=4 * parameters,
        token_bytes=sample_bytes,
        token_bytes_checkpointed=sample_bytes,  # the network has no blocks that could be computed again
        token_flops=6.0 * _frame_products(network) / HOP_SAMPLES,
        pass_bytes=adapter.pass_numbers * 4,
        longest_seconds=options.max_seconds,
        # The parts, the three spectra and their sum, the windows and their power.
        speaking_bytes=4 * spoken_frames * (SPECTRAL_PARTS * BINS + 4 * 2 * BINS + 2 * FFT_SAMPLES),
        largest_bytes=largest,
        tensor_bytes=largest,
    )


def frame_numbers(settings: HibariSettings) -> float:
    """Return how many numbers forward and backward keep for one frame of 12.5 ms."""
    frames_per_second = SAMPLE_RATE / HOP_SAMPLES
    text = sum(map(_text_numbers, (settings.acoustic_encoder, settings.prosody_encoder)))
    decoder = _stack_numbers(settings.decoder) + settings.decoder.width + SPECTRAL_PARTS * BINS
    return (
        text * SYMBOLS_PER_SECOND / frames_per_second
        + _stack_numbers(settings.prosody) / STEP_FRAMES
        + decoder
        + (SOUND_NUMBERS + LOSS_NUMBERS) * BINS
    )


def empty_network(settings: HibariSettings) -> HibariNetwork:
    """Return the network without weights, on the device ``meta``."""
    with torch.device("meta"):
        return HibariNetwork(settings)


def _stack_numbers(stack: BlockStackSettings | TextEncoderSettings) -> float:
    """Count what convolution blocks keep of one column: four widths, and two that are expanded."""
    return len(stack.dilations) * (4.0 * stack.width + 2.0 * stack.expanded)


def _text_numbers(encoder: TextEncoderSettings) -> float:
    """Count what a text encoder keeps of one symbol."""
    return _stack_numbers(encoder) + encoder.passes * (8.0 * encoder.width + 2.0 * encoder.expanded)


def _frame_products(network: HibariNetwork) -> float:
    """Count the multiplications for one frame: decoder, half of the prosody predictor, and the text."""
    text = sum(
        _count(encoder.blocks) + encoder.passes * _count(encoder.layer)
        for encoder in (network.acoustic_encoder, network.prosody_encoder)
    )
    return (
        _count(network.decoder)
        + _count(network.prosody_predictor) / STEP_FRAMES
        + text * SYMBOLS_PER_SECOND * HOP_SAMPLES / SAMPLE_RATE
    )


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
