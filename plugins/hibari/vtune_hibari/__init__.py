"""hibari as a vtune engine: two text encoders, durations, prosody and a decoder of spectra; six million weights.

24,000 Hz, English. The voice is tuned with LoRA or whole, and goes back into the file format that it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vtune
from vtune_hibari.options import HibariOptions

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vtune.contract.exports import ExportTarget
    from vtune_hibari.base import HibariBase

BLOCK = r"blocks\.\d+\.(expand|project)"
ATTENTION_LAYER = r"layer\.(expand|project|attention\.(in_proj|out_proj))"

LICENCE_NOTE = (
    "This voice is derived from a voice of hibari-tts (Copyright 2026 Maureese Williams), which was distilled from "
    "Kokoro-82M by hexgrad. Both are under the Apache License, Version 2.0: "
    "https://www.apache.org/licenses/LICENSE-2.0. "
    "The weights were changed: they were tuned to the recordings that the card of the voice names.\n"
)

FILTER = (r"decoder\.head",)
TRACT = (r"decoder\.speaker\.tract",)
COLOUR = (r"decoder\.speaker\.colour",)
PITCH = (r"prosody_predictor\.conv_out",)
DECODER = (rf"decoder\.({BLOCK}|conv_in|head)",)
PROSODY = (rf"prosody_predictor\.({BLOCK}|conv_in|conv_out)",)
DURATIONS = (r"duration_predictor\.(conv_in|conv_out)",)
TEXT = (rf"(acoustic_encoder|prosody_encoder)\.({BLOCK}|{ATTENTION_LAYER})",)


@vtune.hookimpl
def engine_info() -> vtune.EngineInfo:
    return vtune.EngineInfo(
        sample_rate=24_000,
        features_version="1",
        options=HibariOptions,
        lora=vtune.LoraSettings(rank=16, alpha=32, targets=("tract", "colour", "pitch")),
        lora_targets={
            "tract": TRACT,
            "colour": COLOUR,
            "filter": FILTER,
            "pitch": PITCH,
            "decoder": DECODER,
            "prosody": PROSODY,
            "durations": DURATIONS,
            "text": TEXT,
            "all": (*TRACT, *COLOUR, *DECODER, *PROSODY, *DURATIONS, *TEXT),
        },
        length_feature="samples",
        features_by_network=True,  # alignments, and the pitch in pauses
        supports=frozenset({"text", "streaming", "mixing", "merging", "full"}),
        licence=(
            "The base voices of hibari-tts are under the Apache licence 2.0 and were distilled from Kokoro-82M, which "
            "is under the same licence; a voice also carries the licence of its recordings."
        ),
        licence_id="apache-2.0",
        licence_note=LICENCE_NOTE,
    )


@vtune.hookimpl
def load_base(options: HibariOptions, device: torch.device) -> HibariBase:
    from vtune_hibari.base import HibariBase

    return HibariBase(options, device)


@vtune.hookimpl
def fingerprint(base: HibariBase) -> dict[str, str]:
    return base.fingerprint()


@vtune.hookimpl
def features_fingerprint(base: HibariBase) -> dict[str, str]:
    return base.features_fingerprint()


@vtune.hookimpl
def prepare_text(base: HibariBase, text: str, options: Mapping[str, Any]) -> str:
    from vtune_hibari.text.frontend import prepare

    return prepare(text, base.accent(options["accent"]), options["lexicon"])


@vtune.hookimpl
def prepare_sample(base: HibariBase, clip: vtune.Clip) -> vtune.Features:
    from vtune_hibari.training.rows import prepare

    return prepare(base, clip)


@vtune.hookimpl
def collate(features: Sequence[vtune.Features]) -> vtune.Batch:
    from vtune_hibari.training import rows

    return rows.collate(features)


@vtune.hookimpl
def build_lora_model(base: HibariBase, lora: vtune.LoraSettings) -> nn.Module:
    model: nn.Module = vtune.attach_lora(base.new_network(), lora, engine_info().lora_targets)
    return model


@vtune.hookimpl
def extract_conditioning() -> vtune.Conditioning:
    return vtune.Conditioning()


@vtune.hookimpl
def synthesize(
    base: HibariBase, model: nn.Module, text: str, seed: int, sampling: Mapping[str, Any]
) -> Iterator[vtune.Audio]:
    from vtune_hibari.speech import speak

    return speak(base, model, text, seed, sampling)


@vtune.hookimpl
def synthesize_together(
    base: HibariBase, model: nn.Module, lines: Sequence[tuple[str, int]], sampling: Mapping[str, Any]
) -> Iterator[tuple[int, list[vtune.Audio]]]:
    from vtune_hibari.speech import speak_together

    return speak_together(base, model, lines, sampling)


@vtune.hookimpl
def export_targets() -> list[ExportTarget]:
    from vtune_hibari.export.onnx_target import onnx_target

    return [onnx_target()]


@vtune.hookimpl
def save_merged(base: HibariBase, network: nn.Module, directory: Path) -> list[Path]:
    from vtune_hibari.merged import save

    return save(base.files, network, directory)


@vtune.hookimpl
def footprint(options: HibariOptions, lora: vtune.LoraSettings) -> vtune.Footprint:
    from vtune_hibari.memory_footprint import estimate

    return estimate(options, lora, engine_info().lora_targets)
