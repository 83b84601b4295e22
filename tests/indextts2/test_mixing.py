"""Mixes of IndexTTS2 voices: speakers are averaged, the reference's sound is one speaker's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vtune import Conditioning, VoiceError
from vtune.export.mixed_voice import write_mixed_voice
from vtune.runtime.paths import VoiceFolder
from vtune.voices.mixing import open_named
from vtune.voices.speech import open_voice
from vtune_indextts2.mixing import mix

SOUND = ("ref_mel", "prompt_condition", "spk_cond_emb", "emo_cond_emb", "ref_codes")
TABLE = ("codebook", "codebook_weight", "codebook_bias")


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory, make_voice: Callable[..., VoiceFolder], tiny: Path) -> Path:
    """Write two voices of one length, whose frames could be averaged, and one longer voice."""
    folder = tmp_path_factory.mktemp("made") / "voices"
    options = {"base_model": str(tiny), "normaliser": "basic", "max_codes": 20, "flow_steps": 2}
    for seed, (name, seconds) in enumerate((("anna", 1.0), ("ben", 1.0), ("cara", 1.5)), 1):
        lora = {"rank": 4 + seed, "alpha": 8}
        make_voice(folder / name, "indextts2", seed=seed, seconds=seconds, lora=lora, engine_options=options)
    return folder


def kept(voices: Path, name: str) -> Conditioning:
    return open_voice(VoiceFolder(voices / name)).conditioning


@pytest.mark.parametrize("other", ["ben", "cara"])
def test_speakers_are_averaged_and_sound_is_the_heaviests(voices: Path, other: str) -> None:
    anna, second = kept(voices, "anna"), kept(voices, other)
    assert (anna.tensors["ref_mel"].shape == second.tensors["ref_mel"].shape) == (other == "ben")
    voice = open_named(f"0.6*anna+0.2*{other}", voices)
    mixed = voice.conditioning
    assert mixed.tensors.keys() == anna.tensors.keys()
    for name in ("style", "condition", "emotion"):
        assert not np.allclose(anna.tensors[name], second.tensors[name])
        mean = 0.75 * anna.tensors[name] + 0.25 * second.tensors[name]
        np.testing.assert_allclose(mixed.tensors[name], mean, rtol=1e-5, atol=1e-6)
        assert mixed.tensors[name].dtype == np.float32
    for name in (*SOUND, *TABLE):
        assert np.array_equal(mixed.tensors[name], anna.tensors[name]), name
    assert dict(mixed.strings) == dict(anna.strings)
    assert sum(len(piece.waveform) for piece in voice.stream("hello there"))


def test_the_gpt_changes_by_the_weighted_sum(voices: Path) -> None:
    """The layers of GPT-2 store their weights transposed."""
    mix = open_named("0.6*anna+0.2*cara", voices)
    base = dict(mix.base.new_network().named_parameters())
    expected = {}
    for name, weight, scale in (("anna", 0.6, 8 / 5), ("cara", 0.2, 8 / 7)):
        tensors = load_file(voices / name / "adapter_model.safetensors")
        for key in tensors:
            if "lora_A" in key:
                weight_name = key.removeprefix("base_model.model.").replace("lora_A.", "")
                change = weight * scale * (tensors[key.replace("lora_A", "lora_B")] @ tensors[key]).T
                expected[weight_name] = expected.get(weight_name, base[weight_name]) + change
    assert len(expected) == 2 * 4
    merged = dict(mix.model.merge_and_unload().named_parameters())
    for name, weight in expected.items():
        torch.testing.assert_close(merged[name], weight, rtol=1e-4, atol=1e-5)


def test_a_mix_is_written_with_what_goes_with_it(voices: Path, tmp_path: Path) -> None:
    write_mixed_voice(f"0.5*'{voices}/anna'+0.5*'{voices}/cara'", "both", tmp_path)
    assert (tmp_path / "both" / "LICENCE-NOTE.md").is_file()
    voice, mix = open_voice(VoiceFolder(tmp_path / "both")), open_named("0.5*anna+0.5*cara", voices)
    alone, other = (np.concatenate([p.waveform for p in it.stream("hello", seed=1)]) for it in (voice, mix))
    assert np.array_equal(alone, other)


def test_a_voice_that_lacks_a_tensor_is_told(voices: Path) -> None:
    anna, ben = kept(voices, "anna"), kept(voices, "ben")
    less = Conditioning({name: array for name, array in ben.tensors.items() if name != "style"}, ben.strings)
    with pytest.raises(VoiceError, match=r"no 'style' in its conditioning.safetensors; make the voice again"):
        mix([anna, less], [0.5, 0.5])
