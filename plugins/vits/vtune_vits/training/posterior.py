"""Make the posterior encoder that a published voice lacks, by self-distillation: it learns from the voice's own speech.

A voice that is published as ONNX holds only what speaking needs. Training needs the posterior encoder too, which tells
the latents of a recording. Whatever the voice speaks has known latents, so a new encoder can learn from any amount of
such speech: first these latents, then the loss that VITS itself has, with everything else of the voice frozen. It is
made once for each base, kept in the user's cache of model files, and shared by all its voices.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import vtune
from vtune.runtime.device import pick_precision
from vtune_vits.network.alignment import phoneme_of_frame, spread
from vtune_vits.network.spectrogram import linear_spectrogram, log_mel
from vtune_vits.training.losses import MEL_WEIGHT, divergence

if TYPE_CHECKING:
    from vtune_vits.network.voice import VitsNetwork

logger = logging.getLogger(__name__)

VERSION = 1
"""Raised when the same settings give another encoder."""

WEIGHTS_FILE = "posterior_encoder.safetensors"

SEGMENT_FRAMES = 32
"""Frames that are made again in a step, as in a training."""

_LATENTS_SHARE = 0.3
"""Share of the steps that only learn the known latents, which are cheap and bring the encoder near."""

_STEPS_OF_A_ROUND = 16
"""Steps between two lots of new speech: speaking costs twice what learning from the same frames costs."""

_POOL_ROUNDS = 4
"""Rounds whose speech is kept; bounds the memory."""

_PHONEME_FRAMES = np.array([1, 2, 2, 3, 3, 4, 5, 7, 9])
"""Frames of a random phoneme, each as likely as its place."""

_NOISE_SCALES = (0.4, 1.0)
"""The range of the noise of latents: speech at 1 has all that the prior allows, speech at 0.667 is what is heard."""

_MAX_GRADIENT_NORM = 1.0
_TEST_CLIPS = 8


@dataclass(frozen=True, slots=True)
class Distillation:
    """How a posterior encoder is made.

    :param steps: of the optimizer.
    :param clips: in one step.
    :param frames: of each clip.
    :param learning_rate: the highest; it falls to 0 as a cosine.
    """

    steps: int = 1200
    clips: int = 8
    frames: int = 80
    learning_rate: float = 1e-3
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Phonemes:
    """What a base reads.

    :param symbols: ids of its phonemes or characters.
    :param blank: the id between two symbols; None if there is none.
    """

    symbols: tuple[int, ...]
    blank: int | None


@dataclass(frozen=True, slots=True)
class Teacher:
    """A base whose posterior encoder is made.

    :param network: the base as it is published; its posterior encoder is changed.
    :param fingerprint: hash of its files.
    """

    network: VitsNetwork
    phonemes: Phonemes
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance of the base, of T frames.

    :param latents: what the vocoder spoke, ``[C, T]``.
    :param magnitudes: linear spectrogram of the sound, ``[bins, T]``.
    :param prior: means and log standard deviations of each frame's phoneme, ``[2, C, T]``.
    :param speaker: number of the base's speaker.
    """

    latents: torch.Tensor
    magnitudes: torch.Tensor
    prior: torch.Tensor
    speaker: int

    def part(self, start: int, end: int) -> Example:
        """Return some of its frames."""
        latents, magnitudes, prior = (t[..., start:end] for t in (self.latents, self.magnitudes, self.prior))
        return Example(latents, magnitudes, prior, self.speaker)


@dataclass(frozen=True, slots=True)
class DistillationError:
    """How well an encoder serves speech that it has not learned from.

    :param divergence: of the posterior from the prior of the known phonemes, in nats a frame.
    :param mel: mean absolute difference of log mels between the speech and what the vocoder makes of the latents.
    """

    divergence: float
    mel: float

    def __str__(self) -> str:
        return f"{self.divergence:.1f} nats a frame from the prior, mel distance {self.mel:.2f}"


def load_distilled(network: VitsNetwork, base: Teacher, distillation: Distillation) -> None:
    """Load the posterior encoder of a base into a network; make it first if the cache has none.

    Another process that needs the same encoder waits until it is done.

    """
    facts = (VERSION, base.fingerprint, sorted(asdict(distillation).items()), network.settings.posterior_layers)
    name = f"posterior-{sha256(repr(facts).encode()).hexdigest()[:16]}"

    def build(folder: Path) -> None:
        error = distil(base.network, base.phonemes, distillation)
        tensors = {
            name: tensor.cpu().contiguous() for name, tensor in base.network.posterior_encoder.state_dict().items()
        }
        save_file(tensors, folder / WEIGHTS_FILE, {"error": str(error)})

    folder = vtune.toolkit.build_once("vits", name, build, WEIGHTS_FILE)
    network.posterior_encoder.load_state_dict(load_file(folder / WEIGHTS_FILE))


def distil(network: VitsNetwork, phonemes: Phonemes, distillation: Distillation) -> DistillationError:
    """Teach the network's posterior encoder with the network's own speech; everything else of it stays as it is.

    The same settings give the same encoder on the same machine; torch's own random numbers stay as they are.

    :param phonemes: what the base can read.
    :returns: the error on speech that was not learned from.
    """
    encoder, random = network.posterior_encoder, np.random.default_rng(distillation.seed)
    logger.info("The base has no posterior encoder; one is made of its own speech, once for all voices of this base")
    test = speak_examples(
        network, phonemes, _TEST_CLIPS, distillation.frames, np.random.default_rng([distillation.seed, 1])
    )
    encoder.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(encoder.parameters(), distillation.learning_rate, (0.9, 0.99), weight_decay=0)
    pool: list[Example] = []
    for step in range(distillation.steps):
        if step % _STEPS_OF_A_ROUND == 0:
            new = speak_examples(network, phonemes, distillation.clips, 2 * distillation.frames, random)
            pool = [*new, *pool][: _POOL_ROUNDS * distillation.clips]
        for group in optimizer.param_groups:
            group["lr"] = distillation.learning_rate * _share_of_rate(step, distillation.steps)
        crops = _crops(pool, distillation, random)
        if step < _LATENTS_SHARE * distillation.steps:
            loss = latents_loss(network, crops)
        else:
            first = int(random.integers(max(1, distillation.frames - SEGMENT_FRAMES + 1)))
            loss = vits_loss(network, crops, random, first)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), _MAX_GRADIENT_NORM)
        optimizer.step()
        if (step + 1) % max(1, distillation.steps // 5) == 0:
            logger.info("Posterior encoder: step %d of %d, %s", step + 1, distillation.steps, measure(network, test))
    encoder.requires_grad_(False).eval()
    return measure(network, test)


def speak_examples(
    network: VitsNetwork, phonemes: Phonemes, count: int, min_frames: int, random: np.random.Generator
) -> list[Example]:
    """Let the base speak random phonemes of random lengths, so that no language and no text is needed.

    :param min_frames: the least length of each utterance in frames; utterances are up to 9 frames longer.
    """
    return [_speak(network, phonemes, min_frames, random) for _ in range(count)]


def latents_loss(network: VitsNetwork, examples: Sequence[Example]) -> torch.Tensor:
    """Return the mean negative log-likelihood of the known latents, up to a constant, in nats a number."""
    latents = torch.stack([example.latents for example in examples])
    means, log_scales, _, _ = _encode(network, examples)
    return (log_scales + 0.5 * ((latents - means) * torch.exp(-log_scales)).square()).mean()


def vits_loss(
    network: VitsNetwork, examples: Sequence[Example], random: np.random.Generator, first: int
) -> torch.Tensor:
    """Return the divergence from the known prior in nats a frame plus 45 times the mel distance of a segment.

    :param first: the frame where the segment begins.
    """
    kl, mel = _shares(network, examples, random, first)
    return kl + MEL_WEIGHT * mel


@torch.no_grad()
def measure(network: VitsNetwork, examples: Sequence[Example]) -> DistillationError:
    """Measure the posterior encoder on examples; the same each time."""
    shares = [_shares(network, [example], np.random.default_rng(0), 0) for example in examples]
    kl, mel = (float(torch.stack(values).mean()) for values in zip(*shares, strict=True))
    return DistillationError(kl, mel)


def _shares(
    network: VitsNetwork, examples: Sequence[Example], random: np.random.Generator, first: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the divergence in nats a frame and the mel distance of the segment, as scalars."""
    settings = network.settings
    means, log_scales, mask, speaker = _encode(network, examples)
    noise = random.standard_normal(means.transpose(1, 2).shape, dtype=np.float32)
    latents = means + torch.from_numpy(noise).to(means.device).transpose(1, 2) * log_scales.exp()
    prior = torch.stack([example.prior for example in examples], 1)  # [2, B, C, T]
    with _bf16(means.device):
        in_prior = network.to_prior(latents, mask, speaker)
        made = network.decode(latents[..., first : first + SEGMENT_FRAMES], speaker).float()
    kl = divergence(in_prior, log_scales, (prior[0], prior[1]), mask).sum() / mask.sum()
    magnitudes = torch.stack([example.magnitudes for example in examples])[..., first : first + SEGMENT_FRAMES]
    made = linear_spectrogram(made, settings.fft_size, settings.hop_length)
    distances = log_mel(made, settings.sample_rate) - log_mel(magnitudes, settings.sample_rate)
    return kl, distances.abs().mean()


@torch.no_grad()
def _speak(network: VitsNetwork, phonemes: Phonemes, min_frames: int, random: np.random.Generator) -> Example:
    settings, device = network.settings, next(network.parameters()).device
    frame_counts = random.choice(_PHONEME_FRAMES, min_frames)
    frame_counts = frame_counts[: 1 + int(np.searchsorted(frame_counts.cumsum(), min_frames))]
    drawn = random.choice(phonemes.symbols, len(frame_counts))
    if phonemes.blank is not None:
        drawn[::2] = phonemes.blank
    ids = torch.from_numpy(drawn).to(device)[None]  # [1, L]
    speaker_id = int(random.integers(settings.speakers))
    speaker = network.embed(torch.tensor([speaker_id], device=device))
    reading = network.read(ids, torch.ones_like(ids, dtype=torch.bool))
    index = phoneme_of_frame(torch.from_numpy(frame_counts).to(device)[None], int(frame_counts.sum()))
    means, log_scales = spread(reading.means, index), spread(reading.log_scales, index)
    noise = random.standard_normal((means.shape[2], means.shape[1]), dtype=np.float32).T * random.uniform(
        *_NOISE_SCALES
    )
    prior = means + torch.from_numpy(noise.astype(np.float32)).to(device) * log_scales.exp()
    latents = network.from_prior(prior, torch.ones_like(index, dtype=torch.bool), speaker)
    sound = network.decode(latents, speaker)
    magnitudes = linear_spectrogram(sound, settings.fft_size, settings.hop_length)
    return Example(latents[0], magnitudes[0], torch.cat([means, log_scales]), speaker_id)


def _crops(pool: Sequence[Example], distillation: Distillation, random: np.random.Generator) -> list[Example]:
    crops = []
    for index in random.integers(len(pool), size=distillation.clips):
        start = int(random.integers(pool[index].latents.shape[1] - distillation.frames + 1))
        crops.append(pool[index].part(start, start + distillation.frames))
    return crops


def _encode(
    network: VitsNetwork, examples: Sequence[Example]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Encode examples of equal length.

    :returns: means and log standard deviations float32 ``[B, C, T]``, a mask ``[B, T]``, and the speakers' embeddings.
    """
    magnitudes = torch.stack([example.magnitudes for example in examples])
    mask = torch.ones(len(magnitudes), magnitudes.shape[2], dtype=torch.bool, device=magnitudes.device)
    speaker = network.embed(torch.tensor([example.speaker for example in examples], device=magnitudes.device))
    with _bf16(magnitudes.device):
        means, log_scales = network.posterior(magnitudes, mask, speaker)
    return means.float(), log_scales.float(), mask, speaker


def _bf16(device: torch.device) -> torch.autocast:
    """Compute products in bf16 where that is faster."""
    return torch.autocast(device.type, torch.bfloat16, enabled=pick_precision("auto", device) == "bf16")


def _share_of_rate(step: int, steps: int) -> float:
    """Return the share of the highest learning rate: it rises for the first twentieth, and falls as a cosine."""
    return min(1.0, 20 * (step + 1) / steps) * 0.5 * (1 + math.cos(math.pi * step / steps))
