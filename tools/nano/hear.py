"""Measure early whether the codes contain the words: ``python tools/nano/hear.py CODEC WHISPER.pt FOLDER ...``.

Prints, for the first clips of each folder, the word errors of the recordings, of the spectrum that the head reads from
their codes (inverted with Griffin-Lim: no decoder is needed, and inverting the true spectrum costs nothing), and of the
sound of the decoder, if there is one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import soxr
import torch
from corpus import SAMPLES_PER_LATENT, Corpus
from snac import SNAC
from spectra import MIN_MAGNITUDE, mel_filters
from train_encoder import CODEC, FINE_BANDS, PER_LATENT, SpectrumHead

from vtune.ingest.transcribe import Recogniser, open_recogniser
from vtune.ingest.transcribe.error_rates import edit_distance, normalise
from vtune.recipe import TranscribeRecipe

SAMPLE_RATE_HZ = 24_000
Maker = Callable[[np.ndarray], np.ndarray]
"""Takes a recording and returns its reconstruction, both float32 ``[samples]`` at 24 kHz."""


def by_spectrum(codec: SNAC, head: SpectrumHead) -> Maker:
    """Return a function that reconstructs a recording from the spectrum that the head predicts."""
    inverse = np.linalg.pinv(mel_filters(1024, FINE_BANDS).numpy())

    @torch.no_grad()
    def make(sound: np.ndarray) -> np.ndarray:
        latents, _ = codec.quantizer(codec.encoder(codec.preprocess(torch.from_numpy(sound)[None, None])))
        magnitudes = np.maximum(inverse @ (np.exp(head(latents)["fine"][0].numpy()) - MIN_MAGNITUDE), 0)
        return np.asarray(
            librosa.griffinlim(
                magnitudes,
                n_iter=32,
                hop_length=SAMPLES_PER_LATENT // PER_LATENT,
                win_length=1024,
                n_fft=1024,
                random_state=0,
            )
        )

    return make


def by_decoder(codec: SNAC) -> Maker:
    """Return a function that encodes and decodes a recording."""

    @torch.no_grad()
    def make(sound: np.ndarray) -> np.ndarray:
        return np.asarray(codec(torch.from_numpy(sound)[None, None])[0][0, 0])

    return make


def word_errors(corpus: Corpus, count: int, make: Maker, recogniser: Recogniser) -> tuple[float, str]:
    """Return the word error rate of the first clips, and the words that were recognised in the first clip."""
    wrong = words = 0
    first = ""
    for sound, text in zip(corpus.sounds[:count], corpus.texts[:count], strict=True):
        made = make(sound.astype(np.float32) / 32768)
        level = 0.5 / max(float(np.abs(made).max()), 1e-6)
        recognised = recogniser.transcribe(
            [np.pad(soxr.resample(made * level, SAMPLE_RATE_HZ, 16_000).astype(np.float32), 8_000)]
        )[0].text
        first = first or recognised
        expected = normalise(text, "en").split()
        wrong += edit_distance(expected, normalise(recognised, "en").split())
        words += len(expected)
    return wrong / words, first


def main() -> None:
    """Print one line per folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("codec", type=Path)
    parser.add_argument("whisper")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--clips", type=int, default=10)
    asked = parser.parse_args()
    kept = torch.load(asked.codec / "encoder.pt", weights_only=True)
    codec = SNAC(**CODEC).eval()
    codec.load_state_dict(kept["codec"])
    head = SpectrumHead(codec.latent_dim)
    head.load_state_dict(kept["head"])
    makers: dict[str, Maker] = {"recordings": lambda sound: sound, "spectrum": by_spectrum(codec, head)}
    if (asked.codec / "decoder.pt").exists():
        codec.decoder.load_state_dict(torch.load(asked.codec / "decoder.pt", weights_only=True)["average"])
        makers["decoder"] = by_decoder(codec)
    recogniser = open_recogniser(TranscribeRecipe(model=asked.whisper, device="cpu"))
    for folder in asked.folders:
        corpus = Corpus([folder], level=True)
        rates = {name: word_errors(corpus, asked.clips, make, recogniser) for name, make in makers.items()}
        figures = ", ".join(f"{name} {100 * rate:.1f} % ({example})" for name, (rate, example) in rates.items())
        print(f"{folder.name}: {figures}", flush=True)


if __name__ == "__main__":
    main()
