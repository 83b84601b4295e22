"""Shapes of a VITS network and the defaults of its voice, the same facts for every format of a base.

The numbers and their meaning are those of Kim et al. 2021, "Conditional Variational Autoencoder with Adversarial
Learning for End-to-End Text-to-Speech" (arXiv 2106.06103); the defaults are Piper's quality "medium".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from vtune import EngineError

MAX_CHANNELS = 4096
"""The most channels, layers or kernel positions that settings may ask for; published voices have up to 768."""

MAX_VOCABULARY = 65536
MAX_HOP_LENGTH = 4096
MAX_SAMPLE_RATE = 192_000


@dataclass(frozen=True)
class VocoderSettings:
    """Shapes of the vocoder, a HiFi-GAN generator (Kong et al. 2020, arXiv 2010.05646)."""

    residual_type: int = 2
    """1: two convolutions for each dilation (Piper's "high"). 2: one convolution (Piper's "medium" and below)."""

    upsample_rates: tuple[int, ...] = (8, 8, 4)
    """Strides of the transposed convolutions; the product is the hop length in samples."""

    upsample_kernels: tuple[int, ...] = (16, 16, 8)
    residual_kernels: tuple[int, ...] = (3, 5, 7)
    residual_dilations: tuple[tuple[int, ...], ...] = ((1, 2), (2, 6), (3, 12))
    first_channels: int = 256
    """Channels before the first upsampling; each upsampling halves them."""

    leaky_slope: float = 0.1

    @property
    def hop_length(self) -> int:
        """Samples for one frame of latents."""
        return math.prod(self.upsample_rates)

    def check(self, source: str) -> None:
        """Refuse shapes of which no vocoder can be built.

        :raises EngineError: in one line, beginning with the source.
        """
        if self.residual_type not in (1, 2):
            raise EngineError(
                f"{source}: residual blocks of type {self.residual_type!r} are unknown; types are 1 and 2"
            )
        counts = (len(self.upsample_rates), len(self.upsample_kernels))
        if not counts[0] or counts[0] != counts[1]:
            raise EngineError(f"{source}: {counts[0]} upsampling rates and {counts[1]} kernels; they need equal counts")
        if not self.residual_kernels or len(self.residual_kernels) != len(self.residual_dilations):
            raise EngineError(f"{source}: each kernel of the residual blocks needs its own list of dilations")
        sizes = [*self.upsample_rates, *self.upsample_kernels, *self.residual_kernels]
        sizes += [dilation for dilations in self.residual_dilations for dilation in dilations]
        if not all(type(size) is int and 1 <= size <= 1024 for size in sizes) or not all(self.residual_dilations):
            raise EngineError(
                f"{source}: the vocoder's rates, kernels and dilations must be whole numbers from 1 to 1024"
            )
        for rate, kernel in zip(self.upsample_rates, self.upsample_kernels, strict=True):
            if kernel < rate or (kernel - rate) % 2:
                raise EngineError(
                    f"{source}: an upsampling by {rate} cannot have a kernel of {kernel}; the kernel must be larger by "
                    "an even number"
                )
        if any(kernel % 2 == 0 for kernel in self.residual_kernels):
            raise EngineError(f"{source}: kernels of residual blocks must be odd, but are {self.residual_kernels}")
        if self.hop_length > MAX_HOP_LENGTH:
            raise EngineError(f"{source}: a hop of {self.hop_length} samples; the largest is {MAX_HOP_LENGTH}")
        if not _in_range(self.first_channels, MAX_CHANNELS) or self.first_channels % 2 ** len(self.upsample_rates):
            raise EngineError(
                f"{source}: {self.first_channels} channels cannot be halved {len(self.upsample_rates)} times, or are "
                f"more than {MAX_CHANNELS}"
            )


@dataclass(frozen=True)
class SourceFilterSettings:
    """Shapes of the vocoder of source and filters, see `vtune_vits.network.source_filter`."""

    width: int = 256
    blocks: int = 8
    pitch_width: int = 128
    pitch_blocks: int = 2
    kernel: int = 7


@dataclass(frozen=True)
class DurationSettings:
    """Shapes of the duration predictor, which has the hidden size of the text encoder."""

    kernel: int = 3
    flows: int = 4
    bins: int = 10
    """Intervals of each rational-quadratic spline of the flow."""

    tail_bound: float = 5.0
    """The splines change values from ``-tail_bound`` to ``tail_bound`` and leave others as they are."""

    layers: int = 3
    filter_size: int = 256
    """Channels of the predictor that is not stochastic."""


@dataclass(frozen=True)
class VitsSettings:
    """Shapes of a VITS network and the defaults of its voice.

    ``VitsSettings()`` is a Piper voice of quality "medium"; its hop is 256 samples at 22,050 Hz.
    """

    vocab_size: int = 256
    hidden_size: int = 192
    flow_size: int = 192
    """Channels of the latents."""

    layers: int = 6
    heads: int = 2
    window: int = 4
    """How many neighbours on each side have a relative position of their own in attention."""

    ffn_size: int = 768
    ffn_kernel: int = 3
    attention_bias: bool = True
    layer_norm_eps: float = 1e-5

    spectrogram_bins: int = 513
    sample_rate: int = 22050
    speakers: int = 1
    speaker_size: int = 0
    """Channels of a speaker's embedding; 0 for a voice of one speaker."""

    flow_steps: int = 4
    flow_layers: int = 4
    """WaveNet layers of each step of the flow."""

    posterior_layers: int = 16
    wavenet_kernel: int = 5
    wavenet_dilation: int = 1
    """Layer i of a WaveNet has the dilation ``wavenet_dilation ** i``."""

    stochastic_durations: bool = True
    """True: a flow draws the durations of phonemes. False: convolutions predict one duration for each."""

    durations: DurationSettings = field(default_factory=DurationSettings)
    vocoder: VocoderSettings = field(default_factory=VocoderSettings)
    source_filter: SourceFilterSettings | None = None
    """If it is set, a vocoder of source and filters takes the place of the base's own."""

    noise_scale: float = 0.667
    """The base's own scale of the noise of latents when speaking."""

    noise_scale_w: float = 0.8
    """The base's own scale of the noise of durations when speaking (``noise_w`` in a Piper voice)."""

    length_scale: float = 1.0
    """The base's own factor of durations when speaking; 2 is half as fast."""

    @property
    def hop_length(self) -> int:
        """Samples for one frame of latents and of the spectrogram."""
        return self.vocoder.hop_length

    @property
    def fft_size(self) -> int:
        """Samples of one window of the spectrogram: 1024 for 513 bins."""
        return 2 * (self.spectrogram_bins - 1)

    @property
    def conditioning_size(self) -> int:
        """Channels that a speaker adds to the parts; 0 for a voice of one speaker."""
        return self.speaker_size if self.speakers > 1 else 0

    def check(self, source: str) -> None:
        """Refuse shapes of which no network can be built.

        :param source: the name of the file that the settings come from, for the error.
        :raises EngineError: in one line, beginning with the source.
        """
        if not _in_range(self.vocab_size, MAX_VOCABULARY):
            raise EngineError(f"{source}: {self.vocab_size!r} symbols; there may be 1 to {MAX_VOCABULARY}")
        if not _in_range(self.speakers, MAX_VOCABULARY):
            raise EngineError(f"{source}: {self.speakers!r} speakers; there may be 1 to {MAX_VOCABULARY}")
        if not _in_range(self.sample_rate, MAX_SAMPLE_RATE):
            raise EngineError(f"{source}: a sample rate of {self.sample_rate!r}; it may be 1 to {MAX_SAMPLE_RATE} Hz")
        for name in _SIZES:
            value = getattr(self, name)
            if not _in_range(value, MAX_CHANNELS):
                raise EngineError(f"{source}: {name} is {value!r}; it may be 1 to {MAX_CHANNELS}")
        for name in ("kernel", "flows", "bins", "layers", "filter_size"):
            value = getattr(self.durations, name)
            if not _in_range(value, MAX_CHANNELS):
                raise EngineError(
                    f"{source}: {name} of the duration predictor is {value!r}; it may be 1 to {MAX_CHANNELS}"
                )
        if self.hidden_size % self.heads:
            raise EngineError(f"{source}: hidden_size {self.hidden_size} is no multiple of its {self.heads} heads")
        if self.flow_size % 2:
            raise EngineError(f"{source}: flow_size {self.flow_size} is odd, and the flow needs two halves")
        if self.wavenet_kernel % 2 == 0 or self.durations.kernel % 2 == 0:
            raise EngineError(f"{source}: kernels of WaveNets and of the duration predictor must be odd")
        if self.speakers > 1 and not _in_range(self.speaker_size, MAX_CHANNELS):
            raise EngineError(f"{source}: {self.speakers} speakers with an embedding of {self.speaker_size!r} channels")
        for name in ("noise_scale", "noise_scale_w", "length_scale"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value <= 100 or (name == "length_scale" and value == 0):
                raise EngineError(f"{source}: {name} is {value!r}; it must be a number from 0 to 100")
        self.vocoder.check(source)

    def config(self) -> Any:
        """Return the ``transformers.VitsConfig`` of this network, without any dropout.

        Attention is "eager": for every other kind, transformers adds a boolean mask to the attention weights, and
        padding changes the result.
        """
        from transformers import VitsConfig

        return VitsConfig(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            window_size=self.window,
            use_bias=self.attention_bias,
            ffn_dim=self.ffn_size,
            ffn_kernel_size=self.ffn_kernel,
            layer_norm_eps=self.layer_norm_eps,
            flow_size=self.flow_size,
            spectrogram_bins=self.spectrogram_bins,
            use_stochastic_duration_prediction=self.stochastic_durations,
            num_speakers=self.speakers,
            speaker_embedding_size=self.conditioning_size,
            upsample_initial_channel=self.vocoder.first_channels,
            upsample_rates=list(self.vocoder.upsample_rates),
            upsample_kernel_sizes=list(self.vocoder.upsample_kernels),
            resblock_kernel_sizes=list(self.vocoder.residual_kernels),
            resblock_dilation_sizes=[list(dilations) for dilations in self.vocoder.residual_dilations],
            leaky_relu_slope=self.vocoder.leaky_slope,
            depth_separable_num_layers=self.durations.layers,
            duration_predictor_flow_bins=self.durations.bins,
            duration_predictor_tail_bound=self.durations.tail_bound,
            duration_predictor_kernel_size=self.durations.kernel,
            duration_predictor_num_flows=self.durations.flows,
            duration_predictor_filter_channels=self.durations.filter_size,
            prior_encoder_num_flows=self.flow_steps,
            prior_encoder_num_wavenet_layers=self.flow_layers,
            posterior_encoder_num_wavenet_layers=self.posterior_layers,
            wavenet_kernel_size=self.wavenet_kernel,
            wavenet_dilation_rate=self.wavenet_dilation,
            speaking_rate=1 / self.length_scale,
            noise_scale=self.noise_scale,
            noise_scale_duration=self.noise_scale_w,
            sampling_rate=self.sample_rate,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            activation_dropout=0.0,
            duration_predictor_dropout=0.0,
            wavenet_dropout=0.0,
            layerdrop=0.0,
            attn_implementation="eager",
        )


_SIZES = (
    "hidden_size",
    "flow_size",
    "layers",
    "heads",
    "window",
    "ffn_size",
    "ffn_kernel",
    "spectrogram_bins",
    "flow_steps",
    "flow_layers",
    "posterior_layers",
    "wavenet_kernel",
    "wavenet_dilation",
)


def _in_range(value: Any, maximum: int) -> bool:
    return type(value) is int and 1 <= value <= maximum
