"""Write the duration predictors into an ONNX graph: hidden states to the logarithm of frames for each symbol."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from vtune_vits.export.graph import Graph
from vtune_vits.network.splines import MIN_BIN_HEIGHT, MIN_BIN_WIDTH, MIN_DERIVATIVE

if TYPE_CHECKING:
    from torch import nn


def write_deterministic_durations(graph: Graph, predictor: nn.Module, hidden: str, mask: str, speaker: str) -> str:
    """Write the predictor of one duration for each symbol; returns float32 ``[B, 1, L]``.

    :param speaker: embeddings ``[B, G, 1]``; empty for a voice of one speaker.
    """
    module: Any = predictor
    if speaker:
        hidden = graph.op("Add", hidden, graph.conv(speaker, module.cond))
    for conv, norm in ((module.conv_1, module.norm_1), (module.conv_2, module.norm_2)):
        hidden = graph.conv(graph.op("Mul", hidden, mask), conv)
        hidden = graph.norm(graph.op("Relu", hidden), norm)
    return graph.op("Mul", graph.conv(graph.op("Mul", hidden, mask), module.proj), mask)


def write_stochastic_durations(
    graph: Graph, predictor: nn.Module, hidden: str, mask: str, speaker: str, noise_scale: str
) -> str:
    """Write the predictor that draws durations: a flow from noise; returns float32 ``[B, 1, L]``.

    :param noise_scale: float32 without axes: deviation of the noise, 0 for the middle of the distribution.
    """
    module: Any = predictor
    hidden = graph.conv(hidden, module.conv_pre)
    if speaker:
        hidden = graph.op("Add", hidden, graph.conv(speaker, module.cond))
    hidden = _write_separable_convolutions(graph, module.conv_dds, hidden, mask)
    hidden = graph.op("Mul", graph.conv(hidden, module.conv_proj), mask)
    pairs = graph.op("Concat", mask, mask, axis=1)  # [B, 2, L], for its shape
    latents = graph.op("Mul", graph.op("RandomNormalLike", pairs, dtype=1), noise_scale)
    affine, *splines = module.flows
    # In the direction of speech, VITS leaves out the first spline.
    for spline in reversed(splines[1:]):
        latents = _write_spline_flow(graph, spline, graph.flip(latents), hidden, mask)
    shifted = graph.op("Sub", graph.flip(latents), graph.weight(affine.translate))
    factor = graph.op("Exp", graph.op("Neg", graph.weight(affine.log_scale)))
    latents = graph.op("Mul", graph.op("Mul", shifted, factor), mask)
    return graph.slice(latents, 0, 1, axis=1)


def _write_separable_convolutions(graph: Graph, layers: Any, hidden: str, mask: str) -> str:
    parts = zip(layers.convs_dilated, layers.convs_pointwise, layers.norms_1, layers.norms_2, strict=True)
    for dilated, pointwise, first_norm, second_norm in parts:
        change = graph.conv(graph.op("Mul", hidden, mask), dilated)
        change = _write_gelu(graph, graph.norm(change, first_norm))
        change = graph.conv(change, pointwise)
        change = _write_gelu(graph, graph.norm(change, second_norm))
        hidden = graph.op("Add", hidden, change)
    return graph.op("Mul", hidden, mask)


def _write_gelu(graph: Graph, value: str) -> str:
    error = graph.op("Erf", graph.op("Div", value, graph.floats(math.sqrt(2.0))))
    doubled = graph.op("Mul", value, graph.op("Add", error, graph.floats(1.0)))
    return graph.op("Mul", doubled, graph.floats(0.5))


def _write_spline_flow(graph: Graph, flow: Any, latents: str, condition: str, mask: str) -> str:
    """Write one flow backwards: a spline of the second channel, whose shape the first channel decides."""
    kept, changed = graph.split(latents, [1, 1])
    hidden = graph.op("Add", graph.conv(kept, flow.conv_pre), condition)
    hidden = _write_separable_convolutions(graph, flow.conv_dds, hidden, mask)
    shapes = graph.op("Mul", graph.conv(hidden, flow.conv_proj), mask)
    rows = graph.op("Transpose", shapes, perm=[0, 2, 1])  # [B, L, 3 * bins - 1]
    bins = flow.num_bins
    widths, heights, slopes = graph.split(rows, [bins, bins, bins - 1], axis=2)
    scale = graph.floats(1.0 / math.sqrt(flow.filter_channels))
    points = graph.op("Transpose", changed, perm=[0, 2, 1])  # [B, L, 1]
    moved = _write_inverse_spline(
        graph, points, graph.op("Mul", widths, scale), graph.op("Mul", heights, scale), slopes, flow
    )
    both = graph.op("Concat", kept, graph.op("Transpose", moved, perm=[0, 2, 1]), axis=1)
    return graph.op("Mul", both, mask)


def _write_inverse_spline(graph: Graph, points: str, widths: str, heights: str, slopes: str, flow: Any) -> str:
    """Write the inverse of a monotonic rational-quadratic spline (Durkan et al., arXiv:1906.04032, section 3.1).

    Points outside the spline's range stay as they are.
    """
    bound = float(flow.tail_bound)
    x_edges, x_sizes = _write_edges(graph, widths, MIN_BIN_WIDTH, flow)
    y_edges, y_sizes = _write_edges(graph, heights, MIN_BIN_HEIGHT, flow)
    inner_slopes = graph.op("Add", graph.op("Softplus", slopes), graph.floats(MIN_DERIVATIVE))
    ends = graph.op("Add", graph.op("Mul", points, graph.floats(0.0)), graph.floats(1.0))
    all_slopes = graph.op("Concat", ends, inner_slopes, ends, axis=2)  # the spline leaves its range with slope 1

    inside = graph.op("Clip", points, graph.floats(-bound), graph.floats(bound))
    inner_edges = graph.slice(y_edges, 1, flow.num_bins, axis=2)
    passed = graph.cast(graph.op("GreaterOrEqual", inside, inner_edges), "INT64")
    interval = graph.op("ReduceSum", passed, graph.ints(2), keepdims=1)  # [B, L, 1], from 0 to bins - 1
    next_edge = graph.op("Add", interval, graph.integer(1))

    def at(values: str, index: str) -> str:
        return graph.op("GatherElements", values, index, axis=2)

    width, height = at(x_sizes, interval), at(y_sizes, interval)
    slope, next_slope = at(all_slopes, interval), at(all_slopes, next_edge)
    mean_slope = graph.op("Div", height, width)
    above = graph.op("Sub", inside, at(y_edges, interval))
    excess = graph.op("Sub", graph.op("Add", slope, next_slope), graph.op("Mul", mean_slope, graph.floats(2.0)))
    bent = graph.op("Mul", above, excess)
    # The place within the interval is the root of a x^2 + b x + c that lies between 0 and 1.
    a = graph.op("Add", graph.op("Mul", height, graph.op("Sub", mean_slope, slope)), bent)
    b = graph.op("Sub", graph.op("Mul", height, slope), bent)
    c = graph.op("Neg", graph.op("Mul", mean_slope, above))
    four_a_c = graph.op("Mul", graph.op("Mul", a, c), graph.floats(4.0))
    discriminant = graph.op("Max", graph.op("Sub", graph.op("Mul", b, b), four_a_c), graph.floats(0.0))
    divisor = graph.op("Sub", graph.op("Neg", b), graph.op("Sqrt", discriminant))
    root = graph.op("Div", graph.op("Mul", c, graph.floats(2.0)), divisor)
    moved = graph.op("Add", graph.op("Mul", root, width), at(x_edges, interval))
    return graph.op("Where", graph.op("Equal", inside, points), moved, points)


def _write_edges(graph: Graph, shares: str, minimum: float, flow: Any) -> tuple[str, str]:
    """Return the edges of the intervals ``[B, L, bins + 1]`` and their sizes ``[B, L, bins]``."""
    bins, bound = flow.num_bins, float(flow.tail_bound)
    softened = graph.op("Mul", graph.op("Softmax", shares, axis=-1), graph.floats(1.0 - minimum * bins))
    sizes = graph.op("Add", softened, graph.floats(minimum))
    reached = graph.op("CumSum", graph.slice(sizes, 0, bins - 1, axis=2), graph.integer(2))
    inner = graph.op("Sub", graph.op("Mul", reached, graph.floats(2.0 * bound)), graph.floats(bound))
    zeros = graph.op("Mul", graph.slice(sizes, 0, 1, axis=2), graph.floats(0.0))
    low, high = graph.op("Sub", zeros, graph.floats(bound)), graph.op("Add", zeros, graph.floats(bound))
    edges = graph.op("Concat", low, inner, high, axis=2)
    return edges, graph.op("Sub", graph.slice(edges, 1, bins + 1, axis=2), graph.slice(edges, 0, bins, axis=2))
