"""``vtune export --to indextts``: the files that upstream's software and its fork load, with what they speak with."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from vtune import VoiceError
from vtune.contract.exports import ExportTarget, ReadBack, VoiceToExport
from vtune.toolkit import read_tensors
from vtune.voice_format.weights import save_weights
from vtune_indextts2 import part_loaders
from vtune_indextts2.gpt.conditioning import ConditioningEncoder, encoder_class
from vtune_indextts2.interchange.foreign_speaker import FIVE_TENSORS
from vtune_indextts2.interchange.layouts import ADAPTER_CONFIG, EMBEDDINGS_FILE, LORA_FOLDER
from vtune_indextts2.merged_checkpoint import save_gpt, write_text_files

if TYPE_CHECKING:
    from torch import nn

    from vtune_indextts2.base import IndexTTS2Base

logger = logging.getLogger(__name__)

GPT_FILE = "gpt.pth"

MAX_LATENT_DIFFERENCE = 1e-3
"""Largest difference of the stored speaker latents from those that index-tts computes, as a share of the largest."""

READABLE_SETTINGS = (
    "alpha_pattern", "base_model_name_or_path", "bias", "fan_in_fan_out", "inference_mode", "init_lora_weights",
    "lora_alpha", "lora_dropout", "modules_to_save", "peft_type", "r", "rank_pattern", "target_modules", "task_type",
    "use_dora", "use_rslora",
)  # fmt: skip
"""Settings of an adapter that every PEFT since 0.9 reads; older versions stop at a name that they do not know."""

USE = f"""The folder has the layout of a speaker's folder of the fork with LoRA: put it under `training/` and run
`python tools/infer.py --speaker NAME --text "Hello."`. In Python:

```python
from indextts.infer_v2 import IndexTTS2
from indextts.speaker_embeddings import SpeakerEmbeddingStore

tts = IndexTTS2(lora_path="{LORA_FOLDER}")  # or, for a voice that was trained whole: gpt_checkpoint="{GPT_FILE}"
speaker = SpeakerEmbeddingStore(tts).load_embeddings("{EMBEDDINGS_FILE}")
tts.infer(spk_audio_prompt=None, text="Hello.", output_path="hello.wav", speaker_embeddings=speaker)
```

Upstream's own software takes `{GPT_FILE}` in the place of its own file of that name, and a recording of the speaker.

What it does differently when it speaks: it numbers the positions of the codes 0, 2, 3, ... where training numbers
them 0, 1, 2, ...; it searches with 3 beams; and its repetition penalty counts placeholders as spoken codes. To hear the
voice as that software speaks it, say it with `--set mel_pos_offset=1 --set beams=3 --set penalty_history=upstream`."""

NOTES = (
    "index-tts numbers the positions of the codes 0, 2, 3, ... when it speaks, and training 0, 1, 2, ...: the voice "
    "sounds slightly different there; hear it here with --set mel_pos_offset=1 --set beams=3",
)


def indextts_target() -> ExportTarget:
    """Return the target."""
    description = "gpt.pth, adapter and speaker embeddings for index-tts and its fork"
    return ExportTarget("indextts", description, write, compare, use=USE, notes=NOTES)


def write(voice: VoiceToExport, directory: Path) -> None:
    """Write ``gpt.pth``, the adapter's folder if there is an adapter, and ``speaker_embeddings.pt`` of IndexTTS-2.

    :raises VoiceError: the voice keeps no embeddings.
    """
    embeddings = {name: torch.from_numpy(voice.conditioning.tensors[name]) for name in _five_tensors(voice)}
    if embeddings:
        _require_latents(voice, embeddings["spk_cond_emb"])
    is_adapted = voice.record.method == "lora"
    save_gpt(voice.base, voice.merge() if is_adapted else voice.model, directory / GPT_FILE)
    write_text_files(voice.base, directory)
    if is_adapted:
        _write_adapter(voice.model, directory / LORA_FOLDER)
    path = directory / EMBEDDINGS_FILE
    if embeddings:
        path.parent.mkdir(parents=True)
        torch.save({name: tensor.float().contiguous() for name, tensor in embeddings.items()}, path)


def compare(voice: VoiceToExport, directory: Path) -> Iterator[ReadBack]:
    """Read each file as index-tts does, and compare what the network answers and what it speaks with."""
    expected = [_answers(voice.model, batch) for batch in voice.batches]
    for name, network in _read_networks(voice, directory):
        network.to(voice.device).eval()
        for text, batch, answer in zip(voice.sentences, voice.batches, expected, strict=True):
            yield ReadBack(f"{name}: {text}", answer, _answers(network, batch))
    names = _five_tensors(voice)
    stored = read_tensors(directory / EMBEDDINGS_FILE) if names else {}
    for name in names:
        yield ReadBack(name, voice.conditioning.tensors[name], stored[name])


def _read_networks(voice: VoiceToExport, directory: Path) -> Iterator[tuple[str, nn.Module]]:
    base: IndexTTS2Base = voice.base
    yield GPT_FILE, part_loaders.load_network(directory / GPT_FILE, base.config, dropout=0.0)
    if voice.record.method == "lora":
        from peft import PeftModel

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="fan_in_fan_out")  # PEFT corrects it by itself
            adapted = PeftModel.from_pretrained(base.new_network().float(), str(directory / LORA_FOLDER))
        yield LORA_FOLDER, adapted


@torch.no_grad()
def _answers(network: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    logits: torch.Tensor = network(**batch)["logits"].cpu()
    return logits


def _write_adapter(model: nn.Module, folder: Path) -> None:
    folder.mkdir(parents=True)
    save_weights(model, folder)
    path = folder / ADAPTER_CONFIG
    settings = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: settings[name] for name in READABLE_SETTINGS if name in settings}
    kept["base_model_name_or_path"] = None  # the fork loads the adapter onto its own gpt.pth
    path.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _five_tensors(voice: VoiceToExport) -> tuple[str, ...]:
    """Return the names of the embeddings; none of IndexTTS-2.5, whose software takes a recording.

    :raises VoiceError: the voice does not keep one.
    """
    if encoder_class(voice.base.config.gpt) is not ConditioningEncoder:
        return ()
    missing = [name for name in FIVE_TENSORS if name not in voice.conditioning.tensors]
    if missing:
        raise VoiceError(
            f"voice {voice.name!r} keeps no {missing[0]}, which index-tts needs in speaker_embeddings.pt; make the "
            "voice again"
        )
    return FIVE_TENSORS


@torch.no_grad()
def _require_latents(voice: VoiceToExport, features: torch.Tensor) -> None:
    """Check that index-tts computes the voice's speaker latents from the features that it gets.

    :raises VoiceError: another trainer changed the encoders that the latents came from.
    """
    base: IndexTTS2Base = voice.base
    encoder = base.conditioning_encoder
    assert isinstance(encoder, ConditioningEncoder)
    computed = encoder.speaker(features.to(base.frozen_device)).cpu()
    kept = torch.from_numpy(voice.conditioning.tensors["condition"])
    if float((computed - kept).abs().max() / kept.abs().max()) <= MAX_LATENT_DIFFERENCE:
        return
    choice = json.loads(voice.conditioning.strings.get("choice", "{}"))
    if choice.get("reference") != "average":
        raise VoiceError(
            f"voice {voice.name!r} has speaker latents that the encoders of its base do not give for its reference, so "
            "index-tts would speak with another speaker; it was imported with encoders that its trainer had changed"
        )
    logger.warning(
        "voice %s averages its latents over several clips, and index-tts computes them from one: it sounds less "
        "typical there; make the voice with reference: best to hear the same speaker", voice.name,
    )  # fmt: skip
