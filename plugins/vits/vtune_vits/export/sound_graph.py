"""Write the flow and the vocoder into an ONNX graph: frames of the prior to latents, and latents to sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vtune_vits.export.graph import Graph
from vtune_vits.export.source_filter_graph import write_source_filter
from vtune_vits.network.source_filter import SourceFilterVocoder
from vtune_vits.network.vocoder import LAST_LEAKY_SLOPE

if TYPE_CHECKING:
    from torch import nn


def write_flow(graph: Graph, flow: nn.Module, latents: str, mask: str, speaker: str) -> str:
    """Write the flow from the prior to the vocoder's latents, float32 ``[B, C, T]``.

    :param mask: float32 ``[B, 1, T]``.
    :param speaker: embeddings ``[B, G, 1]``; empty for a voice of one speaker.
    """
    module: Any = flow
    for step in reversed(module.flows):
        kept, changed = graph.split(graph.flip(latents), [step.half_channels] * 2)
        hidden = graph.op("Mul", graph.conv(kept, step.conv_pre), mask)
        hidden = _write_wavenet(graph, step.wavenet, hidden, mask, speaker)
        mean = graph.op("Mul", graph.conv(hidden, step.conv_post), mask)
        changed = graph.op("Mul", graph.op("Sub", changed, mean), mask)
        latents = graph.op("Concat", kept, changed, axis=1)
    return latents


def _write_wavenet(graph: Graph, wavenet: Any, hidden: str, mask: str, speaker: str) -> str:
    """Write gated convolutions with skip connections (van den Oord et al., arXiv:1609.03499)."""
    channels, layers = wavenet.hidden_size, wavenet.num_layers
    conditions: list[str] = []
    if speaker:
        condition = graph.conv(speaker, wavenet.cond_layer)
        conditions = graph.split(condition, [2 * channels] * layers)
    skipped: list[str] = []
    for index in range(layers):
        gates = graph.conv(hidden, wavenet.in_layers[index])
        if conditions:
            gates = graph.op("Add", gates, conditions[index])
        signal, gate = graph.split(gates, [channels, channels])
        opened = graph.op("Mul", graph.op("Tanh", signal), graph.op("Sigmoid", gate))
        result = graph.conv(opened, wavenet.res_skip_layers[index])
        if index < layers - 1:
            change, result = graph.split(result, [channels, channels])
            hidden = graph.op("Mul", graph.op("Add", hidden, change), mask)
        skipped.append(result)
    return graph.op("Mul", graph.op("Sum", *skipped), mask)


def write_vocoder(graph: Graph, vocoder: nn.Module, latents: str, speaker: str, contrast: float) -> str:
    """Write the vocoder, of either kind: latents ``[B, C, T]`` to sound ``[B, 1, T * hop]``.

    :param contrast: of a vocoder of source and filters.
    """
    module: Any = vocoder
    if isinstance(vocoder, SourceFilterVocoder):
        return write_source_filter(graph, vocoder, latents, speaker, contrast)
    signal = graph.conv(latents, module.conv_pre)
    if speaker:
        signal = graph.op("Add", signal, graph.conv(speaker, module.cond))
    blocks = len(module.resblocks) // len(module.upsampler)
    for index, layer in enumerate(module.upsampler):
        signal = graph.op("LeakyRelu", signal, alpha=module.leaky_slope)
        signal = graph.conv(signal, layer)
        outputs = [
            _write_residual_block(graph, module.resblocks[number], signal)
            for number in range(index * blocks, (index + 1) * blocks)
        ]
        signal = graph.op("Div", graph.op("Sum", *outputs), graph.floats(float(blocks)))
    signal = graph.op("LeakyRelu", signal, alpha=LAST_LEAKY_SLOPE)
    return graph.op("Tanh", graph.conv(signal, module.conv_post))


def _write_residual_block(graph: Graph, block: Any, signal: str) -> str:
    """Write a residual block: two convolutions for each dilation in type 1, one in type 2."""
    kinds = ("convs1", "convs2") if hasattr(block, "convs1") else ("convs",)
    for index in range(len(getattr(block, kinds[0]))):
        change = signal
        for kind in kinds:
            change = graph.op("LeakyRelu", change, alpha=block.leaky_slope)
            change = graph.conv(change, getattr(block, kind)[index])
        signal = graph.op("Add", signal, change)
    return signal
