"""Mixes of Orpheus voices: the sum of their adapters, and the prompt of the voice with the largest weight."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from vtune.export.merge import merge_voice
from vtune.export.mixed_voice import write_mixed_voice
from vtune.runtime.paths import VoiceFolder
from vtune.voices.mixing import open_named
from vtune.voices.speech import open_voice
from vtune_orpheus.conditioning import prompt_of
from vtune_orpheus.sampling import OrpheusSampling

SCALES = {"anna": 2.0, "ben": 0.5}
IDS = torch.arange(40, 60)[None]


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory, make_voice: Callable[..., VoiceFolder], tiny: Path) -> Path:
    folder = tmp_path_factory.mktemp("made") / "voices"
    options = {"base_model": str(tiny), "max_new_tokens": 35}
    make_voice(folder / "anna", "orpheus", seed=1, lora={"rank": 8, "alpha": 16}, engine_options=options)
    alone = {**options, "reference_clips": 1, "temperature": 0.9}
    lora = {"rank": 4, "alpha": 2, "targets": ["attention"]}
    make_voice(folder / "ben", "orpheus", seed=2, seconds=0.5, lora=lora, engine_options=alone)
    return folder


def spoken_samples(voice: Any, **settings: Any) -> np.ndarray:
    return np.concatenate([piece.waveform for piece in voice.stream("hello there", **settings)])


def by_hand(tiny: Path, voices: Path, weights: dict[str, float]) -> torch.Tensor:
    """Return the checkpoint's answer when every weight is changed by the weighted sum, without PEFT."""
    network = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    state = network.state_dict()
    for name, weight in weights.items():
        tensors = load_file(voices / name / "adapter_model.safetensors")
        downs = [key for key in tensors if "lora_A" in key]
        assert len(downs) == 2 * (7 if name == "anna" else 4)
        for key in downs:
            change = weight * SCALES[name] * tensors[key.replace("lora_A", "lora_B")] @ tensors[key]
            state[key.removeprefix("base_model.model.").replace("lora_A.", "")] += change
    with torch.no_grad():
        logits: torch.Tensor = network(input_ids=IDS)["logits"]
    return logits


def test_a_mix_answers_as_the_sum_of_its_adapters(voices: Path, tiny: Path) -> None:
    mix = open_named("0.7*anna+0.4*ben", voices)
    expected = by_hand(tiny, voices, {"anna": 0.7, "ben": 0.4})
    with torch.no_grad():
        torch.testing.assert_close(mix.model(input_ids=IDS)["logits"], expected, rtol=1e-3, atol=1e-4)
        assert (expected - by_hand(tiny, voices, {"anna": 0.7})).abs().max() > 0.01
    assert len(spoken_samples(mix, seed=1))


def test_a_mix_that_was_written_is_merged_like_any_voice(voices: Path, tiny: Path, tmp_path: Path) -> None:
    write_mixed_voice(f"0.7*'{voices}/anna'+0.4*'{voices}/ben'", "both", tmp_path)
    folder = VoiceFolder(tmp_path / "both")
    assert np.array_equal(
        spoken_samples(open_voice(folder), seed=1), spoken_samples(open_named("0.7*anna+0.4*ben", voices), seed=1)
    )
    assert merge_voice(folder, tmp_path / "merged") < 1e-3
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    with torch.no_grad():
        expected = by_hand(tiny, voices, {"anna": 0.7, "ben": 0.4})
        torch.testing.assert_close(merged(input_ids=IDS)["logits"], expected, rtol=1e-3, atol=1e-4)


def test_nothing_of_another_voice_draws_the_same_sound(voices: Path) -> None:
    alone, mix = open_voice(VoiceFolder(voices / "anna")), open_named("1.0*anna+0.0*ben", voices)
    with torch.no_grad():
        alone_logits, other = (voice.model(input_ids=IDS)["logits"] for voice in (alone, mix))
    torch.testing.assert_close(alone_logits, other, rtol=0, atol=1e-4)
    assert np.array_equal(spoken_samples(alone, seed=2), spoken_samples(mix, seed=2))


@pytest.mark.parametrize(
    ("text", "name", "references", "temperature"),
    [
        ("0.7*anna+0.3*ben", "anna", False, 0.6),
        ("0.3*anna+0.7*ben", "ben", True, 0.9),
        ("0.5*anna+0.5*ben", "anna", False, 0.6),
        ("0.5*ben+0.5*anna", "ben", True, 0.9),
    ],
)
def test_the_prompt_is_the_heaviest_voices(
    voices: Path, text: str, name: str, references: bool, temperature: float
) -> None:
    """The mix takes the name, the reference clips and the sampling of the voice with the largest weight, and no
    others.
    """
    mix = open_named(text, voices)
    own = open_voice(VoiceFolder(voices / name)).conditioning
    assert prompt_of(mix.base, mix.conditioning, "hello") == prompt_of(mix.base, own, "hello")
    assert f"{name}: hello" in mix.base.tokenizer.decode(prompt_of(mix.base, mix.conditioning, "hello"))
    assert ("reference_0" in mix.conditioning.tensors) == references
    assert OrpheusSampling.of(mix.base.options).temperature == temperature


def test_a_base_of_another_name_is_the_users_to_settle(
    voices: Path, tiny: Path, make_voice: Callable[..., VoiceFolder], tmp_path: Path
) -> None:
    """Orpheus identifies a network by its shape, so checkpoints that differ only in their weights have one
    fingerprint.
    """
    import shutil

    shutil.copytree(tiny, tmp_path / "moved")
    shutil.copytree(voices / "anna", tmp_path / "anna")
    make_voice(tmp_path / "cara", "orpheus", seed=3, engine_options={"base_model": str(tmp_path / "moved")})
    from vtune.errors import VoiceError

    with pytest.raises(VoiceError, match="if these are the same weights, say where they lie: --set base_model="):
        open_named("anna+cara", tmp_path)
    assert open_named("0.5*anna+0.5*cara", tmp_path, options={"base_model": str(tiny)})
