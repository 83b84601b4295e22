"""Encode a filter bank ``[B, T, 80]`` to a speaker embedding ``[B, 192]`` with CAM++.

Source: Wang et al., 2023, arXiv:2303.00332.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from vtune_indextts2.speaker.dense_blocks import DenseBlock, Transit, normed
from vtune_indextts2.speaker.input_head import Head

MIN_FRAMES = 3
"""The network halves the frames, rounded up, and the standard deviation needs two of them."""


class CAMPPlus(nn.Module):
    """The CAM++ network in the size of ``campplus_cn_common.bin``, in eval mode: batch norm uses the file's statistics.

    :param feat_dim: bins of the filter bank.
    :param growth_rate: channels that a dense layer adds.
    :param bn_size: width of a dense layer's bottleneck, in growth rates.
    :param layers: how many dense layers each block has.
    :param dilations: of the convolutions of each block.
    :param segment: frames that share a mask.
    """

    def __init__(
        self,
        feat_dim: int = 80,
        embedding_size: int = 192,
        growth_rate: int = 32,
        bn_size: int = 4,
        init_channels: int = 128,
        layers: Sequence[int] = (12, 24, 16),
        dilations: Sequence[int] = (1, 2, 2),
        kernel: int = 3,
        segment: int = 100,
    ) -> None:
        super().__init__()
        self.head = Head(feat_dim)
        channels = init_channels
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        parts["tdnn"] = _named(
            linear=nn.Conv1d(self.head.out_channels, channels, 5, stride=2, padding=2, bias=False),
            nonlinear=normed(channels),
        )
        for number, (count, dilation) in enumerate(zip(layers, dilations, strict=True), start=1):
            bottleneck = bn_size * growth_rate
            parts[f"block{number}"] = DenseBlock(count, channels, bottleneck, growth_rate, kernel, dilation, segment)
            channels += count * growth_rate
            parts[f"transit{number}"] = Transit(channels)
            channels //= 2
        parts["out_nonlinear"] = normed(channels)
        parts["stats"] = Statistics()
        parts["dense"] = _named(
            linear=nn.Conv1d(2 * channels, embedding_size, 1, bias=False),
            nonlinear=_named(batchnorm=nn.BatchNorm1d(embedding_size, affine=False)),
        )
        self.xvector = nn.Sequential(parts)
        self.eval()

    def forward(self, fbank: torch.Tensor) -> torch.Tensor:
        """Embed clips of one length as ``[B, 192]``; padding would change the embedding.

        :param fbank: ``[B, T, 80]``, see ``filterbank.centred_filter_bank``.
        :raises ValueError: fewer than 3 frames.
        """
        frames = fbank.shape[1]
        if frames < MIN_FRAMES:
            raise ValueError(f"{frames} frames are too few: a speaker embedding takes at least {MIN_FRAMES}")
        embedding: torch.Tensor = self.xvector(self.head(fbank.transpose(1, 2)))
        return embedding.squeeze(-1)


class Statistics(nn.Module):
    """Mean and unbiased standard deviation over time, ``[B, C, T]`` to ``[B, 2 C, 1]``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool the whole clip."""
        return torch.cat((x.mean(dim=-1), x.std(dim=-1)), dim=-1)[..., None]


def _named(**parts: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(parts))
