"""The export target ``piper``: a voice for Piper, Home Assistant, sherpa-onnx and others, read back and compared."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.contract.exports import ExportTarget, ReadBack, VoiceToExport
from vtune_vits.export.session import PiperSession, require_onnx

if TYPE_CHECKING:
    import onnx
    import torch

    from vtune_vits.base import VitsBase
    from vtune_vits.network.voice import SpokenStyle, VitsNetwork

logger = logging.getLogger(__name__)

USE = """```sh
pip install piper-tts
python -m piper -m ./VOICE.onnx -f speech.wav -- "Good morning."
```

`VOICE.onnx` and `VOICE.onnx.json` belong together, under the names that they have here. Home Assistant takes the two
files as a custom voice of its Piper add-on. sherpa-onnx takes `VOICE.onnx` and `tokens.txt` with the data of
espeak-ng."""


def piper_targets() -> list[ExportTarget]:
    """Return the targets of the engine."""
    return [ExportTarget("piper", "a voice for Piper (ONNX)", write, compare, tolerance=1e-3, use=USE)]


def write(voice: VoiceToExport, directory: Path) -> None:
    """Write the graph, its JSON, ``tokens.txt`` and ``MODEL_CARD``; see ``vtune.contract.exports.ExportTarget``.

    :raises VoiceError: Piper cannot read texts for this voice.
    """
    onnx, _ = require_onnx()
    from vtune_vits.export.model_card import model_card
    from vtune_vits.export.piper_config import piper_config
    from vtune_vits.export.sherpa import add_metadata, write_tokens

    base: VitsBase = voice.base
    text = replace(base.text, language=base.options.language or base.text.language)
    config = piper_config(text, base.settings, _style(voice), _speakers(voice))
    model = voice_graph(voice)
    add_metadata(model, config)
    stem = f"{config['language']['code']}-{voice.name}-{config['audio']['quality']}"
    path = directory / f"{stem}.onnx"
    onnx.save(model, path)
    content = json.dumps({**config, "dataset": voice.name}, indent=2, ensure_ascii=False)
    path.with_name(f"{path.name}.json").write_text(content + "\n", encoding="utf-8")
    write_tokens(config, directory / "tokens.txt")
    notes = [_speed(voice, path)]
    if base.options.lexicon:
        notes.append(f"The voice's lexicon ({len(base.options.lexicon)} words) is not part of a Piper voice.")
    for note in notes:
        logger.info("%s: %s", path.name, note)
    card = model_card(voice.record, config, base.files.licence, notes)
    (directory / "MODEL_CARD").write_text(card, encoding="utf-8")


def voice_graph(voice: VoiceToExport) -> onnx.ModelProto:
    """Return the voice's network as an ONNX model in which the voice's own speaker is number 0."""
    import torch

    from vtune_vits.export.piper_graph import piper_graph

    network: Any = voice.merge()
    speaker = _speaker(voice)
    if speaker:
        with torch.no_grad():
            table = network.embed_speaker.weight
            table[[0, speaker]] = table[[speaker, 0]]
    return piper_graph(network)


def _speaker(voice: VoiceToExport) -> int:
    """Return the number that the voice's own speaker has in its base."""
    return int(voice.conditioning.number("speaker", voice.base.settings.speakers - 1))


def _speakers(voice: VoiceToExport) -> dict[str, int]:
    """Return the numbers of the speakers in the exported file by name.

    Programs that know of no default speaker speak number 0, so the voice's speaker and the base's first one change
    places.
    """
    count, own = voice.base.settings.speakers, _speaker(voice)
    if count == 1:
        return {}
    names = {number: name for name, number in voice.base.text.speakers.items()}
    numbers = {own: 0, 0: own} if own else {0: 0}
    speakers = {names.get(number, str(number)): numbers.get(number, number) for number in range(count)}
    return {voice.name if number == 0 else name: number for name, number in speakers.items()}


def _style(voice: VoiceToExport) -> SpokenStyle:
    from vtune_vits.speech import speaking_style

    return speaking_style(voice.base.options, voice.base.settings)


def _sentence_ids(voice: VoiceToExport) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield some sentences, each with the ids of its symbols, int64 ``[L]``."""
    for sentence, batch in zip(voice.sentences, voice.batches, strict=True):
        yield sentence, batch["input_ids"][0, : int(batch["text_lengths"][0])]


def _speed(voice: VoiceToExport, path: Path) -> str:
    _, ids = next(_sentence_ids(voice))
    factor = PiperSession(path).real_time_factor(ids.tolist(), _style(voice), voice.base.settings.sample_rate)
    megabytes = path.stat().st_size / 1e6
    return (
        f"{megabytes:.0f} MB; one second of speech takes {factor:.3f} s of one core of the machine that exported it "
        f"(real-time factor {factor:.3f})"
    )


def compare(voice: VoiceToExport, directory: Path) -> Iterator[ReadBack]:
    """Yield what the voice's network and the written file make of some sentences without noise.

    The sound is compared at the durations that the file rounds: a predicted duration that lies within the rounding
    error of a whole number would otherwise give one frame more.
    """
    import torch

    from vtune_vits.network.noise import SpeakingNoise

    session = PiperSession(next(directory.glob("*.onnx")))
    style = replace(_style(voice), noise_scale=0.0, noise_scale_w=0.0)
    network: Any = voice.model
    speaker = _speaker(voice)
    for sentence, ids in _sentence_ids(voice):
        spoken = session.speak(ids.tolist(), style)
        with torch.inference_mode():
            frames = exact_frames(network, ids, style, speaker)
            durations = torch.as_tensor(spoken.frames, device=ids.device)
            expected = network.speak(ids, style, speaker, SpeakingNoise(0), durations).waveform
        yield ReadBack(f"durations of {sentence!r}", frames, spoken.exact_frames)
        yield ReadBack(sentence, expected, spoken.waveform)


def exact_frames(network: VitsNetwork, ids: torch.Tensor, style: SpokenStyle, speaker: int) -> torch.Tensor:
    """Return the frames of each symbol that the network predicts without noise, before rounding, float32 ``[L]``."""
    import torch

    mask = torch.ones(1, len(ids), dtype=torch.bool, device=ids.device)
    embedding = network.embed(torch.tensor([speaker], device=ids.device))
    hidden = network.read(ids[None], mask).hidden
    noise = torch.zeros(1, 2, len(ids), device=ids.device)
    return network.predict_log_durations(hidden, mask, embedding, noise)[0].exp() * style.length_scale
