"""Speak the quickstart's sentences with flite's voice ``slt``: ``python tools/nano/quickstart.py``.

Needs the program ``flite`` (Debian: ``apt-get install flite``). Run once; the result lies in ``recipes/quickstart``:
clips to train on, and others, held out, that the tuned voice is compared with. None of the sentences is among those
that the small checkpoint was trained on.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import soundfile
from sentences import sentences
from speech import BLOCKS, flite, trimmed, write_table

FOLDER = Path(__file__).resolve().parents[2] / "recipes" / "quickstart"
TRAINED_ON = BLOCKS * 800
"""Sentences of seed 0 that the checkpoint knows."""


def main() -> None:
    """Write one FLAC a sentence, at the synthesiser's own 16 kHz, and a table beside them."""
    known = set(itertools.islice(sentences(0), TRAINED_ON))
    fresh = (text for text in sentences(1) if text not in known)
    speak = flite("slt")
    for name, count in (("train", 64), ("heldout", 24)):
        clips = FOLDER / name / "clips"
        clips.mkdir(parents=True, exist_ok=True)
        rows, seconds = [], 0.0
        for number, text in enumerate(itertools.islice(fresh, count), 1):
            sound, rate, _ = speak(text, 1.0)
            cut, _ = trimmed(sound, rate)
            soundfile.write(clips / f"slt_{number:03d}.flac", cut, rate, subtype="PCM_16")
            rows.append((f"slt_{number:03d}", text))
            seconds += len(cut) / rate
        write_table(FOLDER / name / "transcripts.csv", rows)
        print(f"{name}: {count} clips, {seconds / 60:.2f} min")


if __name__ == "__main__":
    main()
