"""VITS and Piper as a vtune engine: a text encoder, a flow and a vocoder in one network, tuned with LoRA or whole.

22,050 Hz; the sound of bases with another rate is resampled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vtune
from vtune_vits.options import VitsOptions

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vtune.contract.exports import ExportTarget
    from vtune_vits.base import VitsBase

FLOW = (r"flow\.flows\.\d+\.(conv_pre|conv_post|wavenet\.(in_layers|res_skip_layers)\.\d+)",)
VOCODER = (r"decoder\.(conv_pre|conv_post|resblocks\.\d+\.convs\d?\.\d+|\w+\.(conv_pre|head|blocks\.\d+\.(up|down)))",)
TEXT_ENCODER = (
    r"text_encoder\.encoder\.layers\.\d+\.(attention\.(k_proj|v_proj|q_proj|out_proj)|feed_forward\.conv_[12])",
    r"text_encoder\.project",
)
DURATIONS = (r"duration_predictor\.(?!post_).*(conv_pre|conv_proj|conv_[12]|proj|convs_pointwise\.\d+)",)
SPEAKER = (r".*(cond|cond_layer)", r"embed_speaker")


@vtune.hookimpl
def engine_info() -> vtune.EngineInfo:
    return vtune.EngineInfo(
        sample_rate=22_050,
        features_version="1",
        options=VitsOptions,
        lora=vtune.LoraSettings(rank=32, alpha=64, targets=("sound",)),
        lora_targets={
            "sound": (*FLOW, *VOCODER),
            "flow": FLOW,
            "vocoder": VOCODER,
            "text": TEXT_ENCODER,
            "durations": DURATIONS,
            "all": (*FLOW, *VOCODER, *TEXT_ENCODER, *DURATIONS),
        },
        length_feature="samples",
        supports=frozenset({"text", "streaming", "mixing", "merging", "full"}),
        licence=(
            "A voice carries the licence of its base and of the recordings. Weights of MMS-TTS are CC-BY-NC-4.0, so "
            "voices from them must not be used commercially; read the MODEL_CARD of a Piper voice before you pass a "
            "voice from it on."
        ),
        licence_name="see-the-base",
    )


@vtune.hookimpl
def load_base(options: VitsOptions, device: torch.device) -> VitsBase:
    from vtune_vits.base import VitsBase

    return VitsBase(options, device)


@vtune.hookimpl
def base_licence(base: VitsBase) -> vtune.Licence | None:
    info, named = engine_info(), base.files.licence
    if not named:
        return None
    return vtune.Licence(
        f"The files of this voice's base, {base.files.source}, name this licence: {named}. {info.licence}",
        licence_name=info.licence_name,
    )


@vtune.hookimpl
def fingerprint(base: VitsBase) -> dict[str, str]:
    return base.fingerprint()


@vtune.hookimpl
def prepare_text(base: VitsBase, text: str, options: Mapping[str, Any]) -> str:
    from vtune_vits.text.frontend import prepare

    return prepare(text, base.text, options["language"], options["lexicon"])


@vtune.hookimpl
def prepare_sample(base: VitsBase, clip: vtune.Clip) -> vtune.Features:
    from vtune_vits.rows import prepare

    return prepare(base, clip)


@vtune.hookimpl
def collate(base: VitsBase, features: Sequence[vtune.Features]) -> vtune.Batch:
    from vtune_vits import rows

    return rows.collate(base, features)


@vtune.hookimpl
def build_lora_model(base: VitsBase, lora: vtune.LoraSettings) -> nn.Module:
    model: nn.Module = vtune.attach_lora(base.new_network(), lora, engine_info().lora_targets)
    return model


@vtune.hookimpl
def training_parts(base: VitsBase, model: nn.Module) -> dict[str, vtune.TrainingPart]:
    from vtune_vits.training import step

    return step.training_parts(base, model)


@vtune.hookimpl
def optimizers(parts: Mapping[str, nn.Module], learning_rates: Mapping[str, float]) -> dict[str, torch.optim.Optimizer]:
    from vtune_vits.training import step

    return step.optimizers(parts, learning_rates)


@vtune.hookimpl
def training_step(
    base: VitsBase, model: nn.Module, batch: vtune.Batch, step: vtune.TrainingStep
) -> dict[str, torch.Tensor]:
    from vtune_vits.training.step import loss_weights, training_step

    return training_step(model, batch, step, loss_weights(base.options))


@vtune.hookimpl
def extract_conditioning(base: VitsBase, clips: Sequence[vtune.Clip]) -> vtune.Conditioning:
    return vtune.Conditioning(strings={"speaker": str(base.speaker_number(clips[0].voice))})


@vtune.hookimpl
def synthesize(
    base: VitsBase,
    model: nn.Module,
    text: str,
    conditioning: vtune.Conditioning,
    seed: int,
    sampling: Mapping[str, Any],
) -> Iterator[vtune.Audio]:
    from vtune_vits.speech import speak

    return speak(base, model, text, conditioning, seed, sampling)


@vtune.hookimpl
def synthesize_together(
    base: VitsBase,
    model: nn.Module,
    lines: Sequence[tuple[str, int]],
    conditioning: vtune.Conditioning,
    sampling: Mapping[str, Any],
) -> Iterator[tuple[int, list[vtune.Audio]]]:
    from vtune_vits.speech import speak_together

    return speak_together(base, model, lines, conditioning, sampling)


@vtune.hookimpl
def save_merged(base: VitsBase, network: nn.Module, directory: Path) -> list[Path]:
    from vtune_vits.merged import save

    return save(base.files, network, directory)


@vtune.hookimpl
def export_targets() -> list[ExportTarget]:
    from vtune_vits.export.piper import piper_targets

    return piper_targets()


@vtune.hookimpl
def footprint(options: VitsOptions, lora: vtune.LoraSettings) -> vtune.Footprint:
    from vtune_vits.memory_footprint import estimate

    return estimate(options, lora, engine_info().lora_targets)
