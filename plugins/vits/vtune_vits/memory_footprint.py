"""Estimate the memory and computation of a training from the files of a base, without reading its weights.

A token is one sample of sound at the base's rate. The constants were measured on a base of quality "medium" by counting
what autograd keeps for a backward pass (torch 2.13, 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from vtune import Footprint, LoraSettings
from vtune.toolkit import adapter_size
from vtune_vits.bases import open_base
from vtune_vits.network.discriminators import Discriminators
from vtune_vits.network.spectrogram_discriminators import SpectrogramDiscriminators
from vtune_vits.network.voice import VitsNetwork
from vtune_vits.training.objective import FILTERED_SEGMENT_SAMPLES, SEGMENT_SAMPLES

if TYPE_CHECKING:
    from torch import nn

    from vtune_vits.network.settings import VitsSettings, VocoderSettings
    from vtune_vits.options import VitsOptions

LAYER_NUMBERS = 4.8
"""Numbers that a WaveNet layer keeps for one channel of one frame."""

CONVOLUTION_NUMBERS = 3.0
"""Numbers that a convolution of the vocoder with an adapter keeps for one channel of one sample; 2 without one."""

FRAME_NUMBERS = 11.0
"""Numbers that a block of the vocoder of source and filters keeps for one channel of one frame."""

COMPARED_NUMBERS = 70.0
"""Numbers that the spectra in which a made sound is compared keep for one of its samples."""

FILTERED_SAMPLE_NUMBERS = 190.0
"""Numbers that the synthesis of two sounds, and the spectra in which they are compared, keep for one sample."""

FILTERED_SPOKEN_NUMBERS = 100.0
"""Numbers that the vocoder of source and filters holds for one sample when it speaks."""

AVERAGE_CLIP_SECONDS = 5.0

SPOKEN_SECONDS = 30.0
"""The longest sentence, see ``speech.MAX_SENTENCE_SYMBOLS``."""


def estimate(options: VitsOptions, lora: LoraSettings, presets: Mapping[str, tuple[str, ...]]) -> Footprint:
    """Count parameters, bytes and operations for the shapes of the base.

    Flow and posterior encoder see each frame of a clip, the vocoder sees a segment of it. What the
    segment costs is told as tokens that each clip has beside its samples. Weights are always float32.

    :param presets: the engine's presets of LoRA targets.
    """
    files = open_base(options.base_model)
    settings = options.network_settings(files.settings)
    network = empty_network(settings)
    parameters = _count(network)
    adapter = adapter_size(empty_network(settings), lora, presets)
    hop = settings.hop_length
    layers = settings.posterior_layers + settings.flow_steps * settings.flow_layers
    sample_bytes = 4 * LAYER_NUMBERS * layers * settings.hidden_size / hop
    segment_bytes = 4 * _segment_numbers(settings)
    frame_operations = 6.0 * (_count(network.flow) + _count(network.posterior_encoder))
    segment_operations = 6.0 * _segment_products(settings, network)
    samples, segment_tokens = AVERAGE_CLIP_SECONDS * settings.sample_rate, segment_bytes / sample_bytes
    operations = frame_operations * samples / hop + segment_operations
    spoken_samples = SPOKEN_SECONDS * settings.sample_rate
    return Footprint(
        parameters=parameters,
        trainable=adapter.parameters,
        tensors=adapter.tensors,
        tokens_per_second=settings.sample_rate,
        tokens_per_clip=segment_tokens,
        weight_bytes=4 * parameters,
        token_bytes=sample_bytes,
        token_bytes_checkpointed=sample_bytes,  # the network has no blocks that could be computed again
        token_flops=operations / (samples + segment_tokens),
        pass_bytes=adapter.pass_numbers * 4,
        longest_seconds=options.max_seconds,
        speaking_bytes=4 * spoken_samples * _speaking_numbers(settings),
        largest_bytes=4 * max(parameter.numel() for parameter in network.parameters()),
        tensor_bytes=4 * max(parameter.numel() for parameter in network.parameters()),
        part_parameters=_count(network.posterior_encoder)
        + _discriminator_parameters(options, own=files.read_discriminators is not None),
    )


def empty_network(settings: VitsSettings) -> VitsNetwork:
    """Return the network without weights, on the device ``meta``."""
    with torch.device("meta"):
        return VitsNetwork(settings)


def _discriminator_parameters(options: VitsOptions, own: bool) -> int:
    """Count the discriminators that a training begins with; a base's own ones have the published size."""
    if not options.adversarial_weight:
        return 0
    with torch.device("meta"):
        chosen, count = options.chosen_discriminators(own), 0
        if "waveform" in chosen:
            count += _count(Discriminators(1 if own else options.discriminator_narrowing))
        if "spectrogram" in chosen:
            count += _count(SpectrogramDiscriminators())
        return count


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _stages(vocoder: VocoderSettings) -> list[tuple[int, int]]:
    """Return the channels of each stage and how many positions of it a segment has."""
    stages, channels, positions = [], vocoder.first_channels, SEGMENT_SAMPLES // vocoder.hop_length
    for rate in vocoder.upsample_rates:
        channels, positions = channels // 2, positions * rate
        stages.append((channels, positions))
    return stages


def _convolutions(vocoder: VocoderSettings) -> list[int]:
    """Return the kernels of the convolutions of one stage."""
    blocks = zip(vocoder.residual_kernels, vocoder.residual_dilations, strict=True)
    twice = 2 if vocoder.residual_type == 1 else 1
    return [kernel for kernel, dilations in blocks for _ in range(twice * len(dilations))]


def _segment_numbers(settings: VitsSettings) -> float:
    """Return how many numbers a segment keeps for the gradient."""
    shapes, vocoder = settings.source_filter, settings.vocoder
    if shapes is None:
        positions = sum(channels * positions for channels, positions in _stages(vocoder))
        return CONVOLUTION_NUMBERS * len(_convolutions(vocoder)) * positions + SEGMENT_SAMPLES * COMPARED_NUMBERS
    frames = FILTERED_SEGMENT_SAMPLES / settings.hop_length
    columns = shapes.blocks * shapes.width + shapes.pitch_blocks * shapes.pitch_width
    return frames * FRAME_NUMBERS * columns + FILTERED_SEGMENT_SAMPLES * FILTERED_SAMPLE_NUMBERS


def _segment_products(settings: VitsSettings, network: VitsNetwork) -> float:
    """Return how many multiplications the vocoder makes for a segment."""
    if settings.source_filter is not None:
        return _count(network.decoder) * FILTERED_SEGMENT_SAMPLES / settings.hop_length
    squares = sum(channels**2 * positions for channels, positions in _stages(settings.vocoder))
    return sum(_convolutions(settings.vocoder)) * squares


def _speaking_numbers(settings: VitsSettings) -> float:
    """Return how many numbers of 4 bytes the vocoder holds for a sample that it speaks."""
    if settings.source_filter is not None:
        return FILTERED_SPOKEN_NUMBERS
    return 3 * _last_channels(settings.vocoder)  # the last stage holds a sentence three times: signal, update, sum


def _last_channels(vocoder: VocoderSettings) -> int:
    return vocoder.first_channels >> len(vocoder.upsample_rates)
