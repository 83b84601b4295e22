"""Speak the quickstart's sentences with a voice that nothing was trained on: ``python tools/nano/quickstart.py``.

The voice, noah, is nobody's: flite's voice rms, taken apart by WORLD and put together with a pitch and a throat of its
own. Needs the program ``flite`` (Debian: ``apt-get install flite``) and the Python package ``pyworld``. Run once; the
result lies in ``recipes/quickstart``: clips to train on, and others, held out, that the tuned voice is compared with.
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
from speech import BLOCKS, RATE, finished, flite, write_table

FOLDER = Path(__file__).resolve().parents[2] / "recipes" / "quickstart"
TRAINED_ON = BLOCKS * 800
"""Sentences of seed 0 that the checkpoint knows."""

HELD_OUT = 24

MORE = 224
"""Clips to train on beside the first 64, which turned out to be few: with 144 in all the loss of held-out clips rose
again after three epochs."""

NOAH = (140.0, 0.96, 1.2)
"""Median pitch in Hz, factor of the formants, swing of the pitch: none of the fixed voices that were trained on, and
what the codec can say. Of 150 Hz and formants x 1.25 it left 20 % of the words wrong (recordings: 2 %); of this, 8."""

KEPT = 16_000
"""Hz: flite speaks no higher."""


def main() -> None:
    """Write one FLAC a sentence and a table beside them."""
    known = set(itertools.islice(sentences(0), TRAINED_ON))
    drawn = list(itertools.islice((text for text in sentences(1) if text not in known), 64 + HELD_OUT + MORE))
    held_out = drawn[64 : 64 + HELD_OUT]
    speak = flite("rms")
    for name, texts in (("train", drawn[:64] + drawn[64 + HELD_OUT :]), ("heldout", held_out)):
        clips = FOLDER / name / "clips"
        clips.mkdir(parents=True, exist_ok=True)
        rows, seconds = [], 0.0
        for number, text in enumerate(texts, 1):
            sound, _ = finished(speak(text, 1.0))
            made = soxr.resample(another(sound.astype(np.float64), *NOAH), RATE, KEPT)
            soundfile.write(clips / f"noah_{number:03d}.flac", made, KEPT, subtype="PCM_16")
            rows.append((f"noah_{number:03d}", text))
            seconds += len(made) / KEPT
        write_table(FOLDER / name / "transcripts.csv", rows)
        print(f"{name}: {len(texts)} clips, {seconds / 60:.2f} min")


if __name__ == "__main__":
    main()
