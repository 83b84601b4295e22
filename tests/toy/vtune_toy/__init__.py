"""The smallest whole engine: a recurrent network that reads letters and writes mu-law loudness, spoken as a tone.

It learns how loud a voice is for each letter; nobody would call it speech, but every promise of the contract holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

import vtune

SAMPLE_RATE, FRAME_SAMPLES, LEVEL_COUNT, LETTER_COUNT = 8000, 160, 32, 128


class ToyOptions(vtune.EngineOptions):
    """What a recipe may say under ``engine_options``."""

    width: int = vtune.option(16, affects=("training", "runtime"), ge=4, le=256, description="The size of the network.")
    dropout: float = vtune.option(
        0.0, affects="training", ge=0, lt=1, description="The share of hidden units that training leaves out."
    )
    max_frames: int = vtune.option(
        1000,
        affects="features",
        ge=1,
        description="The largest number of frames of one clip. Longer clips are left out.",
    )
    pace: float = vtune.option(
        1.0, affects="speech", gt=0, le=4, description="How slowly the voice speaks; 1 is as slowly as its recordings."
    )
    pitch: float = vtune.option(220.0, affects="sampling", description="The frequency of its tone in Hz.")
    codec_device: Literal["cpu", "auto"] = vtune.option(
        "cpu", affects="runtime", description="The device that computes the tone. `auto` is the network's device."
    )


class ToyNetwork(nn.Module):
    """Predicts the loudness of each frame from its letter and the frame before."""

    accepts_loss_kwargs = True  # forward takes num_items_in_batch, see below

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.letters = nn.Embedding(LETTER_COUNT, width)
        self.levels = nn.Embedding(LEVEL_COUNT, width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, LEVEL_COUNT)

    def forward(
        self,
        letters: torch.Tensor,  # (B, T)
        before: torch.Tensor,  # (B, T)
        labels: torch.Tensor | None = None,  # (B, T)
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> dict[str, torch.Tensor]:
        hidden = torch.tanh(self.inner(self.letters(letters) + self.levels(before)))
        logits = self.outer(nn.functional.dropout(hidden, self.dropout, self.training))  # (B, T, LEVEL_COUNT)
        if labels is None:
            return {"logits": logits}
        total = nn.functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), reduction="sum")
        count = num_items_in_batch if num_items_in_batch is not None else (labels != -100).sum()
        return {"loss": total / count, "logits": logits}


class ToyBase:
    """The state of the engine."""

    def __init__(self, options: ToyOptions, device: torch.device, dtype: torch.dtype) -> None:
        self.options, self.device, self.dtype = options, device, dtype
        self.codec_device = device if options.codec_device == "auto" else torch.device("cpu")

    def network(self) -> ToyNetwork:
        """Build the frozen network; its "pretrained" weights come from a fixed seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return ToyNetwork(self.options.width, self.options.dropout).to(self.device, self.dtype)


@vtune.hookimpl
def engine_info() -> vtune.EngineInfo:
    return vtune.EngineInfo(
        sample_rate=SAMPLE_RATE,
        features_version="1",
        options=ToyOptions,
        lora=vtune.LoraSettings(rank=4, alpha=8),
        lora_targets={"all": ("inner", "outer"), "outer": ("outer",)},
        length_feature="labels",
        licence="Toys are free.",
    )


@vtune.hookimpl
def load_base(options: ToyOptions, device: torch.device, dtype: torch.dtype) -> ToyBase:
    return ToyBase(options, device, dtype)


@vtune.hookimpl
def fingerprint(base: ToyBase) -> dict[str, str]:
    return {"network": f"width {base.options.width}"}


@vtune.hookimpl
def prepare_sample(base: ToyBase, clip: vtune.Clip) -> vtune.Features:
    frames = -(-len(clip.waveform) // FRAME_SAMPLES)
    if frames > base.options.max_frames:
        raise vtune.SkipClip(f"{frames} frames, more than max_frames {base.options.max_frames}")
    padded = np.pad(clip.waveform, (0, frames * FRAME_SAMPLES - len(clip.waveform))).reshape(frames, FRAME_SAMPLES)
    loudness = np.sqrt(np.square(padded).mean(axis=1))
    levels = np.clip(np.log1p(255 * loudness) / np.log(256) * LEVEL_COUNT, 0, LEVEL_COUNT - 1).astype(np.int64)
    return {"letters": _letters(clip.text, frames), "labels": levels}


@vtune.hookimpl
def collate(features: Sequence[vtune.Features]) -> vtune.Batch:
    longest = max(len(row["labels"]) for row in features)
    labels = torch.full((len(features), longest), -100)
    letters = torch.zeros((len(features), longest), dtype=torch.long)
    before = torch.zeros((len(features), longest), dtype=torch.long)
    for index, row in enumerate(features):
        length = len(row["labels"])
        labels[index, :length] = torch.as_tensor(row["labels"])
        letters[index, :length] = torch.as_tensor(row["letters"])
        before[index, 1:length] = labels[index, : length - 1]
    return {"letters": letters, "before": before, "labels": labels}


@vtune.hookimpl
def build_lora_model(base: ToyBase, lora: vtune.LoraSettings) -> nn.Module:
    return vtune.attach_lora(base.network(), lora, engine_info().lora_targets)


@vtune.hookimpl
def extract_conditioning(base: ToyBase, clips: Sequence[vtune.Clip]) -> vtune.Conditioning:
    seconds = base.options.pace * sum(clip.seconds for clip in clips) / max(1, sum(len(clip.text) for clip in clips))
    return vtune.Conditioning({"pace": np.asarray([seconds], dtype=np.float32)}, {"voice": clips[0].voice})


@vtune.hookimpl
def synthesize(
    base: ToyBase,
    model: nn.Module,
    text: str,
    conditioning: vtune.Conditioning,
    seed: int,
    sampling: Mapping[str, Any],
) -> Iterator[vtune.Audio]:
    pitch = sampling.get("pitch", base.options.pitch)
    generator = torch.Generator().manual_seed(seed)
    frames = max(1, int(len(text) * _pace(conditioning) * SAMPLE_RATE / FRAME_SAMPLES))
    letters = torch.as_tensor(_letters(text, frames), device=base.device)
    level = torch.zeros(1, 1, dtype=torch.long, device=base.device)
    for frame in range(frames):
        logits = model(letters=letters[None, frame : frame + 1], before=level)["logits"][0, -1]
        level = torch.multinomial(logits.float().cpu().softmax(-1), 1, generator=generator)[None].to(base.device)
        times = (
            frame * FRAME_SAMPLES + torch.arange(FRAME_SAMPLES, device=base.codec_device, dtype=torch.float64)
        ) / SAMPLE_RATE
        loudness = (256 ** (float(level.item()) / LEVEL_COUNT) - 1) / 255
        tone = np.sqrt(2) * loudness * torch.sin(2 * np.pi * pitch * times).cpu().numpy()
        ending = vtune.Ending.END_TOKEN if frame == frames - 1 else None
        yield vtune.Audio(np.clip(tone, -1, 1).astype(np.float32), SAMPLE_RATE, ending)


def _pace(conditioning: vtune.Conditioning) -> float:
    pace = conditioning.tensors.get("pace")
    if pace is None or pace.shape != (1,) or not 0 <= pace[0] <= 10:
        raise vtune.VoiceError("the voice's pace is not one number of seconds a letter, 0 to 10")
    return float(pace[0])


def _letters(text: str, frames: int) -> Any:
    codes = np.frombuffer(text.encode("ascii", "replace"), dtype=np.uint8).astype(np.int64)
    return codes[np.arange(frames) * len(codes) // frames]
