"""Make more speakers from the existing ones: ``python tools/nano/speakers.py CORPUS OUT``.

Decomposes every clip with known phones by WORLD (Python package ``pyworld``) and resynthesises it with a random pitch
and a random length of the vocal tract; the times of its phones stay the same. Writes folders ``OUT/<voice>_others`` in
the form of speech.py. They are for the codec alone, which is to reproduce voices outside its training. With
``--fixed``, the script writes the voices of ``FIXED`` instead; each of these is one speaker in all of its clips.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import soundfile
from speech import SAMPLE_RATE_HZ, SPEECH_LEVEL_DBFS, write_table

from vtune.audio import bring_to

PITCH_RANGE_HZ = (85.0, 250.0)
"""Range of a clip's new median pitch in Hz; random, uniform in octaves."""

FORMANT_FACTORS = (0.84, 1.28)
"""Range of the factor of the formants; random, uniform in octaves. A shorter vocal tract raises them."""

FIXED_SPEAKERS = {
    "ruth": ("rms", 195.0, 1.16, 1.1),
    "iona": ("awb", 215.0, 1.17, 1.0),
    "bert": ("rms", 92.0, 0.9, 0.9),
}
"""Name -> source voice, median pitch in Hz, factor of the formants, factor of the pitch range."""

PITCH_RANGE_FACTORS = (0.6, 1.4)
"""Range of the factor of the pitch range around its median."""


def another(sound: np.ndarray, median: float, throat: float, swing: float) -> np.ndarray:
    """Change the speaker of a sound, float64 ``[samples]`` at 24 kHz.

    :param median: median pitch in Hz.
    :param throat: factor of the formants.
    :param swing: factor of the distance of the pitch from its median, in octaves.
    """
    import pyworld

    coarse, times = pyworld.dio(sound, SAMPLE_RATE_HZ, f0_floor=60, f0_ceil=450)
    pitch = pyworld.stonemask(sound, coarse, times, SAMPLE_RATE_HZ)
    envelope = pyworld.cheaptrick(sound, pitch, times, SAMPLE_RATE_HZ)
    noise = pyworld.d4c(sound, pitch, times, SAMPLE_RATE_HZ)
    voiced = pitch > 0
    if voiced.any():
        middle = np.log(np.median(pitch[voiced]))
        pitch[voiced] = median * np.exp((np.log(pitch[voiced]) - middle) * swing)
    bins = np.arange(envelope.shape[1])
    # What lay at f comes to lie at f times the factor.
    warped = np.stack([np.exp(np.interp(bins / throat, bins, row)) for row in np.log(envelope)])
    noisy = np.stack([np.interp(bins / throat, bins, row) for row in noise])
    return np.asarray(pyworld.synthesize(np.clip(pitch, 0, 500), warped, noisy, SAMPLE_RATE_HZ)[: len(sound)])


def main() -> None:
    """Change the speaker of every clip once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--voices", nargs="*", default=["rms", "awb", "kal"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--fixed", nargs="*", default=[], choices=list(FIXED_SPEAKERS), help="make only these fixed voices"
    )
    parser.add_argument("--clips", type=int, help="number of clips of each voice")
    asked = parser.parse_args()
    fixed = {name: FIXED_SPEAKERS[name] for name in asked.fixed}
    for name, voice in [(n, made[0]) for n, made in fixed.items()] or [(f"{v}_others", v) for v in asked.voices]:
        source, folder = asked.corpus / voice, asked.out / name
        folder.mkdir(parents=True, exist_ok=True)
        with (source / "transcripts.csv").open(encoding="utf-8", newline="") as table:
            rows = [(row["filename"], row["text"]) for row in csv.DictReader(table)][: asked.clips]
        for number, (clip, _) in enumerate(rows):
            draw = np.random.default_rng([asked.seed, len(voice), number, ord(voice[0])])
            drawn = (
                *np.exp([draw.uniform(*np.log(PITCH_RANGE_HZ)), draw.uniform(*np.log(FORMANT_FACTORS))]),
                draw.uniform(*PITCH_RANGE_FACTORS),
            )
            sound, _ = soundfile.read(source / f"{clip}.flac", dtype="float64")
            made = another(sound, *(fixed[name][1:] if fixed else drawn))
            levelled = bring_to(made.astype(np.float32), SAMPLE_RATE_HZ, SPEECH_LEVEL_DBFS)
            soundfile.write(folder / f"{clip}.flac", levelled, SAMPLE_RATE_HZ, subtype="PCM_16")
        write_table(folder / "transcripts.csv", rows)
        phones = json.loads((source / "phones.json").read_text(encoding="utf-8"))
        (folder / "phones.json").write_text(json.dumps(phones[: asked.clips]), encoding="utf-8")
        print(f"{folder}: {len(rows)} clips", flush=True)


if __name__ == "__main__":
    main()
