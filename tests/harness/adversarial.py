"""A tiny engine of another family, in one file: mel-like frames, a posterior encoder, and a discriminator.

It has no tokens and no labels; its loss draws noise and a segment from each row's lot. ``FAULTS`` change one line each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ENGINE = """
from typing import Literal

import numpy as np
import torch
from torch import nn

import vtune
from vtune.toolkit import normal, segment_starts, take_segments

RATE, HOP, BANDS, WIDTH, SEGMENT = 8000, 160, 8, 12, 16


class Options(vtune.EngineOptions):
    mode: Literal["alternating", "simultaneous"] = vtune.option(
        "alternating", affects="training", description="Which optimizer moves first."
    )
    pairs: Literal["whole", "segments"] = vtune.option(
        "segments", affects="training", description="What the discriminator sees."
    )


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.letters = nn.Embedding(128, WIDTH)
        self.prior = nn.Linear(WIDTH, WIDTH)
        self.posterior = nn.Linear(BANDS, 2 * WIDTH)
        self.decoder = nn.Linear(WIDTH, BANDS)

    def forward(self, letters, mel, items, lots, num_items_in_batch=None):
        mask = (torch.arange(mel.shape[1], device=mel.device) < items[:, None]).float()
        prior = self.prior(self.letters(letters))
        mean, spread = self.posterior(mel).float().chunk(2, -1)
        latent = mean + normal(lots, mel.shape[1], WIDTH) * torch.exp(spread.clamp(-4, 4))
        made = self.decoder(latent + prior)
        wrong = ((made - mel).abs().mean(-1) + 0.1 * ((mean - prior) ** 2).mean(-1)) * mask
        return {"loss": wrong.float().sum() / (num_items_in_batch or items.sum()), "made": made}


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(BANDS, WIDTH), nn.Linear(WIDTH, 1)
        self.register_buffer("level", torch.zeros(BANDS))

    def forward(self, mel):
        if self.training:
            self.level.lerp_(mel.detach().float().flatten(0, 1).mean(0), 0.1)
        return self.outer(torch.tanh(self.inner(mel))).float().mean((1, 2))  # one score for each clip


@vtune.hookimpl
def engine_info():
    return vtune.EngineInfo(
        sample_rate=RATE, features_version="1", options=Options, lora=vtune.LoraSettings(rank=2, alpha=4),
        lora_targets={"all": ("prior", "decoder")}, length_feature="mel",
    )


@vtune.hookimpl
def load_base(options, device, dtype):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {"options": options, "network": Network().to(device, dtype), "device": device}


@vtune.hookimpl
def prepare_sample(clip):
    frames = np.resize(clip.waveform, (len(clip.waveform) // HOP, HOP))
    power = np.abs(np.fft.rfft(frames))[:, 1:].reshape(len(frames), BANDS, -1).mean(-1)
    letters = np.frombuffer(clip.text.encode(), dtype=np.uint8)
    return {
        "mel": np.log(power + 1e-3).astype(np.float16),
        "letters": letters[np.arange(len(frames)) * len(letters) // len(frames)].astype(np.int16),
    }


@vtune.hookimpl
def collate(features):
    def padded(name):
        return nn.utils.rnn.pad_sequence([torch.as_tensor(row[name]) for row in features], batch_first=True)

    lots = torch.tensor([float(row["lot"]) for row in features], dtype=torch.float64)
    items = torch.tensor([len(row["mel"]) for row in features])
    return {"items": items, "mel": padded("mel"), "letters": padded("letters"), "lots": lots}


@vtune.hookimpl
def build_lora_model(base, lora):
    return vtune.attach_lora(load_base(base["options"], base["device"], torch.float32)["network"], lora,
                             engine_info().lora_targets)


def network_of(model):
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@vtune.hookimpl
def training_parts(base, model):
    network = network_of(model)
    return {
        "posterior": vtune.TrainingPart(network.posterior),
        "discriminator": vtune.TrainingPart(Discriminator(), learning_rate=5e-3),
    }


@vtune.hookimpl
def extract_conditioning(clips):
    return vtune.Conditioning({}, {"voice": clips[0].voice})


@vtune.hookimpl
def synthesize(base, model, text, conditioning, seed):
    letters = torch.tensor([[min(ord(letter), 127) for letter in text]], device=base["device"])
    network = network_of(model)
    with torch.no_grad():
        prior = network.prior(network.letters(letters))
        mel = network.decoder(2 * prior)[0].float().cpu().numpy()
    sound = np.sin(np.arange(len(mel) * HOP) / 5) * np.repeat(np.tanh(np.exp(mel.mean(-1) / 4)), HOP)
    yield vtune.Audio((0.5 * sound).astype(np.float32), RATE, vtune.Ending.PLANNED)


# The step.


@vtune.hookimpl
def optimizers(parts, learning_rates):
    rate = learning_rates["discriminator"]
    return {"judge": torch.optim.AdamW(parts["discriminator"].parameters(), lr=rate, betas=(0.8, 0.99))}


@vtune.hookimpl
def training_step(base, model, batch, step):
    output, judge = model(**batch), step.parts["discriminator"]
    real, made = batch["mel"], output["made"]
    if base["options"].pairs == "segments":
        starts = segment_starts(batch["items"], SEGMENT, batch["lots"])
        real, made = (take_segments(frames, starts, SEGMENT) for frames in (real, made))
    verdict = (judge(real) - 1).square().mean() + judge(made.detach()).square().mean()
    if base["options"].mode == "alternating":
        step.optimize(verdict, "judge")
    adversarial = (judge(made) - 1).square().mean()
    loss = output["loss"] + 0.1 * (1 + step.progress) * adversarial
    step.optimize(loss)
    if base["options"].mode == "simultaneous":
        step.optimize(verdict, "judge")
    return {"loss": loss, "verdict": verdict, "adversarial": adversarial}
"""


def write_engine(folder: Path, *changes: tuple[str, str]) -> Path:
    """Write the engine to a file, with some of its text replaced."""
    source = ENGINE
    for old, new in changes:
        assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in the engine"
        source = source.replace(old, new)
    path = folder / "adversarial_engine.py"
    path.write_text(source)
    return path


def without_a_step() -> tuple[str, str]:
    """Return the change that gives the engine one loss and no further optimizer."""
    return ENGINE[ENGINE.index("# The step.") :], ""


def write_recipe(folder: Path, engine: Path, speech: Path, **sections: Any) -> Path:
    """Write a recipe of eight clips in batches of two."""
    recipe: dict[str, Any] = {
        "voice": "someone",
        "engine": str(engine),
        "data": [{"source": str(speech)}],
        "folders": {"runs": str(folder / "runs"), "voices": str(folder / "voices")},
        "evaluate": {"clips": 0, "checkpoint_sentences": 0, "sentences": []},
    }
    train = {
        "epochs": 2, "batch_size": 2, "learning_rate": 1e-2, "validation": 0, "log_every": 1, "warmup": 0,
        "precision": "fp32",
    }  # fmt: skip
    recipe |= {**sections, "train": {**train, **sections.get("train", {})}}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path
