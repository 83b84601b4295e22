from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile


@pytest.fixture
def spoken(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of clips of two tones with a pause between, beside ``transcript.csv`` with red flags."""

    def make(name: str = "data", count: int = 4, rate: int = 16_000, table: bool = True, **flags: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        rows: list[Any] = [["filename", "text", "red_flags"]]
        for number in range(count):
            times = np.arange(rate) / rate
            tone = 0.3 * np.sin(2 * np.pi * (200 + 40 * number) * times)
            tone[int(0.45 * rate) : int(0.6 * rate)] = 0
            soundfile.write(folder / f"clip_{number}.wav", tone, rate)
            words = f"first {number} then second"
            rows.append([f"clip_{number}", words, flags.get(f"clip_{number}", "")])
            if not table:
                (folder / f"clip_{number}.txt").write_text(words + "\n")
        if table:
            with (folder / "transcript.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows(rows)
        return folder

    return make


@pytest.fixture
def table() -> Callable[[Path], list[list[str]]]:
    """Read a table without vtune's own reader."""

    def read(folder: Path) -> list[list[str]]:
        with (folder / "transcript.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))[1:]

    return read
