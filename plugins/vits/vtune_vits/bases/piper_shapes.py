"""The settings of a Piper network, inferred from the shapes of its tensors and not from the name of a quality."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vtune import EngineError
from vtune_vits.network.settings import DurationSettings, VitsSettings, VocoderSettings

NEW_POSTERIOR_LAYERS = 6
"""WaveNet layers of the posterior encoder that is made for a voice without one.

Piper's own have 16. The latents of a frame are heard within a few frames, and 6 layers see 12 frames to each side; they
take three eighths of the time.
"""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Steps:
    """What no shape of a tensor tells: the strides and dilations of convolutions."""

    upsample_rates: tuple[int, ...]
    residual_dilations: tuple[tuple[int, ...], ...]
    wavenet_dilation: int = 1


def piper_settings(shapes: Mapping[str, Shape], steps: Steps, source: str) -> VitsSettings:
    """Return the settings of a network with these tensors, named as in Piper's checkpoints.

    Sample rate and defaults of speaking are left as they are in `VitsSettings`.

    :raises EngineError: a tensor is missing or has another number of axes, so that this is no voice of Piper; or no
        network can have these shapes.
    """
    look = _Shapes(shapes, source)
    vocab_size, hidden_size = look.shape("enc_p.emb.weight", 2)
    _, positions, head_size = look.shape("enc_p.encoder.attn_layers.0.emb_rel_k", 3)
    ffn_size, _, ffn_kernel = look.shape("enc_p.encoder.ffn_layers.0.conv_1.weight", 3)
    flow_size = look.shape("enc_p.proj.weight", 3)[0] // 2
    speakers, speaker_size = look.shape("emb_g.weight", 2) if "emb_g.weight" in shapes else (1, 0)
    posterior = "enc_q.pre.weight" in shapes
    hop_length = 1
    for rate in steps.upsample_rates:
        hop_length *= rate
    settings = VitsSettings(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        flow_size=flow_size,
        layers=look.count(r"enc_p\.encoder\.attn_layers\.(\d+)\."),
        heads=hidden_size // max(head_size, 1),
        window=positions // 2,
        ffn_size=ffn_size,
        ffn_kernel=ffn_kernel,
        spectrogram_bins=look.shape("enc_q.pre.weight", 3)[1] if posterior else 2 * hop_length + 1,
        speakers=speakers,
        speaker_size=speaker_size,
        flow_steps=(look.count(r"flow\.flows\.(\d+)\.") + 1) // 2,
        flow_layers=look.count(r"flow\.flows\.0\.enc\.in_layers\.(\d+)\."),
        posterior_layers=look.count(r"enc_q\.enc\.in_layers\.(\d+)\.") if posterior else NEW_POSTERIOR_LAYERS,
        wavenet_kernel=look.shape("flow.flows.0.enc.in_layers.0.weight", 3)[2],
        wavenet_dilation=steps.wavenet_dilation,
        stochastic_durations="dp.flows.0.m" in shapes,
        durations=_durations(look),
        vocoder=_vocoder(look, steps),
    )
    settings.check(source)
    return settings


class _Shapes:
    """Looks shapes up by name."""

    def __init__(self, shapes: Mapping[str, Shape], source: str) -> None:
        self.shapes, self.source = shapes, source

    def shape(self, name: str, axes: int) -> Shape:
        shape = self.shapes.get(name)
        if shape is None or len(shape) != axes:
            fault = "is missing" if shape is None else f"has the shape {list(shape)}"
            raise EngineError(f"{self.source} holds no voice of Piper that vtune can read: the tensor {name} {fault}")
        return shape

    def count(self, pattern: str) -> int:
        """Return one more than the largest number in names that begin with a pattern; 0 if there is none."""
        numbers = [int(match[1]) for name in self.shapes if (match := re.match(pattern, name))]
        return max(numbers, default=-1) + 1


def _durations(look: _Shapes) -> DurationSettings:
    if "dp.flows.0.m" not in look.shapes:
        filter_size, _, kernel = look.shape("dp.conv_1.weight", 3)
        return DurationSettings(kernel=kernel, filter_size=filter_size)
    flows = look.count(r"dp\.flows\.(\d+)\.pre\.") // 2
    proj = look.shape(f"dp.flows.{2 * flows - 1}.proj.weight", 3)
    return DurationSettings(
        kernel=look.shape("dp.convs.convs_sep.0.weight", 3)[2],
        flows=flows,
        bins=(proj[0] + 1) // 3,
        layers=look.count(r"dp\.convs\.convs_sep\.(\d+)\."),
    )


def _vocoder(look: _Shapes, steps: Steps) -> VocoderSettings:
    first = "convs1" if "dec.resblocks.0.convs1.0.weight" in look.shapes else "convs"
    stages = look.count(r"dec\.ups\.(\d+)\.")
    kernel_count = len(steps.residual_dilations)
    if stages != len(steps.upsample_rates) or look.count(r"dec\.resblocks\.(\d+)\.") != stages * kernel_count:
        raise EngineError(
            f"{look.source} holds no voice of Piper that vtune can read: {stages} upsamplings, "
            f"{look.count(r'dec[.]resblocks[.]([0-9]+)[.]')} residual blocks, {len(steps.upsample_rates)} rates and "
            f"{kernel_count} lists of dilations do not fit together"
        )
    return VocoderSettings(
        residual_type=1 if first == "convs1" else 2,
        upsample_rates=steps.upsample_rates,
        upsample_kernels=tuple(look.shape(f"dec.ups.{stage}.weight", 3)[2] for stage in range(stages)),
        residual_kernels=tuple(
            look.shape(f"dec.resblocks.{block}.{first}.0.weight", 3)[2] for block in range(kernel_count)
        ),
        residual_dilations=steps.residual_dilations,
        first_channels=look.shape("dec.conv_pre.weight", 3)[0],
    )


def has_posterior(shapes: Mapping[str, Shape]) -> bool:
    """Tell whether a file of Piper has the posterior encoder, by the names of its tensors."""
    return "enc_q.pre.weight" in shapes


def has_duration_posterior(shapes: Mapping[str, Shape], settings: VitsSettings) -> bool:
    """Tell whether a file of Piper has all that durations are learned with."""
    return not settings.stochastic_durations or "dp.post_pre.weight" in shapes
