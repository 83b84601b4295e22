from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vtune
import vtune_vits
from vtune.contract.exports import VoiceToExport
from vtune.export.targets.merged import merged_network
from vtune.voice_format.record import VoiceRecord
from vtune_vits.base import VitsBase
from vtune_vits.options import VitsOptions

SENTENCES = {
    "espeak": ["həlˈoʊ wˈɜːld", "a"],
    "characters": ["hello world", "it's a long-lost day"],
    "uroman": ["annyeong"],
}
"""What the text encoder reads, by the kind of its symbols."""


def record(**changes: Any) -> VoiceRecord:
    facts = {
        "name": "anna", "engine": "vits", "engine_origin": "vtune-tts", "engine_options": {"base_model": "base"},
        "method": "lora", "sample_rate": 22_050, "fingerprint": {"base": "0"}, "lora": {}, "training": {},
        "ledger": {}, "consent": {"person": "Anna Example", "statement": "She agreed in writing."},
        "licence": "The licence of the test.", "vtune": "0", "created": "2026-01-01",
    }  # fmt: skip
    return VoiceRecord.model_validate({**facts, **changes})


@pytest.fixture
def open_voice_of() -> Callable[..., VoiceToExport]:
    """Return a maker of voices whose adapter changes every layer of the flow and the vocoder."""

    def make(base_model: Path, **options: Any) -> VoiceToExport:
        base = VitsBase(VitsOptions.model_validate({"base_model": str(base_model), **options}), torch.device("cpu"))
        lora = vtune.LoraSettings(rank=2, alpha=4, targets=("all",))
        model = vtune_vits.build_lora_model(base, lora).eval()
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_" in name:
                    parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
        sentences = SENTENCES[base.text.kind]
        clips = [vtune.Clip("1", "anna", text, np.zeros(22_050, np.float32), 22_050) for text in sentences]
        rows = [{**vtune_vits.prepare_sample(base, clip), "lot": np.float64(0.5)} for clip in clips]
        conditioning = vtune_vits.extract_conditioning(base, clips)

        def merge() -> Any:
            return merged_network(copy.deepcopy(model))

        def speak(text: str, seed: int) -> Any:
            return vtune_vits.synthesize(base, model, text, conditioning, seed, {})

        return VoiceToExport(
            record(), base, model, merge, conditioning, base.options, sentences,
            [vtune_vits.collate(base, [row]) for row in rows], speak, torch.device("cpu"), "fp32",
        )  # fmt: skip

    return make
