"""The shapes of the network, and the fixed numbers of its sound."""

from __future__ import annotations

from dataclasses import dataclass, field

SAMPLE_RATE = 24_000
"""Samples a second of all hibari voices."""

FFT_SAMPLES = 1200
HOP_SAMPLES = 300
"""Samples of a frame: 12.5 ms, 80 frames a second."""

BINS = FFT_SAMPLES // 2 + 1
"""Bands of a spectrum: 601, which are 20 Hz apart."""

STEP_FRAMES = 2
"""Frames of one step; durations are whole steps of 25 ms, and the prosody predictor has a column for each step."""

STEP_SECONDS = STEP_FRAMES * HOP_SAMPLES / SAMPLE_RATE

HEADS = 2
"""Heads of the self-attention in both text encoders."""

SPECTRAL_PARTS = 5
"""Outputs of the decoder for each band; see `vtune_hibari.network.decoder.SpectralParts`."""


@dataclass(frozen=True)
class TextEncoderSettings:
    """The shapes of one text encoder. The defaults are those of the acoustic one."""

    width: int = 128
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 1)
    """Of the depthwise convolution of each block."""

    expanded: int = 256
    """Channels inside a convolution block and inside the feed-forward part of the attention layer."""

    passes: int = 4
    """How many times the one attention layer is applied, each time to its own output."""


@dataclass(frozen=True)
class BlockStackSettings:
    """The shapes of the prosody predictor or the decoder. The defaults are those of the prosody predictor."""

    width: int = 192
    kernel: int = 7
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2)
    """Of the depthwise convolution of each block."""

    expanded: int = 384


@dataclass(frozen=True)
class HibariSettings:
    """The shapes of a network. The defaults are those of the published voices: 6.15 million parameters."""

    symbols: int = 178
    """Rows of the tables of symbols; symbol 0 stands at both ends of a sentence."""

    acoustic_encoder: TextEncoderSettings = field(default_factory=TextEncoderSettings)
    prosody_encoder: TextEncoderSettings = field(
        default_factory=lambda: TextEncoderSettings(width=192, expanded=384, passes=6)
    )
    prosody: BlockStackSettings = field(default_factory=BlockStackSettings)
    decoder: BlockStackSettings = field(
        default_factory=lambda: BlockStackSettings(width=256, dilations=(1,) * 8, expanded=768)
    )
    duration_kernel: int = 3
    decoder_input_kernel: int = 7
