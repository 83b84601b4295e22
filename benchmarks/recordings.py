"""Make long recordings with known pauses from a folder of short clips, to measure tools that cut.

    python benchmarks/recordings.py CLIPS OUT [--utterances 303] [--seed 0]

Clips are trimmed to their speech and laid one behind the other, with pauses of known length between them and faint
noise in the pauses. Variants with the same timing: clean, noise at 20 and 10 dB below the speech, hum, 26 dB quieter,
and one with music-like passages instead of some pauses. The true times lie beside each recording as JSON, in seconds.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

RATE = 24_000
LEAST_GAP = 0.55
"""Shortest pause in seconds that must be found."""

Sound = np.ndarray


def main() -> None:
    """Write every variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--utterances", type=int, default=303)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(asked.seed)
    sound, utterances = joined(sorted(asked.clips.glob("*.flac")), asked.utterances, random)
    speech = np.concatenate([sound[int(start * RATE) : int(end * RATE)] for start, end in utterances])
    level = float(np.sqrt(np.mean(np.square(speech))))
    babble = crowd(sorted(asked.clips.glob("*.flac")), len(sound), random)
    variants = {
        "clean": sound,
        "noise20": sound + level * 10 ** (-20 / 20) * pink(len(sound), random),
        "noise10": sound + level * 10 ** (-10 / 20) * pink(len(sound), random),
        "crowd20": sound + level * 10 ** (-20 / 20) * babble,
        "crowd10": sound + level * 10 ** (-10 / 20) * babble,
        "hum": sound + level * 10 ** (-25 / 20) * hum(len(sound)),
        "quiet": sound * 10 ** (-26 / 20),
    }
    truth = {"utterances": utterances, "music": []}
    for name, variant in variants.items():
        write(asked.out / name, variant, truth)
    with_music, moved, passages = musical(sound, utterances, level, random)
    write(asked.out / "music", with_music, {"utterances": moved, "music": passages})
    seconds = len(sound) / RATE
    gaps = sum(after[0] - before[1] >= LEAST_GAP for before, after in pairwise(utterances))
    print(f"{len(utterances)} utterances, {seconds / 60:.1f} min, {gaps} gaps of at least {LEAST_GAP} s")


def joined(paths: list[Path], count: int, random: np.random.Generator) -> tuple[Sound, list[tuple[float, float]]]:
    """Lay trimmed clips one behind the other; two of three pauses are long enough to be found."""
    pieces, utterances = [floor(1.0, random)], []
    place = len(pieces[0])
    for path in random.permutation(np.array(paths, dtype=object))[:count]:
        clip = trimmed(soundfile.read(path, dtype="float32")[0])
        utterances.append((place / RATE, (place + len(clip)) / RATE))
        gap = random.uniform(LEAST_GAP, 2.5) if random.random() < 0.63 else random.uniform(0.08, 0.4)
        pause = floor(gap, random)
        pieces += [clip, pause]
        place += len(clip) + len(pause)
    return np.concatenate(pieces), utterances


def trimmed(clip: Sound) -> Sound:
    """Trim a clip to the part whose level is above the peak less 45 dB, and fade 10 ms at both ends."""
    size = RATE // 100
    frames = clip[: len(clip) // size * size].reshape(-1, size)
    levels = 10 * np.log10(np.mean(np.square(frames), axis=1) + 1e-12)
    loud = np.flatnonzero(levels > levels.max() - 45)
    kept = clip[loud[0] * size : (loud[-1] + 1) * size].copy()
    ramp = np.linspace(0, 1, size, dtype=np.float32)
    kept[:size] *= ramp
    kept[-size:] *= ramp[::-1]
    return kept


def floor(seconds: float, random: np.random.Generator) -> Sound:
    """Return the noise of a quiet room, about -75 dBFS."""
    return random.normal(0, 10 ** (-75 / 20), int(seconds * RATE)).astype(np.float32)


def pink(count: int, random: np.random.Generator) -> Sound:
    """Return noise that falls by 3 dB per octave, RMS 1; made in blocks, so that it takes little memory."""
    blocks = []
    for _ in range(-(-count // (1 << 20))):
        spectrum = np.fft.rfft(random.normal(size=1 << 20))
        shaped = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 20)))
        blocks.append(shaped / shaped.std())
    return np.concatenate(blocks)[:count].astype(np.float32)


def crowd(paths: list[Path], count: int, random: np.random.Generator) -> Sound:
    """Return the sound of eight people who talk at once, RMS 1."""
    total = np.zeros(count, dtype=np.float32)
    for _ in range(8):
        place = 0
        while place < count:
            clip = soundfile.read(paths[int(random.integers(len(paths)))], dtype="float32")[0]
            end = min(count, place + len(clip))
            total[place:end] += clip[: end - place]
            place = end
    return total / np.float32(total.std())


def hum(count: int) -> Sound:
    """Return hum: 50 Hz with four harmonics, RMS 1."""
    times = np.arange(count, dtype=np.float64) / RATE
    total = sum(np.sin(2 * np.pi * 50 * place * times) / place for place in (1, 2, 3, 4, 5))
    return (total / total.std()).astype(np.float32)


def musical(
    sound: Sound, utterances: list[tuple[float, float]], level: float, random: np.random.Generator
) -> tuple[Sound, list[tuple[float, float]], list[tuple[float, float]]]:
    """Put passages of chords, 4 to 12 s long and as loud as the speech, into every tenth pause."""
    pieces, moved, passages, place, taken = [], [], [], 0, 0
    for number, (start, end) in enumerate(utterances):
        until = int(end * RATE)
        shift = (place - taken) / RATE
        moved.append((start + shift, end + shift))
        pieces.append(sound[taken:until])
        place += until - taken
        taken = until
        if number % 10 == 9:
            around = floor(0.6, random)
            passage = level * chords(random.uniform(4, 12), random)
            passages.append(((place + len(around)) / RATE, (place + len(around) + len(passage)) / RATE))
            pieces += [around, passage, around]
            place += 2 * len(around) + len(passage)
    pieces.append(sound[taken:])
    return np.concatenate(pieces).astype(np.float32), moved, passages


def chords(seconds: float, random: np.random.Generator) -> Sound:
    """Return chords of four notes with eight harmonics each, a new chord every half second, RMS 1."""
    size = RATE // 2
    times = np.arange(size) / RATE
    blocks = []
    for _ in range(-(-int(seconds * RATE) // size)):
        root = 110 * 2 ** (random.integers(0, 24) / 12)
        notes = [root * 2 ** (step / 12) for step in (0, 4, 7, 12)]
        block = sum(
            np.sin(2 * np.pi * note * k * times + random.uniform(0, 6)) / k
            for note in notes for k in range(1, 9) if note * k < RATE / 2
        )  # fmt: skip
        blocks.append(block * np.exp(-times * 1.5))
    total = np.concatenate(blocks)[: int(seconds * RATE)]
    return (total / total.std()).astype(np.float32)


def write(path: Path, sound: Sound, truth: object) -> None:
    """Write a recording and its true times."""
    peak = float(np.abs(sound).max())
    soundfile.write(path.with_suffix(".wav"), sound / max(peak, 1.0), RATE, subtype="PCM_16")
    path.with_suffix(".json").write_text(json.dumps(truth), encoding="utf-8")


if __name__ == "__main__":
    main()
