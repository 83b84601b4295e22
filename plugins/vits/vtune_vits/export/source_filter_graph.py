"""Write the vocoder of source and filters into an ONNX graph: its network, its pulses, and its Fourier transforms.

The graph has no operators for Fourier transforms, which came with a later opset: convolutions with sines and cosines
take their place. Phases are computed in float64, as in torch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vtune.toolkit.pulses import NEAR_PULSE
from vtune_vits.network.source_filter import (
    HIGHEST_HARMONIC,
    MAX_F0_HZ,
    MAX_LOG_GAIN,
    MIN_F0_HZ,
    NOISE_BANDS,
    NOISE_SAMPLES,
    OVERLAP,
    WINDOW_POWER,
    minimum_phase,
)

if TYPE_CHECKING:
    from vtune_vits.export.graph import Graph

TABLES = "tables."
"""Beginning of the names of what is no weight: transforms and noise."""

PITCH_NODE = "/dec/pitch/Exp"
"""Name of the node that gives the pitch in Hz, ``[B, 1, T]``."""


def write_source_filter(graph: Graph, vocoder: Any, latents: str, speaker: str, contrast: float) -> str:
    """Write the vocoder: latents ``[B, C, T]`` to sound ``[B, 1, T * hop]``.

    :param vocoder: a ``SourceFilterVocoder``.
    :param speaker: embeddings ``[B, G, 1]``; empty for a voice of one speaker.
    :param contrast: see ``vtune_vits.network.source_filter.with_contrast``; a constant of the graph.
    """
    gains = _clip(graph, _write_stack(graph, vocoder.gains, latents, speaker), -math.inf, MAX_LOG_GAIN)
    harmonics, noise_gains = graph.split(gains, [vocoder.bins] * 2)
    harmonics = _with_contrast(graph, harmonics, contrast)
    noise_gains = _with_contrast(graph, _average_bands(graph, noise_gains, vocoder.bins), contrast)
    log_f0 = _write_stack(graph, vocoder.pitch, latents, speaker)
    f0 = graph.op("Exp", _clip(graph, log_f0, math.log(MIN_F0_HZ), math.log(MAX_F0_HZ)), name=PITCH_NODE)  # [B, 1, T]
    pulses = _split_spectra(graph, vocoder, _write_pulses(graph, vocoder, f0))
    noise = _split_spectra(graph, vocoder, _write_noise(graph, vocoder, f0))
    gain, noise_gain = graph.op("Exp", harmonics), graph.op("Exp", noise_gains)
    phase = graph.op("Conv", harmonics, graph.table(f"{TABLES}minimum_phase", _minimum_phase(vocoder.bins)))
    real_gain = graph.op("Mul", gain, graph.op("Cos", phase))
    imaginary_gain = graph.op("Mul", gain, graph.op("Sin", phase))
    real = graph.op("Sub", graph.op("Mul", real_gain, pulses[0]), graph.op("Mul", imaginary_gain, pulses[1]))
    imaginary = graph.op("Add", graph.op("Mul", imaginary_gain, pulses[0]), graph.op("Mul", real_gain, pulses[1]))
    spectra = graph.op(
        "Concat",
        graph.op("Add", real, graph.op("Mul", noise_gain, noise[0])),
        graph.op("Add", imaginary, graph.op("Mul", noise_gain, noise[1])),
        axis=1,
    )
    scaled = graph.op("Mul", spectra, graph.table(f"{TABLES}inverse_scales", _inverse_scales(vocoder.bins)))
    sound = graph.op("ConvTranspose", scaled, _transform_table(graph, vocoder), **_hops(vocoder))
    return _clip(graph, sound, -1.0, 1.0)


def _write_stack(graph: Graph, stack: Any, latents: str, speaker: str) -> str:
    """Write convolution blocks and the linear layer behind them, ``[B, outputs, T]``."""
    frames = graph.conv(latents, stack.conv_pre)
    if speaker:
        frames = graph.op("Add", frames, graph.conv(speaker, stack.cond))
    for block in stack.blocks:
        change = graph.linear(graph.norm(graph.conv(frames, block.neighbours), block.norm), block.up)
        frames = graph.op("Add", frames, graph.linear(_gelu(graph, change), block.down))
    return graph.linear(graph.norm(frames, stack.norm), stack.head)


def _gelu(graph: Graph, value: str) -> str:
    """Write ``x (1 + erf(x / sqrt 2)) / 2``."""
    error = graph.op("Erf", graph.op("Mul", value, graph.floats(math.sqrt(0.5))))
    return graph.op("Mul", graph.op("Mul", value, graph.op("Add", error, graph.floats(1.0))), graph.floats(0.5))


def _write_pulses(graph: Graph, vocoder: Any, f0: str) -> str:
    """Write the pulse train of a pitch, see ``vtune.toolkit.pulses``: Hz ``[B, 1, T]`` to samples ``[B, 1, T * hop]``.

    The pitch of a sample lies between those of two frames, so pitch and phase of the samples of a frame are products of
    three pitches with fixed tables.
    """
    before = graph.op("Concat", graph.slice(f0, 0, 1, axis=2), graph.slice(f0, 0, -1, axis=2), axis=2)
    after = graph.op("Concat", graph.slice(f0, 1, 2**31, axis=2), graph.slice(f0, -1, 2**31, axis=2), axis=2)
    three = graph.op("Transpose", graph.op("Concat", before, f0, after, axis=1), perm=[0, 2, 1])
    three = graph.cast(three, "DOUBLE")  # [B, T, 3]
    ramps = _ramps(vocoder.hop)
    pitch = graph.op("MatMul", three, graph.table(f"{TABLES}pitch_ramps", ramps))  # [B, T, hop]
    cycles = graph.op("MatMul", three, graph.table(f"{TABLES}phase_ramps", ramps.cumsum(1) / vocoder.sample_rate))
    starts = graph.op("CumSum", graph.slice(cycles, -1, 2**31, axis=2), graph.integer(1), exclusive=1)  # [B, T, 1]
    cycles = graph.op("Add", cycles, starts)
    phase = graph.op("Mul", graph.op("Sub", cycles, graph.op("Floor", cycles)), graph.doubles(2 * math.pi))
    highest = graph.doubles(HIGHEST_HARMONIC * vocoder.sample_rate / 2)
    count = graph.op("Floor", graph.op("Div", highest, pitch))
    half = graph.doubles(0.5)
    divisor = graph.op("Mul", graph.op("Sin", graph.op("Mul", phase, half)), graph.doubles(2.0))
    near = graph.op("Less", graph.op("Abs", divisor), graph.doubles(NEAR_PULSE))
    safe = graph.op("Where", near, graph.doubles(1.0), divisor)
    wave = graph.op("Sin", graph.op("Mul", graph.op("Add", count, half), phase))
    train = graph.op("Where", near, count, graph.op("Sub", graph.op("Div", wave, safe), half))
    return graph.op("Reshape", graph.cast(train, "FLOAT"), graph.ints(0, 1, -1))


def _write_noise(graph: Graph, vocoder: Any, f0: str) -> str:
    """Write noise as long as the sound, ``[1, 1, T * hop]``; it repeats itself."""
    frames = graph.dimension(f0, 2)
    count = graph.squeeze(graph.op("Mul", frames, graph.ints(vocoder.hop)), 0)
    places = graph.op("Mod", graph.count_up(count), graph.integer(NOISE_SAMPLES))
    table = graph.table(f"{TABLES}noise", vocoder.noise_cycle.cpu().numpy())
    return graph.unsqueeze(graph.op("Gather", table, places), 0, 1)


def _split_spectra(graph: Graph, vocoder: Any, samples: str) -> list[str]:
    """Return the real and the imaginary parts of the spectra of samples ``[B, 1, T * hop]``, each ``[B, bins, T]``."""
    spectra = graph.op("Conv", samples, _transform_table(graph, vocoder), **_hops(vocoder))
    return graph.split(spectra, [vocoder.bins] * 2)


def _with_contrast(graph: Graph, gains: str, contrast: float) -> str:
    """Spread gains ``[B, bins, T]`` around their mean over time."""
    if contrast == 1.0:
        return gains
    mean = graph.op("ReduceMean", gains, axes=[2])
    spread = graph.op("Mul", graph.op("Sub", gains, mean), graph.floats(contrast))
    return _clip(graph, graph.op("Add", mean, spread), -math.inf, MAX_LOG_GAIN)


def _average_bands(graph: Graph, gains: str, bins: int) -> str:
    """Average each band of ``[B, bins, T]`` with its neighbours; the outermost bands count again beyond the ends."""
    half = NOISE_BANDS // 2
    padded = graph.op("Pad", gains, graph.ints(0, half, 0, 0, half, 0), mode="edge")
    shifted = [graph.slice(padded, start, start + bins, axis=1) for start in range(NOISE_BANDS)]
    return graph.op("Mul", graph.op("Sum", *shifted), graph.floats(1 / NOISE_BANDS))


def _clip(graph: Graph, value: str, lowest: float, highest: float) -> str:
    lower = "" if lowest == -math.inf else graph.floats(lowest)
    return graph.op("Clip", value, lower, graph.floats(highest))


def _hops(vocoder: Any) -> dict[str, Any]:
    """Return the attributes of a convolution over windows that are a hop apart, with their middles in the frames'."""
    return {"strides": [vocoder.hop], "pads": [(OVERLAP - 1) * vocoder.hop // 2] * 2}


def _transform_table(graph: Graph, vocoder: Any) -> str:
    """Return a windowed Fourier transform as a convolution, ``[2 * bins, 1, size]``: real parts first.

    The transposed convolution with it is the inverse, up to `_inverse_scales`.
    """
    size = OVERLAP * vocoder.hop
    steps = np.arange(size)
    angles = 2 * np.pi * (np.outer(np.arange(vocoder.bins), steps) % size) / size  # [bins, size]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * steps / size)
    table = np.concatenate([np.cos(angles), -np.sin(angles)]) * window
    return graph.table(f"{TABLES}transform", np.asarray(table[:, None], np.float32))


def _inverse_scales(bins: int) -> np.ndarray:
    """Return the factor of each part of a spectrum before the inverse transform, float32 ``[2 * bins, 1]``."""
    scales = np.full(bins, 2.0)  # a band stands for itself and for its negative frequency
    scales[[0, -1]] = 1.0
    return np.asarray(np.tile(scales, 2)[:, None] / (2 * (bins - 1) * WINDOW_POWER), np.float32)


def _minimum_phase(bins: int) -> np.ndarray:
    """Return how log gains become phases, a convolution of width 1, float32 ``[bins, bins, 1]``."""
    return minimum_phase(torch.eye(bins)).T.numpy()[..., None]


def _ramps(hop: int) -> np.ndarray:
    """Return how much the frames before, at and after a sample say about its pitch, float64 ``[3, hop]``."""
    places = (np.arange(hop) + 0.5) / hop - 0.5  # from the middle of the frame, in frames
    return np.stack([np.maximum(-places, 0), 1 - np.abs(places), np.maximum(places, 0)])
