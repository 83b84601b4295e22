"""IndexTTS2 as a vtune engine: a GPT over semantic codes, a flow to mel, a vocoder; tuned by LoRA, 22.05 kHz."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vtune
from vtune_indextts2.licence import LICENCE_NOTE_TEXT, LICENCE_SUMMARY
from vtune_indextts2.options import IndexTTS2Options

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vtune.contract.exports import ExportTarget
    from vtune.contract.imports import ImportedVoice, VoiceToImport
    from vtune.contract.metrics import MetricMaker
    from vtune_indextts2.base import IndexTTS2Base

ATTENTION_TARGETS = (r"gpt\.h\.\d+\.attn\.c_attn", r"gpt\.h\.\d+\.attn\.c_proj")
MLP_TARGETS = (r"gpt\.h\.\d+\.mlp\.c_fc", r"gpt\.h\.\d+\.mlp\.c_proj")
HEAD_TARGETS = ("mel_head", "text_head")


@vtune.hookimpl
def engine_info() -> vtune.EngineInfo:
    return vtune.EngineInfo(
        sample_rate=22_050,
        features_version="1",
        options=IndexTTS2Options,
        lora=vtune.LoraSettings(rank=16, alpha=32, targets=("attention+mlp",)),
        lora_targets={
            "all": (*ATTENTION_TARGETS, *MLP_TARGETS),
            "attention": ATTENTION_TARGETS,
            "attention+mlp": (*ATTENTION_TARGETS, *MLP_TARGETS),
            "attention+mlp+heads": (*ATTENTION_TARGETS, *MLP_TARGETS, *HEAD_TARGETS),
            "heads": HEAD_TARGETS,
        },
        paired_features=frozenset({"condition", "emotion"}),
        length_feature="codes",
        clips_as_recorded=True,
        licence=LICENCE_SUMMARY,
        licence_name="bilibili-model-use-licence",
        licence_note=LICENCE_NOTE_TEXT,
    )


@vtune.hookimpl
def load_base(options: IndexTTS2Options, device: torch.device, dtype: torch.dtype) -> IndexTTS2Base:
    from vtune_indextts2.base import IndexTTS2Base

    return IndexTTS2Base(options, device, dtype)


@vtune.hookimpl
def fingerprint(base: IndexTTS2Base) -> dict[str, str]:
    return base.speaking_fingerprint


@vtune.hookimpl
def features_fingerprint(base: IndexTTS2Base) -> dict[str, str]:
    return base.features_fingerprint


@vtune.hookimpl
def prepare_sample(base: IndexTTS2Base, clip: vtune.Clip) -> vtune.Features:
    from vtune_indextts2.training_rows import prepare

    return prepare(base, clip)


@vtune.hookimpl
def collate(base: IndexTTS2Base, features: Sequence[vtune.Features]) -> vtune.Batch:
    from vtune_indextts2.training_rows import collate

    return collate(base, features)


@vtune.hookimpl
def build_lora_model(base: IndexTTS2Base, lora: vtune.LoraSettings) -> nn.Module:
    base.warn_of_untrained_rows(lora)
    model: nn.Module = vtune.attach_lora(base.new_network(), lora, engine_info().lora_targets)
    return model


@vtune.hookimpl
def extract_conditioning(base: IndexTTS2Base, clips: Sequence[vtune.Clip]) -> vtune.Conditioning:
    from vtune_indextts2.conditioning import extract

    return extract(base, clips)


@vtune.hookimpl
def import_voice(base: IndexTTS2Base, source: VoiceToImport) -> ImportedVoice:
    from vtune_indextts2.interchange.importer import import_voice

    return import_voice(base, source)


@vtune.hookimpl
def mix_conditioning(parts: Sequence[vtune.Conditioning], weights: Sequence[float]) -> vtune.Conditioning:
    from vtune_indextts2.mixing import mix

    return mix(parts, weights)


@vtune.hookimpl
def synthesize(
    base: IndexTTS2Base,
    model: nn.Module,
    text: str,
    conditioning: vtune.Conditioning,
    seed: int,
    sampling: Mapping[str, Any],
) -> Iterator[vtune.Audio]:
    from vtune_indextts2.speech import speak

    return speak(base, model, text, conditioning, seed, sampling)


@vtune.hookimpl
def footprint(
    options: IndexTTS2Options, lora: vtune.LoraSettings, dtype_bytes: int, product_bytes: int
) -> vtune.Footprint:
    from vtune_indextts2.memory_footprint import estimate

    return estimate(options, lora, dtype_bytes, engine_info().lora_targets, product_bytes)


@vtune.hookimpl
def save_merged(base: IndexTTS2Base, network: nn.Module, directory: Path) -> list[Path]:
    from vtune_indextts2.merged_checkpoint import save

    return save(base, network, directory)


@vtune.hookimpl
def export_targets() -> list[ExportTarget]:
    from vtune_indextts2.interchange.export_target import indextts_target

    return [indextts_target()]


@vtune.hookimpl
def measure_network(
    base: IndexTTS2Base, model: nn.Module, text: str, conditioning: vtune.Conditioning, seed: int
) -> dict[str, float]:
    from vtune_indextts2.emotion_probe import response

    return response(base, model, text, conditioning, seed)


@vtune.hookimpl
def metrics() -> dict[str, MetricMaker]:
    from vtune_indextts2.emotion_probe import EmotionResponse

    return {"emotion": EmotionResponse}
