"""Speak the quickstart's sentences with flite's voice ``slt``: ``python tools/make_quickstart_speech.py``.

Needs the program ``flite`` (Debian: ``apt-get install flite``). Run once; the result lies in ``recipes/quickstart``.
"""

from __future__ import annotations

import csv
import subprocess
import tempfile
from pathlib import Path

import soundfile

FOLDER = Path(__file__).resolve().parents[1] / "recipes" / "quickstart"


def main() -> None:
    """Write one FLAC a row of ``transcripts.csv``."""
    with (FOLDER / "transcripts.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    total = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        for row in rows:
            wav = Path(scratch) / "spoken.wav"
            subprocess.run(["flite", "-voice", "slt", "-t", row["text"], "-o", str(wav)], check=True)
            sound, rate = soundfile.read(wav, dtype="int16")
            soundfile.write(FOLDER / "clips" / f"{row['filename']}.flac", sound, rate, subtype="PCM_16")
            total += len(sound) / rate
    print(f"{len(rows)} clips, {total / 60:.2f} min")


if __name__ == "__main__":
    main()
