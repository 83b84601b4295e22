"""Speak the training sentences with offline synthesisers: ``python tools/nano/speech.py OUT [--joe MODEL.onnx]``.

Writes ``OUT/<voice>/NNNN.flac`` (24 kHz, mono, speech at -20 dBFS, edges trimmed), ``OUT/<voice>/transcripts.csv``,
and for flite's voices ``phones.json``: each clip's phones with the seconds at which they end.
Needs the program flite (voices kal16, awb, rms) and the Python packages ttspico and piper-tts. Three voices are made
from others by playing them faster: pitch and formants rise by a fifth, and the tempo is slowed down beforehand. flite's
voice slt is not among them; it shows how the codec works for a speaker outside its training.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from sentences import sentences

from vtune.audio import bring_to

SAMPLE_RATE_HZ = 24_000
SPEECH_LEVEL_DBFS = -20.0
"""Level of the speech in dBFS, as in the recipe nano."""

SENTENCE_BLOCKS = 8
"""Number of blocks that the sentences are divided into: the ninth voice speaks the block of the first."""

LIFT_FACTOR = 1.2
"""Factor of pitch and formants of the voices that are played faster: 160 Hz become 190 Hz."""

Phones = list[tuple[str, float]]
"""Names of phones and the seconds at which they end."""

Spoken = tuple[np.ndarray, int, Phones | None]
"""Sound, its sample rate in Hz, and the phones if the synthesiser reports them."""

Speaker = Callable[[str, float], Spoken]
"""Takes a text and the factor of its duration."""


def flite(voice: str) -> Speaker:
    """Return a speaker that uses the program flite."""

    def speak(text: str, stretch: float) -> Spoken:
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            command = ["flite", "-voice", voice, "--setf", f"duration_stretch={stretch}", "-psdur", "-t", text]
            output = subprocess.run([*command, "-o", file.name], check=True, capture_output=True, text=True).stdout
            sound, rate = soundfile.read(file.name, dtype="float32")
        phones = [(name, float(end)) for name, end in (phone.split(":") for phone in output.split())]
        return sound, rate, phones

    return speak


def pico(language: str) -> Speaker:
    """Return a speaker that uses SVOX Pico; each language has another voice."""

    def speak(text: str, stretch: float) -> Spoken:
        engine = _pico(language)
        engine.rate = round(100 / stretch)
        return np.frombuffer(engine.speak(text), dtype=np.int16).astype(np.float32) / 32768, 16_000, None

    return speak


@cache
def _pico(language: str) -> Any:
    from ttspico import TtsEngine

    return TtsEngine(language)


def joe(model: str) -> Speaker:
    """Return a speaker with piper's voice joe, without noise: the same text gives the same sound."""

    def speak(text: str, stretch: float) -> Spoken:
        from piper import SynthesisConfig

        voice = _piper(model)
        settings = SynthesisConfig(length_scale=stretch, noise_scale=0.0, noise_w_scale=0.0)
        sound = np.concatenate([chunk.audio_float_array for chunk in voice.synthesize(text, settings)])
        return sound.astype(np.float32), voice.config.sample_rate, None

    return speak


@cache
def _piper(model: str) -> Any:
    import onnxruntime
    from piper import PiperVoice

    onnxruntime.set_default_logger_severity(3)
    return PiperVoice.load(model)


def trimmed(sound: np.ndarray, rate: int, lead: float = 0.06, tail: float = 0.12) -> tuple[np.ndarray, float]:
    """Trim silence at the ends to ``lead`` and ``tail`` seconds; silence is 40 dB below the loudest 10 ms.

    :returns: the sound, and the second at which it began.
    """
    size = rate // 100
    power = np.square(sound[: len(sound) // size * size].reshape(-1, size)).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 1e-4)
    start = max(0, loud[0] * size - round(lead * rate))
    end = min(len(sound), (loud[-1] + 1) * size + round(tail * rate))
    cut = sound[start:end]
    missing = max(0, round(tail * rate) - (len(sound) - (loud[-1] + 1) * size))
    return np.pad(cut, (0, missing)), start / rate


def finished(spoken: Spoken, lift: float = 1.0) -> tuple[np.ndarray, Phones | None]:
    """Resample a sound to 24 kHz, raise its pitch, trim it, set its level, and adapt the times of its phones."""
    sound, rate, phones = spoken
    # Played at a higher rate than it was made for, it rises.
    cut, start = trimmed(soxr.resample(sound, rate * lift, SAMPLE_RATE_HZ, quality="VHQ"), SAMPLE_RATE_HZ)
    moved = phones and [(name, round(end / lift - start, 4)) for name, end in phones]
    return bring_to(cut.astype(np.float32), SAMPLE_RATE_HZ, SPEECH_LEVEL_DBFS), moved


def speak_all(out: Path, voice: str, speaker: str, model: str, lift: float, texts: list[str]) -> float:
    """Write a voice's folder; return the seconds of sound in it."""
    speak = pico(speaker) if speaker.startswith("en-") else joe(model) if speaker == "joe" else flite(speaker)
    folder = out / voice
    folder.mkdir(parents=True, exist_ok=True)
    seconds, rows, timings = 0.0, [], []
    for number, text in enumerate(texts):
        name = f"{voice}_{number:04d}"
        sound, phones = finished(speak(text, lift), lift)
        soundfile.write(folder / f"{name}.flac", sound, SAMPLE_RATE_HZ, subtype="PCM_16")
        seconds += len(sound) / SAMPLE_RATE_HZ
        rows.append((name, text))
        timings.append(phones)
    if all(timings):
        (folder / "phones.json").write_text(json.dumps(timings), encoding="utf-8")
    write_table(folder / "transcripts.csv", rows)
    return seconds


def write_table(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    """Write a table with the columns ``filename,text``."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("filename", "text"))
        writer.writerows(rows)


VOICES = {
    "rms": ("rms", 1.0),
    "awb": ("awb", 1.0),
    "kal": ("kal16", 1.0),
    "pico": ("en-GB", 1.0),
    "joe": ("joe", 1.0),
    "rosa": ("rms", LIFT_FACTOR),
    "abby": ("awb", LIFT_FACTOR),
    "joan": ("joe", LIFT_FACTOR),
    "pia": ("en-US", 1.0),
}
"""Name in the prompt -> the synthesiser's voice and the lift. The first voice speaks if a name is unknown."""


def main() -> None:
    """Speak all voices, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--joe", default="", help="model file of piper's voice joe")
    parser.add_argument("--sentences", type=int, default=800, help="number of sentences of each voice")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--voices", nargs="*", default=list(VOICES))
    parser.add_argument("--without", type=Path, nargs="*", default=[], help="tables whose sentences are not spoken")
    asked = parser.parse_args()
    voices = {name: VOICES[name] for name in asked.voices}
    barred = {row["text"] for path in asked.without for row in csv.DictReader(path.open(encoding="utf-8"))}
    fresh = (text for text in sentences(asked.seed) if text not in barred)
    known = list(itertools.islice(fresh, SENTENCE_BLOCKS * asked.sentences))
    block = {name: list(VOICES).index(name) % SENTENCE_BLOCKS * asked.sentences for name in voices}
    texts = {name: known[first : first + asked.sentences] for name, first in block.items()}
    with ProcessPoolExecutor(2) as pool:
        jobs = {
            name: pool.submit(speak_all, asked.out, name, speaker, asked.joe, lift, texts[name])
            for name, (speaker, lift) in voices.items()
        }
        for name, job in jobs.items():
            print(f"{name}: {len(texts[name])} sentences, {job.result() / 60:.1f} min", flush=True)


if __name__ == "__main__":
    main()
