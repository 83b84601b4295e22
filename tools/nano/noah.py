"""Speak the sentences of the recipe nano with a voice that no training has used: ``python tools/nano/noah.py``.

The voice, noah, is nobody's: flite's voice rms, decomposed by WORLD and resynthesised with another pitch and another
vocal tract. Needs the program ``flite`` (Debian: ``apt-get install flite``) and the Python package ``pyworld``. It was
run once; the result is in ``recipes/nano``: clips to train on, and held-out clips to compare the voice with.
None of the held-out sentences is among those that the small checkpoint was trained on.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import soundfile
import soxr
from sentences import sentences
from speakers import another
from speech import SAMPLE_RATE_HZ, SENTENCE_BLOCKS, finished, flite, write_table

FOLDER = Path(__file__).resolve().parents[2] / "recipes" / "nano"
TRAINED_ON = SENTENCE_BLOCKS * 800
"""Number of sentences of seed 0 that the checkpoint was trained on."""

HELD_OUT = 24

FURTHER_CLIPS = 224
"""Training clips in addition to the first 64, which were too few: with 144 in all, the loss of held-out clips rose
again after three epochs."""

NOAH_SETTINGS = (140.0, 0.96, 1.2)
"""Median pitch in Hz, factor of the formants, factor of the pitch range. No training voice has these values, and the
codec can reproduce them: 8 % of the words are wrong. With 150 Hz and formants x 1.25, it was 20 % (recordings: 2 %)."""

CLIP_SAMPLE_RATE_HZ = 16_000
"""Sample rate of the clips in Hz; flite's sound has no higher frequencies."""


def main() -> None:
    """Write one FLAC file per sentence, and a table beside them."""
    known = set(itertools.islice(sentences(0), TRAINED_ON))
    drawn = list(itertools.islice((text for text in sentences(1) if text not in known), 64 + HELD_OUT + FURTHER_CLIPS))
    held_out = drawn[64 : 64 + HELD_OUT]
    speak = flite("rms")
    for name, texts in (("train", drawn[:64] + drawn[64 + HELD_OUT :]), ("heldout", held_out)):
        clips = FOLDER / name / "clips"
        clips.mkdir(parents=True, exist_ok=True)
        rows, seconds = [], 0.0
        for number, text in enumerate(texts, 1):
            sound, _ = finished(speak(text, 1.0))
            made = soxr.resample(another(sound.astype(np.float64), *NOAH_SETTINGS), SAMPLE_RATE_HZ, CLIP_SAMPLE_RATE_HZ)
            soundfile.write(clips / f"noah_{number:03d}.flac", made, CLIP_SAMPLE_RATE_HZ, subtype="PCM_16")
            rows.append((f"noah_{number:03d}", text))
            seconds += len(made) / CLIP_SAMPLE_RATE_HZ
        write_table(FOLDER / name / "transcripts.csv", rows)
        print(f"{name}: {len(texts)} clips, {seconds / 60:.2f} min")


if __name__ == "__main__":
    main()
