"""Sound that is cut as speech: bursts of a voice-like tone over a faint noise floor, at known times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

Talk = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def talk() -> Talk:
    def make(
        spans: Sequence[tuple[float, float]],
        seconds: float,
        rate: int = 16_000,
        level: float = 0.1,
        seed: int = 0,
        depth: float = 0.5,
    ) -> np.ndarray:
        """Return ``[samples]`` with a voice at the spans (in seconds)."""
        random = np.random.default_rng(seed)
        sound = 1e-4 * random.standard_normal(round(seconds * rate))
        for start, end in spans:
            time = np.arange(round((end - start) * rate)) / rate
            tone = sum(np.sin(2 * np.pi * 140 * n * time + n * n) / n for n in range(1, 20) if 140 * n < rate / 2)
            envelope = 1 + depth * np.sin(2 * np.pi * 4 * time)
            first = round(start * rate)
            sound[first : first + len(time)] += level * 0.5 * envelope * tone
        return sound.astype(np.float32)

    return make


@pytest.fixture
def recording(tmp_path: Path, talk: Talk) -> Callable[..., Path]:
    """Write a recording of 20 s with three utterances: 1 to 5 s, 7 to 11.5 s, and 14 to 18 s."""

    def write(name: str = "in/a.wav", rate: int = 16_000, seed: int = 0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, talk([(1, 5), (7, 11.5), (14, 18)], 20, rate, seed=seed), rate)
        return path

    return write
