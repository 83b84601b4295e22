"""Compare the files of ``vtune export --to piper`` and ``--to piper-int8`` with the Piper voice that they come from.

    VTUNE_WHISPER=tiny.en.pt python benchmarks/vits_export.py en_US-joe-medium.onnx --quantize-dynamic

The voice is exported as it is, without a training. Each file speaks the same sentences with piper-tts, without noise
for the spectra and with the voice's own noise for the words. Printed: size, CPU seconds for a second of speech on one
core, the mean difference of log mel spectra from Piper's own file, and the words that Whisper's tiny model hears wrong.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from machine import in_a_line, machine

from vtune.ingest.transcribe.error_rates import edit_distance, normalise
from vtune_vits.bases import open_base
from vtune_vits.export.piper_graph import piper_graph
from vtune_vits.export.quantise import quantise_weights
from vtune_vits.export.read_back import log_mel_difference
from vtune_vits.network.voice import new_network

SENTENCES = """The baker opened his shop before the sun came up over the river.
Seven small boats were tied to the old wooden pier.
Please put the blue box on the second shelf from the top.
My grandmother kept a garden full of beans and yellow flowers.
The train to the city leaves every morning at a quarter past eight.
Nobody in the room could answer the question that the teacher asked.
We walked for two hours through the forest and saw only one deer.
A cold wind blew across the empty market square last night.
She wrote a long letter to her brother, but she never sent it.
The doctor told him to rest for a week and drink plenty of water.
There is a small library behind the church, next to the school.
His new coat was warm, light, and much too expensive.
If it rains tomorrow, we will stay at home and play cards.
The children laughed when the clown fell into the water.
He fixed the broken window with a piece of glass and some glue.
Many people believe that the bridge was built by soldiers.
The soup needs more salt, a little pepper, and some fresh bread.
An old man with a white beard sat down beside me on the bus.
Could you tell me where the nearest post office is?
The stars were so bright that we did not need a lamp.""".splitlines()


def main() -> None:
    """Print a table."""
    asked = arguments()
    print(in_a_line(machine("cpu", 1)) + "\n")
    print("| File | MB | CPU seconds for a second of speech | difference of log mel in dB | words wrong |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        expected: list[np.ndarray] = []
        for name, path in files(asked, Path(folder)):
            voice = piper_voice(path, Path(f"{asked.voice}.json"))
            sounds, cost = spoken(voice, noise=False)
            expected = expected or sounds
            spectra = [
                log_mel_difference(first, second, voice.config.sample_rate)
                for first, second in zip(expected, sounds, strict=True)
                if len(first) == len(second)
            ]
            difference = f"{np.mean(spectra):.2f} ({len(spectra)} of {len(sounds)} with the same durations)"
            print(
                f"| {name} | {path.stat().st_size / 1e6:.1f} | {cost:.3f} | {difference} | {wrong_words(voice)} |",
                flush=True,
            )


def files(asked: Any, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file with its name in the table: Piper's own one, vtune's, and vtune's in 8 bits."""
    yield "Piper's own", asked.voice
    base = open_base(str(asked.voice))
    network = new_network(base.settings).eval()
    base.load(network)
    model = piper_graph(network)
    onnx.save(model, folder / "exact.onnx")
    yield "--to piper", folder / "exact.onnx"
    quantise_weights(model)
    onnx.save(model, folder / "int8.onnx")
    yield "--to piper-int8", folder / "int8.onnx"
    if asked.quantize_dynamic:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            asked.voice, folder / "dynamic.onnx", per_channel=True, weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Conv"],
        )  # fmt: skip
        yield "quantize_dynamic of ONNX Runtime", folder / "dynamic.onnx"


def piper_voice(path: Path, config: Path) -> Any:
    """Open a file with piper-tts, on one core."""
    from piper import PiperVoice

    voice = PiperVoice.load(path, config)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    voice.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return voice


def spoken(voice: Any, noise: bool) -> tuple[list[np.ndarray], float]:
    """Speak all sentences; return the sound of each, and the CPU seconds for a second of sound, the least of all."""
    from piper import SynthesisConfig

    style = SynthesisConfig() if noise else SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, normalize_audio=False)
    sounds, costs = [], []
    for sentence in SENTENCES:
        started = time.process_time()
        sound = np.concatenate([chunk.audio_float_array for chunk in voice.synthesize(sentence, style)])
        costs.append((time.process_time() - started) * voice.config.sample_rate / len(sound))
        sounds.append(sound)
    return sounds, min(costs)


def wrong_words(voice: Any) -> str:
    """Return how many words Whisper hears wrong in all sentences, with the voice's own noise."""
    weights = os.environ.get("VTUNE_WHISPER")
    if not weights:
        return "set VTUNE_WHISPER"
    import soxr
    import whisper

    model = whisper.load_model(weights, device="cpu")
    sounds, _ = spoken(voice, noise=True)
    errors = words = 0
    for sentence, sound in zip(SENTENCES, sounds, strict=True):
        resampled = torch.from_numpy(soxr.resample(sound, voice.config.sample_rate, 16_000))
        transcript = model.transcribe(resampled, language="en", fp16=False, temperature=0.0)["text"]
        expected, recognised = (normalise(text, "en").split() for text in (sentence, transcript))
        errors, words = errors + edit_distance(expected, recognised), words + len(expected)
    return f"{errors} of {words} ({100 * errors / words:.1f} %)"


def arguments() -> Any:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voice", type=Path, help="a Piper voice, .onnx with .onnx.json beside it")
    parser.add_argument("--quantize-dynamic", action="store_true", help="also try ONNX Runtime's own quantisation")
    return parser.parse_args()


if __name__ == "__main__":
    main()
