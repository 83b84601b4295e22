"""A vocoder of source and filters: latents say the pitch and how pulses and noise are filtered, frame by frame.

Harmonics come from a pulse train, so a pitch that the base has never spoken has clean harmonics at once. What is left
to learn are smooth filters, which minutes of speech and a few hundred steps can teach. Such vocoders are as old as
speech synthesis (Dudley, 1939); networks that only say what a fixed synthesiser shall do are those of Wang, Takaki and
Yamagishi (2019) and Engel et al. (2020). The filter of the pulses has minimum phase, as a vocal tract nearly has.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

import vtune
from vtune.toolkit.pulses import pulse_train
from vtune_vits.network.settings import SourceFilterSettings, VitsSettings
from vtune_vits.network.vocoder import Made

NOISE_SAMPLES = 65_536
"""Length of the noise, which begins again and again: 3 seconds at 22,050 Hz, so nobody hears a repetition."""

OVERLAP = 4
"""Hops of a window; a squared Hann window then adds up to 1.5 everywhere."""

WINDOW_POWER = 1.5
HIGHEST_HARMONIC = 0.95
"""Highest harmonic as a share of half the sample rate."""

MAX_LOG_GAIN = 2.0
"""Larger logarithms of a gain are cut off."""

NOISE_BANDS = 5
"""Neighbouring bands (of 21.5 Hz) over which the gain of the noise is averaged. Alone, a band of noise is learned from
few examples that vary, and differs from its neighbours by chance, which sounds like a comb."""

MIN_F0_HZ, MAX_F0_HZ = 50.0, 800.0
TYPICAL_F0_HZ = 150.0
"""What a network without training says."""

_FIRST_LOG_GAIN = -10.0
"""Gain of a network without training: nearly silent, as loud as quiet speech."""


class Filters(NamedTuple):
    """What the vocoder says about each frame."""

    harmonics: torch.Tensor
    """Logarithm of the gain of the pulse train in each band, float32 ``[B x T x bins]``."""

    noise: torch.Tensor
    """Logarithm of the gain of the noise in each band, float32 ``[B x T x bins]``."""

    log_f0: torch.Tensor
    """Natural logarithm of the pitch in Hz, float32 ``[B x T]``; it says nothing where the noise is louder."""


class ConvolutionBlock(nn.Module):
    """Adds to each frame what its neighbours say about it (ConvNeXt; Liu et al. 2022, arXiv 2201.03545)."""

    def __init__(self, width: int, expanded: int, kernel: int) -> None:
        super().__init__()
        self.neighbours = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, expanded)
        self.down = nn.Linear(expanded, width)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the changed frames, ``[B x C x T]``."""
        change = self.norm(self.neighbours(frames).transpose(1, 2))
        changed: torch.Tensor = frames + self.down(functional.gelu(self.up(change))).transpose(1, 2)
        return changed


class FrameStack(nn.Module):
    """Convolution blocks over latents, with a linear layer at the end."""

    def __init__(self, settings: VitsSettings, width: int, blocks: int, outputs: int) -> None:
        super().__init__()
        shapes = settings.source_filter or SourceFilterSettings()
        self.conv_pre = nn.Conv1d(settings.flow_size, width, shapes.kernel, padding=shapes.kernel // 2)
        if settings.conditioning_size:
            self.cond = nn.Conv1d(settings.conditioning_size, width, 1)
        self.blocks = nn.ModuleList(ConvolutionBlock(width, 3 * width, shapes.kernel) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)
        nn.init.normal_(self.head.weight, std=0.01)

    def forward(self, latents: torch.Tensor, speaker: torch.Tensor | None) -> torch.Tensor:
        """Return numbers for each frame, float32 ``[B x T x outputs]``, of latents ``[B x C x T]``."""
        frames = self.conv_pre(latents)
        if speaker is not None:
            frames = frames + self.cond(speaker)
        for block in self.blocks:
            frames = block(frames)
        numbers: torch.Tensor = self.head(self.norm(frames.transpose(1, 2)))
        return numbers.float()


class SourceFilterVocoder(nn.Module):
    """Makes the waveform from latents by filtering pulses and noise."""

    noise_cycle: torch.Tensor

    def __init__(self, settings: VitsSettings) -> None:
        super().__init__()
        shapes = settings.source_filter or SourceFilterSettings()
        self.sample_rate, self.hop = settings.sample_rate, settings.hop_length
        self.bins = 1 + OVERLAP * self.hop // 2
        self.gains = FrameStack(settings, shapes.width, shapes.blocks, 2 * self.bins)
        self.pitch = FrameStack(settings, shapes.pitch_width, shapes.pitch_blocks, 1)
        nn.init.constant_(self.gains.head.bias, _FIRST_LOG_GAIN)
        nn.init.constant_(self.pitch.head.bias, math.log(TYPICAL_F0_HZ))
        lot = torch.zeros(1, dtype=torch.float64, device="cpu")
        self.register_buffer("noise_cycle", vtune.toolkit.normal(lot, NOISE_SAMPLES)[0], persistent=False)

    def forward(
        self,
        latents: torch.Tensor,
        speaker: torch.Tensor | None = None,
        f0: torch.Tensor | None = None,
        contrast: float = 1.0,
    ) -> torch.Tensor:
        """Return samples from -1 to 1, ``[B x 1 x T * hop]``, of latents ``[B x C x T]``; always the same ones.

        :param speaker: the speakers' embeddings ``[B x G x 1]``; None for a voice of one speaker.
        :param f0: a pitch in Hz, ``[B x T]``, in place of the one that the latents have.
        :param contrast: see `with_contrast`.
        """
        filters = with_contrast(self.filters(latents, speaker), contrast)
        starts = torch.zeros(len(latents), dtype=torch.long, device=latents.device)
        return self.sound(filters, filters.log_f0.exp() if f0 is None else f0, starts)[:, None].clamp(-1, 1)

    def make(
        self, latents: torch.Tensor, speaker: torch.Tensor | None, f0: torch.Tensor | None, lots: torch.Tensor
    ) -> Made:
        """Make recordings again at their own pitch, twice, with other noise each time.

        :param f0: the measured pitch in Hz, ``[B x T]``, positive everywhere.
        :param lots: where the noises of each row begin, float64 ``[B]``.
        :raises ValueError: no pitch is given.
        """
        if f0 is None:
            raise ValueError("a vocoder of source and filters learns from clips with their pitch, and there is none")
        filters = self.filters(latents, speaker)
        places = (vtune.toolkit.uniform(lots, 2, stream=_NOISE_STREAM) * NOISE_SAMPLES).long()
        sounds = [self.sound(filters, f0, places[:, number].to(latents.device)) for number in range(2)]
        return Made(torch.stack(sounds), filters.log_f0)

    def filters(self, latents: torch.Tensor, speaker: torch.Tensor | None) -> Filters:
        """Return the filters and the pitch of each frame."""
        harmonics, noise = self.gains(latents, speaker).clamp(max=MAX_LOG_GAIN).split(self.bins, 2)
        noise = functional.avg_pool1d(functional.pad(noise, [NOISE_BANDS // 2] * 2, "replicate"), NOISE_BANDS, 1)
        log_f0 = self.pitch(latents, speaker)[..., 0]
        return Filters(harmonics, noise, log_f0.clamp(math.log(MIN_F0_HZ), math.log(MAX_F0_HZ)))

    def sound(self, filters: Filters, f0: torch.Tensor, noise_starts: torch.Tensor) -> torch.Tensor:
        """Return samples, float32 ``[B x T * hop]``. No gradient flows to the pitch.

        :param f0: Hz, ``[B x T]``.
        :param noise_starts: the sample of the noise with which each row begins, int64 ``[B]``.
        """
        with torch.autocast(f0.device.type, enabled=False):
            size, frames = f0.shape
            counts = torch.full((size,), frames, device=f0.device)
            highest = HIGHEST_HARMONIC * self.sample_rate / 2
            pulses = pulse_train(f0.float(), counts, self.sample_rate, self.hop, highest)
            places = noise_starts[:, None] + torch.arange(frames * self.hop, device=f0.device)
            noise = self.noise_cycle[places % NOISE_SAMPLES]
            voiced = torch.polar(filters.harmonics.exp(), minimum_phase(filters.harmonics)) * self.spectra(pulses)
            return self.samples(voiced + filters.noise.exp() * self.spectra(noise))

    def spectra(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the spectra of windows around the middles of frames, complex64 ``[B x T x bins]``."""
        size = OVERLAP * self.hop
        padded = functional.pad(samples, [(size - self.hop) // 2] * 2)
        windows = padded.unfold(1, size, self.hop)
        spectra: torch.Tensor = torch.fft.rfft(windows * torch.hann_window(size, device=samples.device))
        return spectra

    def samples(self, spectra: torch.Tensor) -> torch.Tensor:
        """Return the samples ``[B x T * hop]`` of spectra: the inverse of `spectra` but for the first and last frames.

        At both ends, where fewer windows overlap, the sound is faded in and out within 1.5 hops.
        """
        size, frames = OVERLAP * self.hop, spectra.shape[1]
        windows = torch.fft.irfft(spectra, size) * (torch.hann_window(size, device=spectra.device) / WINDOW_POWER)
        hops = windows.unflatten(2, (OVERLAP, self.hop))
        shifted = [
            functional.pad(hops[:, :, number], (0, 0, number, OVERLAP - 1 - number)) for number in range(OVERLAP)
        ]
        start = (size - self.hop) // 2
        return torch.stack(shifted).sum(0).flatten(1)[:, start : start + frames * self.hop]


def with_contrast(filters: Filters, contrast: float) -> Filters:
    """Return filters whose gains lie ``contrast`` times as far from their mean over time, band by band.

    What a network learns is smoother than speech: where it cannot know, it says the middle. Speech that is spread out
    again is clearer (global variance; Toda and Tokuda, 2007, and with a fixed factor Silen et al., 2012).
    """
    if contrast == 1.0:
        return filters
    harmonics, noise = (
        torch.lerp(gains.mean(1, keepdim=True), gains, contrast).clamp(max=MAX_LOG_GAIN)
        for gains in (filters.harmonics, filters.noise)
    )
    return Filters(harmonics, noise, filters.log_f0)


_NOISE_STREAM = 2
"""Stream of ``vtune.toolkit.uniform``; the posterior and the durations have 0 and 1."""


def minimum_phase(log_gains: torch.Tensor) -> torch.Tensor:
    """Return the phase in radians of the filter of minimum phase with these gains, both ``[... x bins]``.

    The complex cepstrum of such a filter is the real one with its second half folded onto the first (Oppenheim and
    Schafer, Discrete-Time Signal Processing, chapter on cepstrum analysis).

    :param log_gains: natural logarithms of the gains from 0 Hz to half the sample rate.
    """
    size = 2 * (log_gains.shape[-1] - 1)
    cepstrum = torch.fft.irfft(log_gains.to(torch.complex64), size)
    folding = torch.zeros(size, device=log_gains.device)
    folding[1 : size // 2] = 2.0
    phase: torch.Tensor = torch.fft.rfft(cepstrum * folding).imag
    return phase
