"""Speech in memory, and crops of it to train a codec on."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch

from vtune.audio import bring_to

SAMPLE_RATE_HZ = 24_000
SPEECH_LEVEL_DBFS = -20.0
SAMPLES_PER_LATENT = 512
"""Samples per latent of the codec."""

PHONES = (
    "pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh"
).split()


class Corpus:
    """Clips of several folders; each holds ``transcripts.csv`` with ``filename,text``.

    Sound is kept as int16 at 24 kHz: an hour takes 173 MB. ``names`` are the folders' names, one a clip. Where a
    folder holds ``phones.json`` (speech.py writes it for flite's voices), each clip has its phones and their ends.
    """

    def __init__(self, folders: list[Path], level: bool = False) -> None:
        self.sounds: list[np.ndarray] = []
        self.texts: list[str] = []
        self.names: list[str] = []
        self.phones: list[tuple[np.ndarray, np.ndarray] | None] = []
        for folder in folders:
            with (folder / "transcripts.csv").open(encoding="utf-8", newline="") as table:
                rows = list(csv.DictReader(table))
            timed = folder / "phones.json"
            phones = json.loads(timed.read_text(encoding="utf-8")) if timed.is_file() else [None] * len(rows)
            for row, timing in zip(rows, phones, strict=True):
                self.sounds.append(_read(_find(folder, row["filename"]), level))
                self.texts.append(row["text"])
                self.names.append(folder.name)
                self.phones.append(timing and _timing(timing))

    @property
    def seconds(self) -> float:
        """Return the length of the corpus."""
        return sum(map(len, self.sounds)) / SAMPLE_RATE_HZ

    def crops(
        self, count: int, samples: int, draw: np.random.Generator, bent: float = 0.0, coloured: float = 0.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Take random crops, float32 ``[count, samples]``, quieter or louder by up to 3 dB, and the phones in them.

        :param bent: share of crops that are played up to 15 % slower or 30 % faster, which makes other speakers.
        :param coloured: share of crops that are heard through another smooth filter, as of other throats and rooms.
        :returns: the sound, and the phone of each latent, int64 ``[count, samples // HOP]``, -100 where none is known.
        """
        crops = np.zeros((count, samples), dtype=np.float32)
        phones = np.full((count, samples // SAMPLES_PER_LATENT), -100)
        middles = (np.arange(samples // SAMPLES_PER_LATENT) + 0.5) * SAMPLES_PER_LATENT
        for row in range(count):
            clip = draw.integers(len(self.sounds))
            sound, timing = self.sounds[clip], self.phones[clip]
            factor = draw.uniform(0.85, 1.3) if draw.random() < bent else 1.0
            needed = int(samples * factor) + 1
            start = int(draw.integers(max(1, len(sound) - needed + 1)))
            piece = sound[start : start + needed].astype(np.float32) / 32768
            if timing is not None:
                places = np.searchsorted(timing[0], (start + middles * factor) / SAMPLE_RATE_HZ)
                phones[row] = timing[1][np.minimum(places, len(timing[1]) - 1)]
            if factor != 1.0:
                piece = np.interp(np.arange(0, len(piece) - 1, factor), np.arange(len(piece)), piece)
            piece = piece[:samples]
            if draw.random() < coloured:
                piece = _coloured(piece, draw)
            crops[row, : len(piece)] = piece * 10 ** (draw.uniform(-3, 3) / 20)
        return torch.from_numpy(crops), torch.from_numpy(phones)


def _coloured(sound: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Filter with random gains of about 4 dB at eight frequencies from 100 Hz to 10 kHz, evenly spaced in octaves."""
    drawn = draw.normal(0.0, 4.0, 8)
    at = np.log(np.maximum(np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE_HZ), 1.0))
    gains = np.interp(at, np.log(np.geomspace(100, 10_000, 8)), drawn - drawn.mean())
    return np.asarray(np.fft.irfft(np.fft.rfft(sound) * 10 ** (gains / 20), len(sound)))


def _timing(phones: list[tuple[str, float]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([end for _, end in phones]), np.array([PHONES.index(name) for name, _ in phones])


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.flac", folder / "clips" / f"{name}.flac"):
        if candidate.is_file():
            return candidate
    raise SystemExit(f"{folder}: no recording {name}")


def _read(path: Path, level: bool) -> np.ndarray:
    sound, rate = soundfile.read(path, dtype="float32")
    if rate != SAMPLE_RATE_HZ:
        sound = soxr.resample(sound, rate, SAMPLE_RATE_HZ)
    if level:
        sound = bring_to(sound, SAMPLE_RATE_HZ, SPEECH_LEVEL_DBFS)
    return (np.clip(sound, -1, 1) * 32767).astype(np.int16)
