"""Make long recordings with known pauses from a folder of short clips, to measure tools that cut.

    python benchmarks/recordings.py CLIPS OUT [--utterances 303] [--seed 0]

Clips are trimmed to their speech and laid one behind the other, with pauses of known length between them and faint
noise in the pauses. Variants with the same timing: clean, noise and a crowd at 20 and 10 dB below the speech, hum, 26
dB quieter, a speaker who whispers for a minute (``away``: 20 dB below the rest), and one with music-like passages in
some pauses. In the recordings ``long_*`` there are 20 to 120 s between two utterances, filled with the tone of a room
50, 36, 25 or 15 dB below the speech, hum, clicks or breaths. The true times lie beside each recording as JSON, in
seconds, with the name of the recording without noise.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

SAMPLE_RATE_HZ = 24_000
MIN_GAP_SECONDS = 0.55
"""Shortest pause in seconds that must be found."""

Sound = np.ndarray


def main() -> None:
    """Write every variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--utterances", type=int, default=303)
    parser.add_argument(
        "--far-apart", type=int, default=30, help="number of utterances in the recordings with long pauses"
    )
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(asked.seed)
    sound, utterances = joined(sorted(asked.clips.glob("*.flac")), asked.utterances, random)
    speech = np.concatenate(
        [sound[int(start * SAMPLE_RATE_HZ) : int(end * SAMPLE_RATE_HZ)] for start, end in utterances]
    )
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
    for name, variant in variants.items():
        write(asked.out / name, variant, utterances, "clean")
    away = sound * walking_away(sound, utterances)
    write(asked.out / "away", away + floor(len(sound) / SAMPLE_RATE_HZ + 1, random)[: len(sound)], utterances, "clean")
    with_music, moved = musical(sound, utterances, level, random)
    write(asked.out / "music", with_music, moved, "music")
    seconds = len(sound) / SAMPLE_RATE_HZ
    gaps = sum(after[0] - before[1] >= MIN_GAP_SECONDS for before, after in pairwise(utterances))
    print(f"{len(utterances)} utterances, {seconds / 60:.1f} min, {gaps} gaps of at least {MIN_GAP_SECONDS} s")
    far_apart(asked.clips, asked.out, asked.far_apart, random)


def far_apart(clips: Path, out: Path, count: int, random: np.random.Generator) -> None:
    """Write the recordings with long pauses; they have the same timing."""
    sound, utterances = joined(sorted(clips.glob("*.flac")), count, random, lambda: random.uniform(20, 120))
    write(out / "long_clean", sound, utterances, "long_clean")
    level = float(
        np.sqrt(
            np.mean(
                np.square(
                    np.concatenate([sound[int(a * SAMPLE_RATE_HZ) : int(b * SAMPLE_RATE_HZ)] for a, b in utterances])
                )
            )
        )
    )
    tone = room(len(sound), random)
    for depth in (50, 36, 25, 15):
        write(out / f"long_room{depth}", sound + level * 10 ** (-depth / 20) * tone, utterances, "long_clean")
    in_room = sound + level * 10 ** (-36 / 20) * tone
    write(out / "long_hum", in_room + level * 10 ** (-25 / 20) * hum(len(sound)), utterances, "long_clean")
    for name, event in {"clicks": click, "breaths": breath}.items():
        disturbed = in_room.copy()
        for (_, before), (after, _) in pairwise(utterances):
            for start in np.arange(before + random.uniform(0.5, 3), after - 1.5, 4):  # one event in each 4 s
                start += random.uniform(-0.4, 0.4)
                piece = level * event(random)
                disturbed[int(start * SAMPLE_RATE_HZ) : int(start * SAMPLE_RATE_HZ) + len(piece)] += piece
        write(out / f"long_{name}", disturbed, utterances, "long_clean")


def joined(
    paths: list[Path], count: int, random: np.random.Generator, pause_seconds: Callable[[], float] | None = None
) -> tuple[Sound, list[tuple[float, float]]]:
    """Join trimmed clips with pauses; by default, two of three pauses are long enough to be found."""

    def drawn() -> float:
        return random.uniform(MIN_GAP_SECONDS, 2.5) if random.random() < 0.63 else random.uniform(0.08, 0.4)

    pieces, utterances = [floor(1.0, random)], []
    position = len(pieces[0])
    for path in random.permutation(np.array(paths, dtype=object))[:count]:
        clip = trimmed(soundfile.read(path, dtype="float32")[0])
        utterances.append((position / SAMPLE_RATE_HZ, (position + len(clip)) / SAMPLE_RATE_HZ))
        pause = floor((pause_seconds or drawn)(), random)
        pieces += [clip, pause]
        position += len(clip) + len(pause)
    return np.concatenate(pieces), utterances


def trimmed(clip: Sound) -> Sound:
    """Trim a clip to the part whose level is above the peak less 45 dB, and fade 10 ms at both ends."""
    size = SAMPLE_RATE_HZ // 100
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
    return random.normal(0, 10 ** (-75 / 20), int(seconds * SAMPLE_RATE_HZ)).astype(np.float32)


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
        position = 0
        while position < count:
            clip = soundfile.read(paths[int(random.integers(len(paths)))], dtype="float32")[0]
            end = min(count, position + len(clip))
            total[position:end] += clip[: end - position]
            position = end
    return total / np.float32(total.std())


def hum(count: int) -> Sound:
    """Return hum: 50 Hz with four harmonics, RMS 1."""
    times = np.arange(count, dtype=np.float64) / SAMPLE_RATE_HZ
    total = sum(np.sin(2 * np.pi * 50 * harmonic * times) / harmonic for harmonic in (1, 2, 3, 4, 5))
    return (total / total.std()).astype(np.float32)


def room(count: int, random: np.random.Generator) -> Sound:
    """Return the tone of a room, RMS 1: noise that falls by 3 dB per octave and swells by 2 dB within seconds."""
    steps = count // (3 * SAMPLE_RATE_HZ) + 2
    swell = np.interp(np.arange(count), np.arange(steps) * 3 * SAMPLE_RATE_HZ, random.normal(0, 2, steps))
    tone = pink(count, random) * np.power(10, swell / 20).astype(np.float32)
    return tone / np.float32(tone.std())


def click(random: np.random.Generator) -> Sound:
    """Return the click of a mouse, a mouth or a chair: 2 to 40 ms, its peak 20 dB below to 6 dB above the speech."""
    size = int(random.uniform(0.002, 0.04) * SAMPLE_RATE_HZ)
    decay = np.exp(-np.arange(4 * size) / size)
    return (random.normal(size=4 * size) * decay * 10 ** (random.uniform(-20, 6) / 20) / 3).astype(np.float32)


def breath(random: np.random.Generator) -> Sound:
    """Return a breath: noise around 1.5 kHz that rises and falls in 0.3 to 1 s, 18 to 30 dB below the speech."""
    size = int(random.uniform(0.3, 1.0) * SAMPLE_RATE_HZ)
    spectrum = np.fft.rfft(random.normal(size=size))
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    shaped = np.fft.irfft(spectrum * np.exp(-((np.log2(np.maximum(hertz, 1) / 1500)) ** 2)), size)
    swell = np.sin(np.pi * np.arange(size) / size) ** 2
    return (shaped / shaped.std() * swell * 10 ** (random.uniform(-30, -18) / 20)).astype(np.float32)


def walking_away(sound: Sound, utterances: list[tuple[float, float]]) -> Sound:
    """Return a gain for each sample: 20 dB less for a minute in the middle of the recording."""
    gain = np.ones(len(sound), dtype=np.float32)
    (begin, _), (_, end) = (
        utterances[len(utterances) // 2],
        utterances[min(len(utterances) - 1, len(utterances) // 2 + 15)],
    )
    gain[int((begin - 0.04) * SAMPLE_RATE_HZ) : int((end + 0.04) * SAMPLE_RATE_HZ)] = 0.1
    return gain


def musical(
    sound: Sound, utterances: list[tuple[float, float]], level: float, random: np.random.Generator
) -> tuple[Sound, list[tuple[float, float]]]:
    """Put passages of chords, 4 to 12 s long and as loud as the speech, into every tenth pause."""
    pieces, moved, position, taken = [], [], 0, 0
    for number, (start, end) in enumerate(utterances):
        until = int(end * SAMPLE_RATE_HZ)
        shift = (position - taken) / SAMPLE_RATE_HZ
        moved.append((start + shift, end + shift))
        pieces.append(sound[taken:until])
        position += until - taken
        taken = until
        if number % 10 == 9:
            around = floor(0.6, random)
            passage = level * chords(random.uniform(4, 12), random)
            pieces += [around, passage, around]
            position += 2 * len(around) + len(passage)
    pieces.append(sound[taken:])
    return np.concatenate(pieces).astype(np.float32), moved


def chords(seconds: float, random: np.random.Generator) -> Sound:
    """Return chords of four notes with eight harmonics each, a new chord every half second, RMS 1."""
    size = SAMPLE_RATE_HZ // 2
    times = np.arange(size) / SAMPLE_RATE_HZ
    blocks = []
    for _ in range(-(-int(seconds * SAMPLE_RATE_HZ) // size)):
        root = 110 * 2 ** (random.integers(0, 24) / 12)
        notes = [root * 2 ** (step / 12) for step in (0, 4, 7, 12)]
        block = sum(
            np.sin(2 * np.pi * note * k * times + random.uniform(0, 6)) / k
            for note in notes for k in range(1, 9) if note * k < SAMPLE_RATE_HZ / 2
        )  # fmt: skip
        blocks.append(block * np.exp(-times * 1.5))
    total = np.concatenate(blocks)[: int(seconds * SAMPLE_RATE_HZ)]
    return (total / total.std()).astype(np.float32)


def write(path: Path, sound: Sound, utterances: list[tuple[float, float]], without_noise: str) -> None:
    """Write a recording and its true times."""
    peak = float(np.abs(sound).max())
    soundfile.write(path.with_suffix(".wav"), sound / max(peak, 1.0), SAMPLE_RATE_HZ, subtype="PCM_16")
    truth = {"utterances": utterances, "clean": without_noise}
    path.with_suffix(".json").write_text(json.dumps(truth), encoding="utf-8")


if __name__ == "__main__":
    main()
