"""Teach a part that a base lacks with the base's own speech, whose latents are known (self-distillation).

Whatever a base speaks has known latents, so a new part can learn from any amount of such speech. Random phonemes of
random lengths need no text and no language. A part is made once for each base, kept in the user's cache of model files,
and shared by all voices of the base.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import vtune
from vtune.runtime.device import pick_precision
from vtune_vits.network.alignment import phoneme_of_frame, spread
from vtune_vits.network.spectrogram import linear_spectrogram

if TYPE_CHECKING:
    from vtune_vits.network.voice import VitsNetwork

logger = logging.getLogger(__name__)

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
    """How a part is made.

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
    """A base of whose speech a part is made.

    :param network: the base as it is published.
    :param fingerprint: hash of its files.
    """

    network: VitsNetwork
    phonemes: Phonemes
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance of the base, of T frames.

    :param latents: what the vocoder spoke, ``[C, T]``.
    :param sound: what it spoke, ``[T * hop]``.
    :param magnitudes: linear spectrogram of the sound, ``[bins, T]``.
    :param prior: means and log standard deviations of each frame's phoneme, ``[2, C, T]``.
    :param speaker: number of the base's speaker.
    """

    latents: torch.Tensor
    sound: torch.Tensor
    magnitudes: torch.Tensor
    prior: torch.Tensor
    speaker: int

    def part(self, start: int, end: int) -> Example:
        """Return some of its frames."""
        latents, magnitudes, prior = (t[..., start:end] for t in (self.latents, self.magnitudes, self.prior))
        hop = len(self.sound) // self.latents.shape[1]
        return Example(latents, self.sound[start * hop : end * hop], magnitudes, prior, self.speaker)


def load_made(part: nn.Module, key: Sequence[object], name: str, make: Callable[[], tuple[nn.Module, str]]) -> None:
    """Load a part of a base from the cache; make it first if the cache has none.

    Another process that needs the same part waits until it is done.

    :param part: of the network that is loaded.
    :param key: everything that the made part depends on.
    :param name: the beginning of its file's name.
    :param make: make the part; returns it and its error in words.
    """
    weights_file = f"{name}.safetensors"

    def build(folder: Path) -> None:
        made, error = make()
        tensors = {name: tensor.cpu().contiguous() for name, tensor in made.state_dict().items()}
        save_file(tensors, folder / weights_file, {"error": error})

    digest = sha256(repr(tuple(key)).encode()).hexdigest()[:16]
    folder = vtune.toolkit.build_once("vits", f"{name.partition('_')[0]}-{digest}", build, weights_file)
    part.load_state_dict(load_file(folder / weights_file))


def settings_key(distillation: Distillation) -> list[tuple[str, object]]:
    """Return what a made part depends on of its settings."""
    return sorted(asdict(distillation).items())


def teach(
    part: nn.Module,
    teacher: Teacher,
    distillation: Distillation,
    loss: Callable[[int, list[Example], np.random.Generator], torch.Tensor],
    report: Callable[[int], None],
) -> None:
    """Teach a part from crops of the base's speech; the part is frozen at the end.

    The same settings give the same part on the same machine.

    :param loss: of a step's number, crops and random numbers.
    :param report: called with the number of steps that are done, five times in all.
    """
    random = np.random.default_rng(distillation.seed)
    part.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(part.parameters(), distillation.learning_rate, (0.9, 0.99), weight_decay=0)
    for step, crops in enumerate(_crops(teacher, distillation, random)):
        for group in optimizer.param_groups:
            group["lr"] = distillation.learning_rate * _share_of_rate(step, distillation.steps)
        value = loss(step, crops, random)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(part.parameters(), _MAX_GRADIENT_NORM)
        optimizer.step()
        if (step + 1) % max(1, distillation.steps // 5) == 0:
            report(step + 1)
    part.requires_grad_(False).eval()


def unheard_examples(teacher: Teacher, distillation: Distillation) -> list[Example]:
    """Return speech from which nothing is learned, to measure a part with."""
    random = np.random.default_rng([distillation.seed, 1])
    return speak_examples(teacher.network, teacher.phonemes, _TEST_CLIPS, distillation.frames, random)


def speak_examples(
    network: VitsNetwork, phonemes: Phonemes, count: int, min_frames: int, random: np.random.Generator
) -> list[Example]:
    """Let the base speak random phonemes of random lengths, so that no language and no text is needed.

    :param min_frames: the least length of each utterance in frames; utterances are up to 9 frames longer.
    """
    return [_speak(network, phonemes, min_frames, random) for _ in range(count)]


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
    return Example(latents[0], sound[0], magnitudes[0], torch.cat([means, log_scales]), speaker_id)


def _crops(teacher: Teacher, distillation: Distillation, random: np.random.Generator) -> Iterator[list[Example]]:
    """Yield the crops of each step; the base speaks anew every few steps."""
    pool: list[Example] = []
    for step in range(distillation.steps):
        if step % _STEPS_OF_A_ROUND == 0:
            new = speak_examples(teacher.network, teacher.phonemes, distillation.clips, 2 * distillation.frames, random)
            pool = [*new, *pool][: _POOL_ROUNDS * distillation.clips]
        crops = []
        for index in random.integers(len(pool), size=distillation.clips):
            start = int(random.integers(pool[index].latents.shape[1] - distillation.frames + 1))
            crops.append(pool[index].part(start, start + distillation.frames))
        yield crops


def _share_of_rate(step: int, steps: int) -> float:
    """Return the share of the highest learning rate: it rises for the first twentieth, and falls as a cosine."""
    return min(1.0, 20 * (step + 1) / steps) * 0.5 * (1 + math.cos(math.pi * step / steps))


def in_bf16(device: torch.device) -> torch.autocast:
    """Compute products in bf16 where that is faster."""
    return torch.autocast(device.type, torch.bfloat16, enabled=pick_precision("auto", device) == "bf16")
