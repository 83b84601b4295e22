"""acoustic-engine: characters to a mel spectrogram by durations and flow matching, 8 kHz.

Each function here is a hook of vtune's contract; the modules beside this one do the work. They are imported inside the
hooks, because ``engine_info`` must answer at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vtune

from acoustic_engine.options import AcousticOptions

if TYPE_CHECKING:
    import torch
    from torch import nn

    from acoustic_engine.base import AcousticBase

FLOW = ("around", "mix", "mel", "time", "estimate")


@vtune.hookimpl
def engine_info() -> vtune.EngineInfo:
    return vtune.EngineInfo(
        sample_rate=8000,
        features_version="1",  # raise it when `prepare_sample` returns other arrays for the same clip
        options=AcousticOptions,
        lora=vtune.LoraSettings(rank=16, alpha=32),
        lora_targets={"all": (*FLOW, "duration"), "flow": FLOW},
        length_feature="mel",
        supports=frozenset({"text", "mixing", "merging", "full"}),  # a sentence is computed at once: no streaming
        recipes=Path(__file__).parent / "recipes",
        licence="The weights of this engine are random numbers: nobody's rights are in them.",
    )


@vtune.hookimpl
def load_base(options: AcousticOptions, device: torch.device, dtype: torch.dtype) -> AcousticBase:
    from acoustic_engine.base import AcousticBase

    return AcousticBase(options, device, dtype)


@vtune.hookimpl
def fingerprint(base: AcousticBase) -> dict[str, str]:
    return base.fingerprint()


@vtune.hookimpl
def prepare_text(text: str, options: Mapping[str, Any]) -> str:
    from acoustic_engine.text import normalise

    return normalise(text, options["digits"] == "spell")


@vtune.hookimpl
def prepare_sample(base: AcousticBase, clip: vtune.Clip) -> vtune.Features:
    from acoustic_engine.rows import prepare

    return prepare(clip, base.options.max_frames)


@vtune.hookimpl
def collate(features: Sequence[vtune.Features]) -> vtune.Batch:
    from acoustic_engine import rows

    return rows.collate(features)


@vtune.hookimpl
def build_lora_model(base: AcousticBase, lora: vtune.LoraSettings) -> nn.Module:
    model: nn.Module = vtune.attach_lora(base.new_network(), lora, engine_info().lora_targets)
    return model


@vtune.hookimpl
def extract_conditioning(clips: Sequence[vtune.Clip]) -> vtune.Conditioning:
    from acoustic_engine.rows import rms

    return vtune.Conditioning(strings={"rms": str(rms(clips))})


@vtune.hookimpl
def synthesize(
    base: AcousticBase,
    model: nn.Module,
    text: str,
    conditioning: vtune.Conditioning,
    seed: int,
    sampling: Mapping[str, Any],
) -> Iterator[vtune.Audio]:
    from acoustic_engine.speech import SpeakingStyle, speak

    style = SpeakingStyle(
        rms=conditioning.number("rms", highest=1),
        flow_steps=sampling.get("flow_steps", base.options.flow_steps),
        pace=sampling.get("pace", base.options.pace),
    )
    return speak(model, text, style, seed)
