from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import vtune
import vtune_hibari
from vtune.contract.exports import VoiceToExport
from vtune.export.targets.merged import merged_network
from vtune.voice_format.record import VoiceRecord
from vtune_hibari.base import HibariBase
from vtune_hibari.options import HibariOptions
from vtune_hibari.text.symbols import encode_symbols

SENTENCES = ["həlˈO wˈɜɹld.", "ðə kwˈɪk bɹˈWn fˈɑks ʤˈʌmps ˌOvəɹ ðə lˈAzi dˈɔɡ."]


def record(**changes: Any) -> VoiceRecord:
    facts = {
        "name": "anna", "engine": "hibari", "engine_origin": "vtune-tts", "engine_options": {"base_model": "base"},
        "method": "lora", "sample_rate": 24_000, "fingerprint": {"base": "0"}, "lora": {}, "training": {},
        "ledger": {}, "consent": {"person": "Anna Example", "statement": "She agreed in writing."},
        "licence": "The licence of the test.", "vtune": "0", "created": "2026-01-01",
    }  # fmt: skip
    return VoiceRecord.model_validate({**facts, **changes})


@pytest.fixture
def open_voice_of() -> Callable[..., VoiceToExport]:
    """Return a maker of voices whose adapter changes every matrix by a few percent."""

    def make(base_model: Path | str, **options: Any) -> VoiceToExport:
        base = HibariBase(HibariOptions.model_validate({"base_model": str(base_model), **options}), torch.device("cpu"))
        lora = vtune.LoraSettings(rank=2, alpha=4, targets=("all",))
        model = vtune_hibari.build_lora_model(base, lora).eval()
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_" in name:
                    parameter.copy_(0.02 * torch.randn(parameter.shape, generator=generator))

        def batch(symbols: str) -> vtune.Batch:
            ids = encode_symbols(symbols)
            return {"input_ids": torch.tensor([ids]), "text_lengths": torch.tensor([len(ids)])}

        return VoiceToExport(
            record(), base, model, lambda: merged_network(copy.deepcopy(model)), vtune.Conditioning(), base.options,
            SENTENCES, [batch(symbols) for symbols in SENTENCES],
            lambda text, seed: vtune_hibari.synthesize(base, model, text, seed, {}), torch.device("cpu"), "fp32",
        )  # fmt: skip

    return make
