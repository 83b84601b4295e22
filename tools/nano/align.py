"""Find the times of phones where no synthesiser reports them: ``python tools/nano/align.py CODEC FOLDER ...``.

What is said comes from flite's dictionary; when, from the phones that a trained encoder's head hears, by the likeliest
path through them (Viterbi). Writes ``phones.json`` into each folder; a clip whose path would be too quick gets none.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np
import torch
from corpus import PHONES, SAMPLE_RATE_HZ, SAMPLES_PER_LATENT, Corpus
from snac import SNAC
from train_encoder import CODEC, SpectrumHead


def phones_of(text: str) -> list[str]:
    """Return the phones of a text as flite would speak them, with its pauses."""
    command = ["flite", "-voice", "rms", "-ps", "-t", text, "-o", "none"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def path_of(chances: np.ndarray, phones: list[str]) -> list[int] | None:
    """Align phones with frames: log probabilities ``[T, P]`` to the end frame of each phone; pauses are optional.

    Time: frames times phones.
    """
    phone_ids = [PHONES.index(phone) for phone in phones]
    may_skip = [phone == "pau" for phone in phones]
    frames, count = len(chances), len(phone_ids)
    best = np.full(count, -np.inf)
    best[0] = chances[0, phone_ids[0]]
    if may_skip[0]:
        best[1] = chances[0, phone_ids[1]]
    came = np.zeros((frames, count), dtype=np.int8)  # phones gone forward at this frame
    skip = np.array([False, False, *may_skip[1:-1]])
    for frame in range(1, frames):
        one_step = np.concatenate([[-np.inf], best[:-1]])
        two = np.where(skip, np.concatenate([[-np.inf] * 2, best[:-2]]), -np.inf)
        ways = np.stack([best, one_step, two])
        came[frame] = ways.argmax(axis=0)
        best = ways.max(axis=0) + chances[frame, phone_ids]
    position = count - 1 if not may_skip[-1] or best[-1] >= best[-2] else count - 2
    if not np.isfinite(best[position]):
        return None
    ends = [frames] * count
    for frame in range(frames - 1, 0, -1):
        gone = int(came[frame, position])
        for passed in range(gone):
            ends[position - 1 - passed] = frame
        position -= gone
    return ends


@torch.no_grad()
def main() -> None:
    """Align every clip of every folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("codec", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    asked = parser.parse_args()
    kept = torch.load(asked.codec / "encoder.pt", weights_only=True)
    codec = SNAC(**CODEC).eval()
    codec.load_state_dict(kept["codec"])
    head = SpectrumHead(codec.latent_dim).eval()
    head.load_state_dict(kept["head"])
    for folder in asked.folders:
        corpus, timings, likely = Corpus([folder], level=True), [], []
        for sound, text in zip(corpus.sounds, corpus.texts, strict=True):
            waveform = codec.preprocess(torch.from_numpy(sound.astype(np.float32) / 32768)[None, None])
            # Before the quantisers: what they lose is what this shall teach them.
            chances = head.phone(codec.encoder(waveform)).log_softmax(1)[0].T.numpy()
            phones = phones_of(text)
            ends = path_of(chances[: len(sound) // SAMPLES_PER_LATENT + 1], phones)
            timings.append(
                ends
                and [
                    (p, round(end * SAMPLES_PER_LATENT / SAMPLE_RATE_HZ, 4))
                    for p, end in zip(phones, ends, strict=True)
                ]
            )
            if ends:
                frames = np.searchsorted(ends, np.arange(ends[-1]), side="right")
                spoken = np.array([PHONES.index(phone) for phone in phones])[np.minimum(frames, len(phones) - 1)]
                likely.append(float((chances[: len(frames)].argmax(1) == spoken).mean()))
        (folder / "phones.json").write_text(json.dumps(timings), encoding="utf-8")
        none = sum(timing is None for timing in timings)
        print(
            f"{folder.name}: {len(timings)} clips, {none} without; the head agrees on {np.mean(likely):.1%} of frames"
        )


if __name__ == "__main__":
    main()
