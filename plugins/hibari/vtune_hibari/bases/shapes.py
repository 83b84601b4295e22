"""Read the settings of a network from the shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vtune import EngineError
from vtune_hibari.network.settings import HEADS, BlockStackSettings, HibariSettings, TextEncoderSettings
from vtune_hibari.text.symbols import SYMBOLS

MAX_SIZES = {"width": 1024, "expanded": 4096, "kernel": 63, "blocks": 32, "passes": 32, "symbols": 4096, "dilation": 64}
"""Largest sizes of a network; the published ones have at most 256, 768, 7, 8, 6, 178 and 8."""


@dataclass(frozen=True)
class FoundSizes:
    """What a file says about the sizes of its network."""

    source: str
    """The file, for messages."""

    shapes: Mapping[str, tuple[int, ...]]
    """Of the tensors, by their names in a published file."""

    uses: Mapping[str, int]
    """How many operations read a tensor, at least for the first norm of each attention layer."""

    dilations: Mapping[str, int]
    """Of convolutions, by the names of their weights; 1 for the others."""


def recorded_uses(settings: HibariSettings) -> dict[str, int]:
    """Return `FoundSizes.uses` of a network, as far as its settings need them."""
    return {
        _first_norm("m.text"): settings.acoustic_encoder.passes,
        _first_norm("pn.text"): settings.prosody_encoder.passes,
    }


def recorded_dilations(settings: HibariSettings) -> dict[str, int]:
    """Return `FoundSizes.dilations` of a network."""
    stacks: dict[str, TextEncoderSettings | BlockStackSettings] = {
        "m.text.convs": settings.acoustic_encoder, "pn.text.convs": settings.prosody_encoder,
        "pn.pro": settings.prosody, "m.dec": settings.decoder,
    }  # fmt: skip
    return {
        f"{name}.{number}.dw.weight": dilation
        for name, stack in stacks.items()
        for number, dilation in enumerate(stack.dilations)
    }


def _first_norm(encoder: str) -> str:
    return f"{encoder}.attn.norm1.weight"


def settings_of(found: FoundSizes) -> HibariSettings:
    """Return the settings of the network that a file holds; whether all tensors fit is checked when they are loaded.

    :raises EngineError: a tensor that tells a size is missing, or a size is none that a voice can have.
    """
    reader = _Reader(found)
    return HibariSettings(
        symbols=reader.symbols(),
        acoustic_encoder=reader.text_encoder("m.text"),
        prosody_encoder=reader.text_encoder("pn.text"),
        prosody=reader.blocks("pn.pro"),
        decoder=reader.blocks("m.dec"),
        duration_kernel=reader.kernel("pn.dur.0.weight"),
        decoder_input_kernel=reader.kernel("m.dec_in.weight"),
    )


class _Reader:
    def __init__(self, found: FoundSizes) -> None:
        self.found, self.shapes, self.source = found, found.shapes, found.source

    def size(self, name: str, axis: int, kind: str) -> int:
        shape = self.shapes.get(name)
        if shape is None or len(shape) <= axis:
            found = "no such tensor" if shape is None else f"the shape {list(shape)}"
            raise EngineError(
                f"{self.source} is no hibari voice: it needs the tensor {name} with {axis + 1} axes or more, and it "
                f"has {found}"
            )
        return self.checked(shape[axis], kind, name)

    def checked(self, size: int, kind: str, where: str) -> int:
        if not 1 <= size <= MAX_SIZES[kind]:
            raise EngineError(
                f"{self.source}: {where} says that the network's {kind} is {size}, expected 1 to {MAX_SIZES[kind]}"
            )
        return size

    def symbols(self) -> int:
        name = "m.text.emb.weight"
        rows, needed = self.size(name, 0, "symbols"), max(SYMBOLS.values()) + 1
        if rows < needed:
            raise EngineError(f"{self.source}: {name} has {rows} rows, and the alphabet of hibari needs {needed}")
        return rows

    def kernel(self, name: str) -> int:
        kernel = self.size(name, 2, "kernel")
        if kernel % 2 == 0:
            raise EngineError(f"{self.source}: the convolution {name} has the kernel {kernel}, expected an odd number")
        return kernel

    def text_encoder(self, name: str) -> TextEncoderSettings:
        blocks, norm = self.blocks(f"{name}.convs"), _first_norm(name)
        if blocks.width % HEADS:
            raise EngineError(f"{self.source}: the width {blocks.width} of {name} is not a multiple of {HEADS} heads")
        return TextEncoderSettings(
            width=blocks.width,
            kernel=blocks.kernel,
            dilations=blocks.dilations,
            expanded=blocks.expanded,
            passes=self.checked(self.found.uses.get(norm, 0), "passes", f"the use of {norm}"),
        )

    def blocks(self, name: str) -> BlockStackSettings:
        numbers = [re.match(re.escape(name) + r"\.(\d{1,4})\.gamma$", tensor) for tensor in self.shapes]
        count = self.checked(sum(number is not None for number in numbers), "blocks", f"the tensors {name}.N.gamma")
        depthwise = [f"{name}.{number}.dw.weight" for number in range(count)]
        return BlockStackSettings(
            width=self.size(f"{name}.0.gamma", 0, "width"),
            kernel=self.kernel(depthwise[0]),
            dilations=tuple(
                self.checked(self.found.dilations.get(weight, 1), "dilation", weight) for weight in depthwise
            ),
            expanded=self.size(f"{name}.0.pw1.bias", 0, "expanded"),
        )
