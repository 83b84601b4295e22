"""A speaker's folder as the fork of index-tts leaves it, made by a stand-in for the fork's network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from indextts_fork import load_fork, train_fork_lora

from vtune.testing import made_clip
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.recording_features import extract_features, extract_flow_prompt


@pytest.fixture(scope="session")
def five_tensors(make_base: Callable[..., IndexTTS2Base]) -> dict[str, torch.Tensor]:
    """The five tensors of one recording, as ``speaker_embeddings.pt`` has them."""
    base = make_base()
    clip = made_clip(22_050, 2.0, 1)
    features = extract_features(base, clip.waveform, clip.sample_rate)
    prompt = extract_flow_prompt(base, clip.waveform, clip.sample_rate, features)
    return {
        "spk_cond_emb": features.features,
        "style": prompt.style,
        "prompt_condition": prompt.prompt_condition,
        "ref_mel": prompt.ref_mel,
        "emo_cond_emb": features.features.clone(),
    }


@pytest.fixture
def speaker_folder(tmp_path: Path, tiny: Path, five_tensors: dict[str, torch.Tensor]) -> Callable[..., Path]:
    """Write ``training/jane``; ``learns`` is the beginning of the names of the modules that learned something."""

    def make(learns: str = "gpt.", name: str = "jane") -> Path:
        folder = tmp_path / "training" / name
        train_fork_lora(load_fork(tiny), folder / "lora" / "final_checkpoint", learns=learns)
        (folder / "embeddings").mkdir()
        torch.save(five_tensors, folder / "embeddings" / "speaker_embeddings.pt")
        return folder

    return make
