"""Encode corpora, clip by clip: ``python tools/nano/encode.py STATE OUT CORPUS ...``; STATE is encoder.pt."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from corpus import PHONES, Corpus
from snac import SNAC
from train_encoder import CODEC

from vtune_orpheus.layout import Layout


@torch.no_grad()
def frames_of(codec: SNAC, sound: np.ndarray) -> np.ndarray:
    """Encode int16 ``[samples]`` as codes in the engine's order, uint16 ``[T, 7]``."""
    waveform = torch.from_numpy(sound.astype(np.float32) / 32768)[None, None]
    size = codec.codebook_size
    plain = Layout(*[0] * 9, audio=0, codebook=size)
    tokens = plain.interleave(codec.encode(waveform)).reshape(-1, 7)
    return (tokens - torch.arange(7) * size).numpy().astype(np.uint16)


def main() -> None:
    """Write codes.npz and clips.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("corpora", type=Path, nargs="+")
    asked = parser.parse_args()
    corpus = Corpus([path for corpus in asked.corpora for path in sorted(corpus.iterdir()) if path.is_dir()])
    codec = SNAC(**CODEC).eval()
    codec.load_state_dict(torch.load(asked.state, weights_only=True)["codec"])
    frames = [frames_of(codec, sound) for sound in corpus.sounds]
    asked.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(asked.out / "codes.npz", frames=np.concatenate(frames), ends=np.cumsum(list(map(len, frames))))
    phones = [
        timed and [(PHONES[phone], float(end)) for end, phone in zip(*timed, strict=True)] for timed in corpus.phones
    ]
    table = {"texts": corpus.texts, "voices": corpus.names, "phones": phones}
    (asked.out / "clips.json").write_text(json.dumps(table), encoding="utf-8")
    for slot in range(7):
        counts = np.bincount(np.concatenate(frames)[:, slot], minlength=codec.codebook_size)
        share = counts[counts > 0] / counts.sum()
        print(f"slot {slot}: {(counts > 0).sum()} codes, {-(share * np.log2(share)).sum():.2f} bits")


if __name__ == "__main__":
    main()
