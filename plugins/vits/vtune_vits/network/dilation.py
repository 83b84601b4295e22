"""Convolutions whose class knows their dilation, so that an adapter beside them has the same dilation.

PEFT (0.21) builds the first half of a LoRA adapter as ``type(layer)(inputs, rank, kernel_size, stride, padding,
bias=False)``, without the dilation of the layer: the result is longer than that of the layer.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import nn


def give_classes_to_dilated_convolutions(network: nn.Module) -> None:
    """Change the class of each dilated ``nn.Conv1d`` of a network to one that has this dilation by default."""
    for module in network.modules():
        if type(module) is nn.Conv1d and module.dilation != (1,):
            module.__class__ = _class_of(module.dilation)


@cache
def _class_of(own_dilation: tuple[int, ...]) -> type[nn.Conv1d]:
    class DilatedConv1d(nn.Conv1d):
        """A convolution whose constructor has another default dilation."""

        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **{"dilation": own_dilation, **settings})

    return DilatedConv1d
