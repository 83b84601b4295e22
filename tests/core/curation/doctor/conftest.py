"""Synthesised sound with the properties of speech: syllables, sibilants, pauses and a faint noise floor."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

from vtune.curation.doctor import Examination, examine, open_data
from vtune.recipe import SourceRecipe

RATE = 24_000


def utter(seed: int, seconds: float = 3.0, rate: int = RATE, level: float = -29.0, floor: float = -75.0) -> np.ndarray:
    """Return an utterance with 0.15 s of room noise at each end: vowels of changing pitch and timbre, and hisses up to
    the highest frequency.
    """
    random = np.random.default_rng(seed)
    room = np.zeros(int(0.15 * rate))
    pieces, length = [room], 0.0
    while length < seconds - 0.3:
        span = float(random.uniform(0.12, 0.25))
        count = int(span * rate)
        times = np.arange(count) / rate
        swell = np.sin(np.pi * np.minimum(1, np.arange(count) / count)) ** 0.5
        pitch = random.uniform(170, 260) * (1 + random.uniform(-0.3, 0.3) * times / span)
        phase = 2 * np.pi * np.cumsum(pitch) / rate
        vowel = sum(np.sin(k * phase + random.uniform(0, 6)) / k for k in range(1, 12) if k * pitch.max() < rate / 2)
        pole = 0.97 * np.exp(2j * np.pi * random.uniform(400, 1_800) / rate)
        vowel = lfilter([1], [1, -2 * pole.real, abs(pole) ** 2], vowel)
        vowel = vowel / np.abs(vowel).max() * random.uniform(0.6, 1.0) * swell
        hiss = np.diff(random.normal(0, 1, int(0.06 * rate) + 1)) * np.hanning(int(0.06 * rate)) * 0.12
        gap = np.zeros(int(random.uniform(0.02, 0.09) * rate))
        pieces += [vowel, hiss, gap]
        length += span + 0.06 + len(gap) / rate
    sound = np.concatenate([*pieces, room])
    sound *= 10 ** (level / 20) / np.sqrt(np.mean(np.square(sound[np.abs(sound) > 0])))
    return np.asarray(sound + random.normal(0, 10 ** (floor / 20), len(sound)))


@pytest.fixture
def clip() -> Callable[..., np.ndarray]:
    return utter


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Write clips and a table: rows of name, sound (or None for no file), words."""

    def write(rows: Sequence[tuple[str, np.ndarray | None, str]], name: str = "data", rate: int = RATE) -> Path:
        folder = tmp_path / name
        (folder / "clips").mkdir(parents=True)
        with (folder / "transcripts.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["filename", "text"])
            for stem, sound, words in rows:
                if sound is not None:
                    soundfile.write(folder / "clips" / f"{stem}.wav", sound, rate, subtype="PCM_16")
                table.writerow([stem, words])
        return folder

    return write


@pytest.fixture
def examined() -> Callable[..., Examination]:
    """Examine a path in this process, without comparing speakers."""

    def look(path: Path, **options: object) -> Examination:
        source, has_words = open_data(SourceRecipe(source=str(path)), path.parent)
        return examine(source, processes=1, speakers=False, has_words=has_words, **options)  # type: ignore[arg-type]

    return look
