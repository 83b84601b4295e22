"""The export target ``onnx``: a file for the package hibari-tts, for ONNX Runtime on small machines and in browsers."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune import VoiceError
from vtune.contract.exports import ExportTarget, ReadBack, VoiceToExport
from vtune_hibari.bases.package import DISTRIBUTION, package_file
from vtune_hibari.export.session import HibariSession, load_graph, require_onnx

if TYPE_CHECKING:
    import torch

    from vtune_hibari.base import HibariBase

logger = logging.getLogger(__name__)

USE = """```sh
pip install hibari-tts
```

```python
from hibari import Hibari

voice = Hibari(model="VOICE.onnx")  # for British English: Hibari("emma", model="VOICE.onnx")
voice.save("Good morning.", "speech.wav")
```

The file has the inputs and outputs of the files that hibari-tts publishes, so whatever speaks with those speaks with
it: ONNX Runtime on a Raspberry Pi, on a phone, or in a browser."""

TOLERANCE = 5e-3
"""Largest difference, as a share of the largest number: half a level of 8 bits is 0.004 of a matrix' largest weight."""


def onnx_target() -> ExportTarget:
    """Return the export target of the engine."""
    return ExportTarget("onnx", "a voice for hibari-tts (ONNX, 8 bits)", write, compare, TOLERANCE, use=USE)


def write(voice: VoiceToExport, directory: Path) -> None:
    """Write ``VOICE.onnx``, and the package's ``NOTICE``; see ``vtune.contract.exports.ExportTarget``.

    :raises VoiceError: there is no published file with this network's shapes.
    """
    onnx, _ = require_onnx()
    from vtune_hibari.export.graph import with_weights

    path = directory / f"{voice.name}.onnx"
    onnx.save(with_weights(template(voice.base), _arrays(voice.merge())), path)
    if notice := package_notice():
        shutil.copyfile(notice, directory / "NOTICE")
    for note in notes(voice, path):
        logger.info("%s: %s", path.name, note)


def compare(voice: VoiceToExport, directory: Path) -> Iterator[ReadBack]:
    """Yield the weights before and after rounding, and what a network with rounded weights and the file compute."""
    import torch

    from vtune_hibari.bases.base_formats import open_onnx
    from vtune_hibari.export.graph import in_full_precision
    from vtune_hibari.export.sound_distance import sentence_ids

    path = next(directory.glob("*.onnx"))
    network: Any = voice.merge()
    expected = _arrays(network)
    open_onnx(path).load(network)
    found = _arrays(network)
    scales = {name: max(float(np.abs(weight).max()), 1e-9) for name, weight in expected.items()}
    yield ReadBack(
        "weights, each tensor as a share of its largest",
        np.concatenate([(weight / scales[name]).ravel() for name, weight in expected.items()]),
        np.concatenate([(weight / scales[name]).ravel() for name, weight in found.items()]),
    )
    session = HibariSession(in_full_precision(path))
    for sentence, ids in sentence_ids(voice):
        computed = session.compute(ids.tolist())
        with torch.inference_mode():
            parts, f0 = _computed(network, ids, torch.from_numpy(computed.durations))
        yield ReadBack(f"pitch of {sentence!r}", f0, computed.f0)
        yield ReadBack(sentence, parts, computed.parts)


def notes(voice: VoiceToExport, path: Path) -> list[str]:
    """Return sentences about a written file: its size and speed, and how far its sound is from the voice's own."""
    from vtune_hibari.export.sound_distance import rounding_distance, sentence_ids

    session = HibariSession(load_graph(path))
    ids = max((ids for _, ids in sentence_ids(voice)), key=len)
    factor = session.real_time_factor(ids.tolist())
    lines = [
        f"The file has {path.stat().st_size / 1e6:.1f} MB. On one core of this machine, it speaks "
        f"{1 / factor:.0f} times as fast as the speech lasts.",
        rounding_distance(voice, session),
    ]
    options: Any = voice.options
    if options.lexicon:
        lines.append(
            f"The {len(options.lexicon)} words of the voice's lexicon are not part of the file; hibari-tts reads a "
            "word with its phonemes as [word](/phonemes/)."
        )
    return lines


def template(base: HibariBase) -> Path:
    """Return the published file into whose graph a voice's weights go: the base's own, or the package's voice.

    :raises VoiceError: the base is no ONNX file, and its shapes are not those of the package's voice.
    :raises EngineError: the package is not installed.
    """
    from vtune_hibari.bases.base_formats import open_onnx

    if base.files.path.suffix == ".onnx":
        return base.files.path
    path = package_file("hibari.onnx")
    if open_onnx(path).settings != base.files.settings:
        raise VoiceError(
            f"the base {base.files.path} has other shapes than the voice of {DISTRIBUTION}, and only an .onnx base "
            "brings a graph of its own; tune the voice from an .onnx base"
        )
    return path


def package_notice() -> Path | None:
    """Return the path of the package's ``NOTICE``, which its licence wants beside every copy; None if it has none."""
    for file in metadata.files(DISTRIBUTION) or ():
        if file.name == "NOTICE":
            path = Path(str(file.locate()))
            return path if path.is_file() else None
    return None


def _arrays(network: torch.nn.Module) -> dict[str, np.ndarray]:
    from vtune_hibari.bases.base_files import file_weights

    return {name: tensor.numpy() for name, tensor in file_weights(network).items()}


def _computed(network: Any, ids: torch.Tensor, durations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the spectral parts ``[5 x F x 601]`` and the F0 ``[F]`` of a sentence with given durations."""
    import torch

    device = next(network.parameters()).device
    ids, durations = ids[None].to(device), durations[None].to(device)
    reading = network.read(ids, torch.ones_like(ids, dtype=torch.bool))
    prosody = network.predict_prosody(reading, durations)
    parts = network.decode(reading, durations, prosody.f0, prosody.energy)
    return torch.cat(parts), prosody.f0[0]
