"""Orpheus as a vtune engine: a Llama that generates SNAC tokens, tuned with LoRA, 24 kHz."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vtune
from vtune_orpheus.options import OrpheusOptions

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vtune_orpheus.base import OrpheusBase

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")


@vtune.hookimpl
def engine_info() -> vtune.EngineInfo:
    return vtune.EngineInfo(
        sample_rate=24_000,
        features_version="1",
        options=OrpheusOptions,
        streaming_defaults={"first_frames": 2},
        lora=vtune.LoraSettings(rank=32, alpha=64),
        lora_targets={"all": (*ATTENTION, *MLP), "attention": ATTENTION, "mlp": MLP},
        length_feature="input_ids",
        licence_id="llama3.2",
        licence=(
            "Orpheus's weights derive from Llama 3.2: the Llama 3.2 Community License binds you and whoever you give "
            "the voice to (its notice, 'Built with Llama', the acceptable use policy). SNAC is MIT."
        ),
    )


@vtune.hookimpl
def load_base(options: OrpheusOptions, device: torch.device, dtype: torch.dtype) -> OrpheusBase:
    from vtune_orpheus.base import OrpheusBase

    return OrpheusBase(options, device, dtype)


@vtune.hookimpl
def base_licence(base: OrpheusBase) -> vtune.Licence | None:
    from vtune_orpheus.checkpoints import NANO_LICENCE, is_nano

    return NANO_LICENCE if is_nano(base.checkpoint) else None


@vtune.hookimpl
def fingerprint(base: OrpheusBase) -> dict[str, str]:
    return base.fingerprint()


@vtune.hookimpl
def prepare_sample(base: OrpheusBase, clip: vtune.Clip) -> vtune.Features:
    from vtune_orpheus.training_rows import prepare

    return prepare(base, clip)


@vtune.hookimpl
def collate(base: OrpheusBase, features: Sequence[vtune.Features]) -> vtune.Batch:
    from vtune_orpheus import training_rows

    return training_rows.collate(base, features)


@vtune.hookimpl
def build_lora_model(base: OrpheusBase, lora: vtune.LoraSettings) -> nn.Module:
    model: nn.Module = vtune.attach_lora(base.new_network(), lora, engine_info().lora_targets, task_type="CAUSAL_LM")
    return model


@vtune.hookimpl
def extract_conditioning(base: OrpheusBase, clips: Sequence[vtune.Clip]) -> vtune.Conditioning:
    from vtune_orpheus.conditioning import extract

    return extract(base, clips)


@vtune.hookimpl
def synthesize(
    base: OrpheusBase,
    model: nn.Module,
    text: str,
    conditioning: vtune.Conditioning,
    seed: int,
    sampling: Mapping[str, Any],
) -> Iterator[vtune.Audio]:
    from vtune_orpheus.decode_batch import sample_from_network
    from vtune_orpheus.speech import speak

    return speak(base, partial(sample_from_network, model, base.layout), text, conditioning, seed, sampling)


@vtune.hookimpl
def synthesize_together(
    base: OrpheusBase,
    model: nn.Module,
    lines: Sequence[tuple[str, int]],
    conditioning: vtune.Conditioning,
    sampling: Mapping[str, Any],
) -> Iterator[tuple[int, list[vtune.Audio]]]:
    from vtune_orpheus.speech import speak_together

    return speak_together(base, model, lines, conditioning, sampling)


@vtune.hookimpl
def synthesize_from_sampler(
    base: OrpheusBase,
    sampler: vtune.TokenSampler,
    text: str,
    conditioning: vtune.Conditioning,
    seed: int,
    sampling: Mapping[str, Any],
) -> Iterator[vtune.Audio]:
    from vtune_orpheus.server_sampler import sample_from_server
    from vtune_orpheus.speech import speak

    return speak(base, partial(sample_from_server, sampler, base.layout), text, conditioning, seed, sampling)


@vtune.hookimpl
def footprint(
    options: OrpheusOptions, lora: vtune.LoraSettings, dtype_bytes: int, product_bytes: int
) -> vtune.Footprint:
    from vtune_orpheus.memory_footprint import estimate

    return estimate(options, lora, dtype_bytes, engine_info().lora_targets, product_bytes)


@vtune.hookimpl
def save_merged(base: OrpheusBase, network: nn.Module, directory: Path) -> list[Path]:
    return base.save(network, directory)
