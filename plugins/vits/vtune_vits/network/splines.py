"""Monotonic rational-quadratic splines, the elements of the flow of durations.

Durkan et al. 2019, "Neural Spline Flows" (arXiv 1906.04032), equations 4 to 8. Every value is computed for every
element and chosen with ``where``, so no shape depends on data, and the function exports and compiles as it is.
"""

from __future__ import annotations

import torch
from torch import nn

MIN_BIN_WIDTH = 1e-3
MIN_BIN_HEIGHT = 1e-3
MIN_DERIVATIVE = 1e-3


def spline(
    inputs: torch.Tensor, parameters: torch.Tensor, bins: int, tail_bound: float, *, inverse: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return values changed by one spline each, and the logarithm of the derivative of each value, ``[...]``.

    :param inputs: values ``[...]``; those outside ``-tail_bound`` to ``tail_bound`` stay as they are.
    :param parameters: ``[... x 3 * bins - 1]``: widths and heights of the intervals before softmax, derivatives at the
        inner knots before softplus. The derivative at both ends is 1.
    :param inverse: apply the inverse of the spline; the logarithm is that of the inverse's derivative.
    """
    widths, heights, slopes = parameters[..., :bins], parameters[..., bins : 2 * bins], parameters[..., 2 * bins :]
    inside = (inputs >= -tail_bound) & (inputs <= tail_bound)
    values = inputs.clamp(-tail_bound, tail_bound)
    x_knots = _knots(widths, MIN_BIN_WIDTH, tail_bound)  # [... x bins + 1]
    y_knots = _knots(heights, MIN_BIN_HEIGHT, tail_bound)
    derivatives = nn.functional.pad(MIN_DERIVATIVE + nn.functional.softplus(slopes), (1, 1), value=1.0)
    inner_knots = (y_knots if inverse else x_knots)[..., 1:-1]
    index = (values[..., None] >= inner_knots).sum(-1, keepdim=True)  # the interval of each value, 0 to bins - 1
    x0, x1 = _at(x_knots, index), _at(x_knots, index + 1)
    y0, y1 = _at(y_knots, index), _at(y_knots, index + 1)
    d0, d1 = _at(derivatives, index), _at(derivatives, index + 1)
    width, height = x1 - x0, y1 - y0
    slope = height / width
    bend = d0 + d1 - 2 * slope
    if inverse:  # the root of a quadratic equation in the relative position
        offset = values - y0
        a = height * (slope - d0) + offset * bend
        b = height * d0 - offset * bend
        c = -slope * offset
        position = 2 * c / (-b - (b.square() - 4 * a * c).clamp_min(0).sqrt())
    else:
        position = (values - x0) / width
    product = position * (1 - position)
    denominator = slope + bend * product
    derivative = slope.square() * (d1 * position.square() + 2 * slope * product + d0 * (1 - position).square())
    log_derivative = derivative.log() - 2 * denominator.log()
    if inverse:
        outputs, log_derivative = x0 + position * width, -log_derivative
    else:
        outputs = y0 + height * (slope * position.square() + d0 * product) / denominator
    return torch.where(inside, outputs, inputs), log_derivative * inside


def _knots(sizes: torch.Tensor, minimum: float, tail_bound: float) -> torch.Tensor:
    """Return the ends of the intervals, ``[... x bins + 1]`` from ``-tail_bound`` to ``tail_bound``."""
    shares = minimum + (1 - minimum * sizes.shape[-1]) * sizes.softmax(-1)
    inner = 2 * tail_bound * shares.cumsum(-1)[..., :-1] - tail_bound
    return nn.functional.pad(nn.functional.pad(inner, (1, 0), value=-tail_bound), (0, 1), value=tail_bound)


def _at(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return values.gather(-1, index)[..., 0]
