"""Choose the quickstart's clips: ``python tools/quickstart/clips.py DATASET``.

DATASET is the public data set rhasspy/dataset-voice-kathleen (CC0 1.0) as clips of 24 kHz with a table
``transcripts.csv``. It was run once; the result is in ``recipes/quickstart``: five minutes to train on, and 24 held-out
clips to compare the voice with. Clips are drawn by chance, so half of them are shorter than three seconds, as in the
data set. They are stored as Opus of 60 kbit/s, which leaves the similarity between her recordings as it was.
"""

from __future__ import annotations

import csv
import random
import sys
from pathlib import Path

import soundfile

FOLDER = Path(__file__).resolve().parents[2] / "recipes" / "quickstart"

TRAINING_SECONDS = 300.0
HELD_OUT = 24
SHORTEST_HELD_OUT = 2.5
"""Seconds; a speaker encoder needs some sound."""

COMPRESSION = 0.8
"""Of libsndfile's scale from 0 to 1: about 60 kbit/s for this voice."""


def main() -> None:
    """Write two folders of Opus files, with a table beside each."""
    source = Path(sys.argv[1])
    with (source / "transcripts.csv").open(encoding="utf-8", newline="") as file:
        texts = {row["filename"]: row["text"] for row in csv.DictReader(file)}
    names = sorted(texts)
    random.Random(0).shuffle(names)
    seconds = {name: soundfile.info(source / "clips" / f"{name}.flac").duration for name in names}
    held_out = [name for name in names if seconds[name] >= SHORTEST_HELD_OUT][:HELD_OUT]
    training, total = [], 0.0
    for name in names:
        if name not in held_out and total < TRAINING_SECONDS:
            training.append(name)
            total += seconds[name]
    for part, chosen in (("train", training), ("heldout", held_out)):
        clips = FOLDER / part / "clips"
        clips.mkdir(parents=True, exist_ok=True)
        with (FOLDER / part / "transcripts.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["filename", "text"])
            for name in sorted(chosen):
                sound, rate = soundfile.read(source / "clips" / f"{name}.flac")
                path = clips / f"{name}.opus"
                soundfile.write(path, sound, rate, format="OGG", subtype="OPUS", compression_level=COMPRESSION)
                table.writerow([name, texts[name]])
        print(f"{part}: {len(chosen)} clips, {sum(seconds[name] for name in chosen) / 60:.2f} min")


if __name__ == "__main__":
    main()
