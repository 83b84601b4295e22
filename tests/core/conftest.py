from __future__ import annotations

import csv
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from vtune.engines import load_recipe
from vtune.recipe import Recipe
from vtune.runtime.paths import VoiceFolder


@pytest.fixture
def toy_recipe(tmp_path: Path, speech: Callable[..., Path]) -> Callable[..., Path]:
    """Write a recipe for the toy engine over eight made clips; keywords are merged into its sections."""

    def write(name: str = "recipe.yaml", clips: int = 8, **sections: object) -> Path:
        source = tmp_path / "speech"
        if not source.exists():
            speech(count=clips)
        recipe = {
            "voice": "someone",
            "engine": "toy",
            "data": [{"source": str(source)}],
            "folders": {"runs": str(tmp_path / "runs"), "voices": str(tmp_path / "voices")},
            "train": {
                "epochs": 2,
                "batch_size": 2,
                "learning_rate": 1e-2,
                "validation": 0,
                "log_every": 1,
                "warmup": 0,
            },
            # Judges with a network of their own have tests of their own.
            "evaluate": {"sentences": ["hello there"], "metrics": ["delivery", "speed"], "train_sentences": 0},
        }
        for key, value in sections.items():
            old = recipe.get(key)
            recipe[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        path = tmp_path / name
        path.write_text(yaml.safe_dump(recipe, sort_keys=False))
        return path

    return write


@pytest.fixture
def toy(toy_recipe: Callable[..., Path]) -> Callable[..., Recipe]:
    """Return a function that writes such a recipe and loads it."""

    def load(**sections: object) -> Recipe:
        return load_recipe(toy_recipe(**sections))

    return load


@pytest.fixture(scope="session")
def toy_speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from vtune.testing import made_clip

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
def trained_voice(toy_speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., VoiceFolder]:
    """Make a toy voice for tests that only read it; sections take the place of the recipe's, ``train`` adds to it."""
    from vtune import pipeline

    def make(**sections: Any) -> VoiceFolder:
        root = tmp_path_factory.mktemp("voice")
        recipe: dict[str, Any] = {
            "voice": "someone",
            "engine": "toy",
            "data": [{"source": str(toy_speech)}],
            "folders": {"runs": str(root / "runs"), "voices": str(root / "voices")},
            "lora": {"rank": 4, "alpha": 8},
            "evaluate": {"sentences": ["hello there", "one more line"], "metrics": ["delivery"], "clips": 3},
            "consent": {"person": "A tone", "statement": "Tones need not be asked."},
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
def read_png() -> Callable[[bytes], tuple[np.ndarray, np.ndarray]]:
    """Read pictures without the code that writes them."""
    return decoded


def decoded(file: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels and palette of a PNG with 8 bits a pixel and the filters None and Sub, as RFC 2083 describes
    them."""
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    position, chunks = 8, {}
    while position < len(file):
        (size,) = struct.unpack(">I", file[position : position + 4])
        kind, data = file[position + 4 : position + 8], file[position + 8 : position + 8 + size]
        assert struct.unpack(">I", file[position + 8 + size : position + 12 + size])[0] == zlib.crc32(kind + data)
        chunks[kind] = data
        position += 12 + size
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    columns, rows, depth, colours, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colours, rest) == (8, 3, [0, 0, 0])
    lines = zlib.decompress(chunks[b"IDAT"])
    assert len(lines) == rows * (columns + 1)
    pixels = np.zeros((rows, columns), dtype=np.uint8)
    for row in range(rows):
        line = lines[row * (columns + 1) : (row + 1) * (columns + 1)]
        left = 0
        for column, byte in enumerate(line[1:]):
            left = pixels[row, column] = (byte + (left if line[0] == 1 else 0)) % 256
            left = int(left)
    return pixels, np.frombuffer(chunks[b"PLTE"], dtype=np.uint8).reshape(-1, 3)
