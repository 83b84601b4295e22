"""language-model-engine: characters to the codes of a codec by a causal language model, 8 kHz.

Each function here is a hook of vtune's contract; the modules beside this one do the work. They are imported inside the
hooks, because ``engine_info`` must answer at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vtune

from language_model_engine.options import LanguageModelOptions

if TYPE_CHECKING:
    import torch
    from torch import nn

    from language_model_engine.base import LanguageModelBase

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")


@vtune.hookimpl
def engine_info() -> vtune.EngineInfo:
    return vtune.EngineInfo(
        sample_rate=8000,
        features_version="1",  # raise it when `prepare_sample` returns other arrays for the same clip
        options=LanguageModelOptions,
        lora=vtune.LoraSettings(rank=16, alpha=32),
        lora_targets={"all": (*ATTENTION, *MLP), "attention": ATTENTION, "mlp": MLP},
        recipes=Path(__file__).parent / "recipes",
        licence="The weights of this engine are random numbers: nobody's rights are in them.",
    )


@vtune.hookimpl
def load_base(options: LanguageModelOptions, device: torch.device, dtype: torch.dtype) -> LanguageModelBase:
    from language_model_engine.base import LanguageModelBase

    return LanguageModelBase(options, device, dtype)


@vtune.hookimpl
def fingerprint(base: LanguageModelBase) -> dict[str, str]:
    return base.fingerprint()


@vtune.hookimpl
def prepare_sample(base: LanguageModelBase, clip: vtune.Clip) -> vtune.Features:
    from language_model_engine.rows import prepare

    return prepare(clip, base.options.max_tokens)


@vtune.hookimpl
def collate(features: Sequence[vtune.Features]) -> vtune.Batch:
    from language_model_engine import rows

    return rows.collate(features)


@vtune.hookimpl
def build_lora_model(base: LanguageModelBase, lora: vtune.LoraSettings) -> nn.Module:
    model: nn.Module = vtune.attach_lora(base.new_network(), lora, engine_info().lora_targets, task_type="CAUSAL_LM")
    return model


@vtune.hookimpl
def extract_conditioning(base: LanguageModelBase, clips: Sequence[vtune.Clip]) -> vtune.Conditioning:
    pace = sum(clip.seconds for clip in clips) / sum(len(clip.text) for clip in clips)
    return vtune.Conditioning(strings={"seconds_per_character": str(base.options.patience * pace)})


@vtune.hookimpl
def synthesize(
    base: LanguageModelBase,
    model: nn.Module,
    text: str,
    conditioning: vtune.Conditioning,
    seed: int,
    sampling: Mapping[str, Any],
) -> Iterator[vtune.Audio]:
    from language_model_engine.speech import speak

    seconds_per_character = conditioning.number("seconds_per_character", highest=100)
    temperature = sampling.get("temperature", base.options.temperature)
    return speak(model, text, seconds_per_character, temperature, seed)
