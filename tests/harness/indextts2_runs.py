"""Voices of small IndexTTS2 checkpoints, made by the real pipeline from synthetic speech."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import yaml
from safetensors.torch import load_file

from vtune import load_recipe, pipeline
from vtune.runtime.paths import VoiceFolder
from vtune.testing import made_clip


@dataclass(frozen=True)
class Made:
    """A voice with its run and its recipe."""

    folder: VoiceFolder
    root: Path

    @property
    def adapter(self) -> dict[str, torch.Tensor]:
        """Return the tensors of the adapter by name."""
        tensors: dict[str, torch.Tensor] = load_file(self.folder.path / "adapter_model.safetensors")
        return tensors

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Return the logged metrics, one entry for each step."""
        (log,) = (self.root / "runs/someone/logs").glob("*/metrics.jsonl")
        return [json.loads(line) for line in log.read_text().splitlines()]


def write_speech(root: Path) -> Path:
    """Write two voices of unequal length, each a folder of clips with its own sample rate; return their folder."""
    for voice, rate, count, first in (("someone", 16_000, 6, 0), ("another", 44_100, 4, 10)):
        (root / voice / "clips").mkdir(parents=True)
        with (root / voice / "transcripts.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["filename", "text"])
            for number in range(first, first + count):
                clip = made_clip(rate, 0.6 + 0.05 * (number % 4), number)
                soundfile.write(root / voice / "clips" / f"{number}.wav", clip.waveform, rate)
                table.writerow([f"{number}.wav", f"this is sentence number {number}"])
    return root


def run_recipe(speech: Path, base: Path, root: Path, **sections: Any) -> list[VoiceFolder]:
    """Run a recipe with a small checkpoint; return the folders of its voices.

    :param speech: what ``write_speech`` wrote.
    :param base: the checkpoint.
    :param sections: sections of the recipe; those of options and of training change single keys.
    """
    options = {"base_model": str(base), "normaliser": "basic", "max_codes": 20, "flow_steps": 2}
    train = {
        "epochs": 3, "batch_size": 3, "learning_rate": 3e-2, "validation": 0, "log_every": 1, "save_every": 3,
        "warmup": 0, "gradient_checkpointing": True,
    }  # fmt: skip
    recipe = {
        "voice": "someone",
        "engine": "indextts2",
        "data": [{"source": str(speech / "someone")}],
        "folders": {"runs": str(root / "runs"), "voices": str(root / "voices")},
        "lora": {"rank": 4, "alpha": 8, "dropout": 0.05},
        "evaluate": {"sentences": ["hello there"], "metrics": ["delivery"]},
        **sections,
        "engine_options": {**options, **sections.get("engine_options", {})},
        "train": {**train, **sections.get("train", {})},
    }
    root.mkdir(exist_ok=True)
    (root / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return pipeline.run(load_recipe(root / "recipe.yaml"))


def spoken(voice: Any, text: str, **settings: Any) -> np.ndarray:
    """Return everything that a voice says, as one waveform."""
    return np.concatenate([piece.waveform for piece in voice.stream(text, **settings)])
