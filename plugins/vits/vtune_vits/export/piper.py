"""The export targets ``piper`` and ``piper-int8``: a voice for Piper, Home Assistant, sherpa-onnx and others."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.contract.exports import ExportTarget, ReadBack, VoiceToExport
from vtune_vits.export.read_back import compare_sound, own_style, speaking_cost, spectral_loss
from vtune_vits.export.session import PiperSession, require_onnx
from vtune_vits.export.speakers import own_speaker, speakers_of_file, with_own_speaker_first

if TYPE_CHECKING:
    import onnx

    from vtune_vits.base import VitsBase

logger = logging.getLogger(__name__)

USE = """```sh
pip install piper-tts
python -m piper -m ./VOICE.onnx -f speech.wav -- "Good morning."
```

`VOICE.onnx` and `VOICE.onnx.json` belong together, under the names that they have here. Home Assistant takes the two
files as a custom voice of its Piper add-on. sherpa-onnx takes `VOICE.onnx` and `tokens.txt`; from version 2 on, its
caller brings the phonemes of espeak-ng."""

TOLERANCE = 1e-3
"""Largest difference of the sound, as a share of its peak."""

ROUNDING_TOLERANCE = 5e-3
"""Largest difference of a weight in 8 bits, as a share of the largest weight of its tensor; half a level is 0.004."""


def piper_targets() -> list[ExportTarget]:
    """Return the export targets of the engine."""
    return [
        ExportTarget("piper", "a voice for Piper (ONNX)", write, compare, TOLERANCE, use=USE),
        ExportTarget(
            "piper-int8", "a voice for Piper with weights in 8 bits", write_int8, compare_int8, ROUNDING_TOLERANCE,
            use=USE,
        ),
    ]  # fmt: skip


def write(voice: VoiceToExport, directory: Path) -> None:
    """Write the graph, its JSON, ``tokens.txt`` and ``MODEL_CARD``; see ``vtune.contract.exports.ExportTarget``.

    :raises VoiceError: Piper cannot read texts for this voice.
    """
    require_onnx()
    path = _write_pair(voice, voice_graph(voice), directory)
    _write_card(voice, path, [speaking_cost(voice, PiperSession(path), path)])


def write_int8(voice: VoiceToExport, directory: Path) -> None:
    """Write what ``write`` writes, with weights in 8 bits, and say how much the sound changes.

    :raises VoiceError: Piper cannot read texts for this voice.
    """
    require_onnx()
    from vtune_vits.export.quantise import quantise_weights

    model = voice_graph(voice)
    quantise_weights(model)
    path = _write_pair(voice, model, directory)
    session = PiperSession(path)
    _write_card(voice, path, [speaking_cost(voice, session, path), spectral_loss(voice, session)])


def compare(voice: VoiceToExport, directory: Path) -> Iterator[ReadBack]:
    """Yield what the voice's network and the written file make of some sentences without noise."""
    return compare_sound(voice, voice.model, PiperSession(_only_graph(directory)), own_speaker(voice))


def compare_int8(voice: VoiceToExport, directory: Path) -> Iterator[ReadBack]:
    """Yield the weights before and after rounding, and what a network with rounded weights and the file speak."""
    import numpy as np
    import torch

    from vtune_vits.bases.names import piper_name
    from vtune_vits.export.quantise import dequantised_weights

    onnx, _ = require_onnx()
    path = _only_graph(directory)
    rounded = dequantised_weights(onnx.load(path))
    network = with_own_speaker_first(voice)
    exact, found = [], []
    for name, parameter in network.named_parameters():
        if piper_name(name) in rounded:
            values = torch.from_numpy(rounded[piper_name(name)]).reshape(parameter.shape)
            exact.append((parameter / parameter.abs().max()).detach().cpu().flatten())
            found.append((values / parameter.detach().cpu().abs().max()).flatten())
            parameter.data.copy_(values)
    yield ReadBack("weights in 8 bits", np.concatenate(exact), np.concatenate(found))
    yield from compare_sound(voice, network, PiperSession(path), speaker=0)


def voice_graph(voice: VoiceToExport) -> onnx.ModelProto:
    """Return the voice's network as an ONNX model in which the voice's own speaker is number 0."""
    from vtune_vits.export.piper_graph import piper_graph

    return piper_graph(with_own_speaker_first(voice), own_style(voice).contrast)


def _write_pair(voice: VoiceToExport, model: onnx.ModelProto, directory: Path) -> Path:
    """Write a graph and its JSON, and the symbols for sherpa-onnx; return the path of the graph."""
    import onnx

    from vtune_vits.export.piper_config import piper_config
    from vtune_vits.export.sherpa import add_metadata, write_tokens

    base: VitsBase = voice.base
    options: Any = voice.options
    text = base.text
    if options.language not in (None, text.language):
        text = replace(text, language=options.language, locale="")
    config = piper_config(text, base.settings, own_style(voice), speakers_of_file(voice))
    config["dataset"] = voice.name
    add_metadata(model, config)
    path = directory / f"{config['language']['code']}-{voice.name}-{config['audio']['quality']}.onnx"
    onnx.save(model, path)
    _config_path(path).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    write_tokens(config, directory / "tokens.txt")
    return path


def _write_card(voice: VoiceToExport, path: Path, notes: list[str]) -> None:
    """Write ``MODEL_CARD`` beside a graph, and log the notes."""
    from vtune_vits.export.model_card import model_card

    options: Any = voice.options
    if options.lexicon:
        notes = [*notes, f"The {len(options.lexicon)} words of the voice's lexicon are not part of this file."]
    for note in notes:
        logger.info("%s: %s", path.name, note)
    config: dict[str, Any] = json.loads(_config_path(path).read_text(encoding="utf-8"))
    card = model_card(voice.record, config, voice.base.files.licence, notes)
    (path.parent / "MODEL_CARD").write_text(card, encoding="utf-8")


def _config_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _only_graph(directory: Path) -> Path:
    """Return the path of the graph in a folder. :raises StopIteration: the folder has none."""
    return next(directory.glob("*.onnx"))
