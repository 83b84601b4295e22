"""Write a whole VITS network as the ONNX graph that Piper's programs speak with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vtune_vits.export.durations_graph import write_deterministic_durations, write_stochastic_durations
from vtune_vits.export.graph import Graph
from vtune_vits.export.sound_graph import write_flow, write_vocoder
from vtune_vits.export.text_graph import write_text_encoder
from vtune_vits.network.durations import StochasticDurationPredictor

if TYPE_CHECKING:
    import onnx

    from vtune_vits.network.voice import VitsNetwork


def piper_graph(network: VitsNetwork, contrast: float = 1.0) -> onnx.ModelProto:
    """Return the network as an ONNX model with Piper's inputs and outputs.

    Inputs: ``input`` int64 ``[B, L]``, ``input_lengths`` int64 ``[B]``, ``scales`` float32 ``[3]`` (noise, length,
    noise of the durations), and for several speakers ``sid`` int64 ``[B]``. Output: ``output`` float32
    ``[B, 1, 1, samples]``. Durations in frames have the only ``Ceil`` of the graph, where Piper's own tool for the
    times of phonemes looks for them.

    :param network: a ``VitsNetwork``; its posterior encoder is no part of speaking and is left out.
    :param contrast: with which a vocoder of source and filters speaks, see `SpokenStyle`.
    """
    module: Any = network
    graph = Graph(module)
    ids, lengths = "input", "input_lengths"
    noise_scale, length_scale, duration_noise_scale = (
        graph.squeeze(part, 0) for part in graph.split("scales", [1, 1, 1], axis=0)
    )
    speaker = ""
    if hasattr(module, "embed_speaker"):
        speaker = graph.unsqueeze(graph.embed("sid", module.embed_speaker), 2)
    mask = _mask(graph, lengths, graph.squeeze(graph.dimension(ids, 1), 0))
    text = write_text_encoder(graph, module.text_encoder, ids, mask)
    if isinstance(module.duration_predictor, StochasticDurationPredictor):
        log_durations = write_stochastic_durations(
            graph, module.duration_predictor, text.hidden, mask, speaker, duration_noise_scale
        )
    else:
        log_durations = write_deterministic_durations(graph, module.duration_predictor, text.hidden, mask, speaker)
    exact = graph.op("Mul", graph.op("Mul", graph.op("Exp", log_durations), mask), length_scale)
    durations = graph.op("Ceil", exact, name="/Ceil")  # [B, 1, L]

    total = graph.op("ReduceSum", durations, graph.ints(1, 2), keepdims=0)
    frames = graph.cast(graph.op("Max", total, graph.floats(1.0)), "INT64")  # [B]
    longest = graph.op("ReduceMax", frames, keepdims=0)
    frame_mask = _mask(graph, frames, longest)
    spread = _spread(graph, durations, longest)
    means, log_scales = (graph.op("MatMul", values, spread) for values in (text.means, text.log_scales))
    noise = graph.op("Mul", graph.op("RandomNormalLike", means, dtype=1), graph.op("Exp", log_scales))
    prior = graph.op("Add", means, graph.op("Mul", noise, noise_scale))
    latents = graph.op("Mul", write_flow(graph, module.flow, prior, frame_mask, speaker), frame_mask)
    sound = write_vocoder(graph, module.decoder, latents, speaker, contrast)
    graph.nodes.append(_output(graph.unsqueeze(sound, 1)))
    return graph.model(*_interface(bool(speaker)))


def _mask(graph: Graph, lengths: str, longest: str) -> str:
    """Return 1 within each row's length and 0 after it, float32 ``[B, 1, longest]``."""
    steps = graph.unsqueeze(graph.count_up(longest), 0)
    return graph.unsqueeze(graph.cast(graph.op("Less", steps, graph.unsqueeze(lengths, 1)), "FLOAT"), 1)


def _spread(graph: Graph, durations: str, longest: str) -> str:
    """Return which frames belong to each symbol: 1 or 0, float32 ``[B, L, longest]``.

    A product of values ``[B, C, L]`` with it repeats each symbol's values for its duration, and gives 0 after the end.
    """
    column = graph.op("Transpose", durations, perm=[0, 2, 1])
    ends = graph.op("CumSum", column, graph.integer(1))  # [B, L, 1]
    starts = graph.op("Sub", ends, column)
    frames = graph.cast(graph.count_up(longest), "FLOAT")
    begun, over = graph.op("GreaterOrEqual", frames, starts), graph.op("GreaterOrEqual", frames, ends)
    return graph.cast(graph.op("And", begun, graph.op("Not", over)), "FLOAT")


def _output(value: str) -> onnx.NodeProto:
    from onnx import helper

    return helper.make_node("Identity", [value], ["output"], "/output")


def _interface(has_speakers: bool) -> tuple[list[onnx.ValueInfoProto], list[onnx.ValueInfoProto]]:
    """Return Piper's inputs and outputs."""
    from onnx import TensorProto, helper

    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, ["batch_size", "phonemes"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, ["batch_size"]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    if has_speakers:
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, ["batch_size"]))
    return inputs, [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch_size", 1, 1, "time"])]
