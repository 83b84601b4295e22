"""Toy voices, each made once: an export only reads them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import yaml

from vtune import load_recipe, pipeline
from vtune.folders import VoiceFolder
from vtune.testing import made_clip

CONSENT = {"person": "A tone", "statement": "Tones need not be asked."}


@pytest.fixture(scope="session")
def toy_speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech")
    (folder / "clips").mkdir()
    with (folder / "transcripts.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["filename", "text"])
        for number in range(10):
            clip = made_clip(8000, 0.6 + 0.1 * (number % 5), number)
            soundfile.write(folder / "clips" / f"{number}.wav", clip.waveform, 8000)
            table.writerow([f"{number}.wav", f"this is sentence number {number}"])
    return folder


@pytest.fixture(scope="session")
def make_voice(toy_speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., VoiceFolder]:
    def make(**sections: Any) -> VoiceFolder:
        root = tmp_path_factory.mktemp("voice")
        recipe: dict[str, Any] = {
            "voice": "someone",
            "engine": "toy",
            "data": [{"source": str(toy_speech)}],
            "folders": {"runs": str(root / "runs"), "voices": str(root / "voices")},
            "lora": {"rank": 4, "alpha": 8},
            "evaluate": {"sentences": ["hello there", "one more line"], "judges": ["delivery"], "clips": 3},
            "consent": CONSENT,
            **sections,
        }
        recipe["train"] = {
            "epochs": 2, "batch_size": 2, "learning_rate": 1e-2, "validation": 0.4, "warmup": 0, "log_every": 1,
            **sections.get("train", {}),
        }  # fmt: skip
        path = root / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe, sort_keys=False))
        (folder,) = pipeline.run(load_recipe(path))
        return folder

    return make


@pytest.fixture(scope="session")
def voice(make_voice: Callable[..., VoiceFolder]) -> VoiceFolder:
    """Scored, by LoRA, with a consent."""
    return make_voice()


@pytest.fixture(scope="session")
def unstated(make_voice: Callable[..., VoiceFolder]) -> VoiceFolder:
    """The same without a consent."""
    return make_voice(consent=None, evaluate={"sentences": ["hello there"], "clips": 0})


@pytest.fixture(scope="session")
def full(make_voice: Callable[..., VoiceFolder]) -> VoiceFolder:
    """Fully fine-tuned."""
    return make_voice(train={"method": "full"}, evaluate={"sentences": ["hello there"], "clips": 0})
