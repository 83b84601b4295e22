"""Measure how fast a voice of hibari speaks on one core: in torch, and as an exported file in the package hibari-tts.

    OMP_NUM_THREADS=1 VTUNE_WHISPER=tiny.en.pt python benchmarks/hibari_speed.py

The base heart speaks as it is, without a training; a tuned voice has the same operations. Printed for each: seconds of
speech for a CPU second (reading the text included), and with VTUNE_WHISPER the words that Whisper's tiny model hears
wrong.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hibari
import numpy as np
import onnx
import torch
from machine import in_a_line, machine

from vtune.ingest.transcribe.error_rates import edit_distance, normalise
from vtune.toolkit.sentences import read_sentences
from vtune_hibari.base import HibariBase
from vtune_hibari.bases.base_files import file_weights
from vtune_hibari.export.graph import with_weights
from vtune_hibari.network.settings import SAMPLE_RATE
from vtune_hibari.network.speaking import SpokenStyle, SpokenText, speak_texts
from vtune_hibari.options import HibariOptions
from vtune_hibari.text.frontend import prepare
from vtune_hibari.text.symbols import encode_symbols

SENTENCES = """The baker opened his shop before the sun came up over the river.
Seven small boats were tied to the old wooden pier.
Please put the blue box on the second shelf from the top.
My grandmother kept a garden full of beans and yellow flowers.
Nobody in the room could answer the question that the teacher asked.
We walked for two hours through the forest and saw only one deer.
She wrote a long letter to her brother, but she never sent it.
The doctor told him to rest for a week and drink plenty of water.
If it rains tomorrow, we will stay at home and play cards.
The stars were so bright that we did not need a lamp.""".splitlines()


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    base = HibariBase(HibariOptions(), torch.device("cpu"))
    network = base.new_network()

    def in_torch(text: str) -> np.ndarray:
        with torch.inference_mode():
            (sentence,) = read_sentences(prepare(text, "american", {}))
            ids = torch.tensor(encode_symbols(sentence.symbols))
            return speak_texts(network, [SpokenText(ids, 0)], SpokenStyle())[0].waveform.numpy()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "voice.onnx"
        weights = {name: tensor.numpy() for name, tensor in file_weights(network).items()}
        onnx.save(with_weights(base.files.path, weights), path)
        package = hibari.Hibari(model=str(path))
        speakers = {"torch": in_torch, "exported, in hibari-tts": lambda text: package(text, seed=0)}
        print(in_a_line(machine("cpu", 1)) + "\n")
        print("| Voice | seconds of speech for a CPU second | words wrong |")
        print("|---|---|---|")
        for name, speak in speakers.items():
            print(f"| {name} | {speed(speak):.0f} | {wrong_words(speak)} |")


def speed(speak: Callable[[str], np.ndarray]) -> float:
    """Return the seconds of speech for a CPU second, the best of three rounds."""
    speak(SENTENCES[0])
    rounds = []
    for _ in range(3):
        started = time.process_time()
        samples = sum(len(speak(sentence)) for sentence in SENTENCES)
        rounds.append(samples / SAMPLE_RATE / (time.process_time() - started))
    return max(rounds)


def wrong_words(speak: Callable[[str], np.ndarray]) -> str:
    """Return how many words Whisper hears wrong, or that nobody listened."""
    weights = os.environ.get("VTUNE_WHISPER")
    if not weights:
        return "not measured"
    import soxr
    import whisper

    model: Any = whisper.load_model(weights)
    wrong = total = 0
    for sentence in SENTENCES:
        sound = soxr.resample(speak(sentence), SAMPLE_RATE, 16_000).astype(np.float32)
        heard = model.transcribe(sound, language="en", fp16=False, temperature=0.0)["text"]
        expected = normalise(sentence, "en").split()
        wrong += edit_distance(normalise(heard, "en").split(), expected)
        total += len(expected)
    return f"{wrong} of {total}"


if __name__ == "__main__":
    main()
