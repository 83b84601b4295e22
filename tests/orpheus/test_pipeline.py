"""Orpheus in the real pipeline: recordings become a voice that is loaded again, merged, and spoken with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM

from vtune import load_recipe, pipeline
from vtune.errors import RecipeError
from vtune.export.merge import merge_voice
from vtune.voice_format.record import read_record
from vtune.voices.speech import open_voice


@pytest.fixture
def run(tmp_path: Path, tiny: Path, speech: Callable[..., Path]) -> Callable[..., Any]:
    folder = speech(count=6, rate=16_000)

    def make(**sections: Any) -> Any:
        recipe = {
            "voice": "someone",
            "engine": "orpheus",
            "engine_options": {"base_model": str(tiny), "max_new_tokens": 35, **sections.pop("engine_options", {})},
            "data": [{"source": str(folder)}],
            "folders": {"runs": str(tmp_path / "runs"), "voices": str(tmp_path / "voices")},
            "lora": {"rank": 8, "alpha": 16, **sections.pop("lora", {})},
            "train": {
                "epochs": 2, "batch_size": 3, "learning_rate": 1e-2, "validation": 0, "log_every": 1,
                **sections.pop("train", {}),
            },
            "evaluate": {"sentences": ["hello there"], "metrics": ["delivery"]},
            **sections,
        }  # fmt: skip
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe))
        (voice,) = pipeline.run(load_recipe(path))
        return voice

    return make


def test_a_voice_samples_as_whoever_opens_it_says(run: Callable[..., Any]) -> None:
    folder = run()
    trained, greedy = open_voice(folder), open_voice(folder, options={"temperature": 0})
    short = open_voice(folder, options={"max_new_tokens": 7, "temperature": 0})
    cold = spoken_samples(trained, "hello", seed=1, sampling={"temperature": 0})
    assert np.array_equal(cold, spoken_samples(greedy, "hello", seed=1))
    assert not np.array_equal(cold, spoken_samples(trained, "hello", seed=1))
    assert len(spoken_samples(short, "hello")) < len(cold)


def test_a_loss_among_sound_learns_and_logs_what_the_base_leaves_outside(
    run: Callable[..., Any], tmp_path: Path, tiny: Path
) -> None:
    options = {"loss_among": "sound"}
    voice = run(engine_options=options, train={"epochs": 8, "batch_size": 6, "precision": "fp32"})
    (log,) = (tmp_path / "runs/someone/logs").glob("*/metrics.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[-1]["loss"] < lines[0]["loss"]
    # The adapter begins with nothing, so the first step is the base's: a table of random rows likes no token better.
    vocabulary = json.loads((tiny / "config.json").read_text())["vocab_size"]
    layout = open_voice(voice).base.layout
    assert lines[0]["non_sound_probability"] == pytest.approx(1 - (7 * layout.codebook + 1) / vocabulary, abs=0.05)
    assert spoken_samples(open_voice(voice), "hello there").any()
    assert merge_voice(voice, tmp_path / "merged") < 1e-3


def test_a_loss_among_sound_has_no_place_for_words(run: Callable[..., Any]) -> None:
    with pytest.raises(RecipeError, match="loss_among"):
        run(engine_options={"loss_among": "sound", "loss_on": "all"})


def spoken_samples(voice: Any, text: str, **settings: Any) -> np.ndarray:
    return np.concatenate([piece.waveform for piece in voice.stream(text, **settings)])


def test_a_voice_is_made_loaded_and_merged(run: Callable[..., Any], tmp_path: Path) -> None:
    folder = run()
    voice = open_voice(folder)
    assert np.array_equal(
        spoken_samples(voice, "hello there", seed=1), spoken_samples(open_voice(folder), "hello there", seed=1)
    )
    assert not np.array_equal(spoken_samples(voice, "hello there"), spoken_samples(voice, "hello there", untuned=True))
    assert merge_voice(folder, tmp_path / "merged") < 1e-3
    ids = torch.randint(0, 400, (1, 12))
    with torch.no_grad():
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")(input_ids=ids)["logits"]
        torch.testing.assert_close(merged, voice.model(input_ids=ids)["logits"], atol=1e-4, rtol=1e-3)


def test_gradient_checkpointing_trains_every_tensor_to_the_same_adapter(run: Callable[..., Any]) -> None:
    """The guard passes with it on, and the losses are those without it."""
    without = read_record(run()).training
    with_it = read_record(run(train={"gradient_checkpointing": True})).training
    assert with_it["key"] != without["key"]
    assert with_it["loss"] == pytest.approx(without["loss"], abs=1e-5)


def test_modules_to_save_make_a_voice_that_is_only_served_merged(run: Callable[..., Any]) -> None:
    assert read_record(run()).servable
    folder = run(lora={"modules_to_save": ["lm_head"], "targets": ["attention"]})
    assert not read_record(folder).servable
    assert "take this adapter merged only" in folder.card.read_text()
    assert open_voice(folder)


def test_full_fine_tuning_loads_again(run: Callable[..., Any]) -> None:
    folder = run(train={"method": "full"})
    assert not np.array_equal(
        spoken_samples(open_voice(folder), "hello"), spoken_samples(open_voice(folder, untuned=True), "hello")
    )


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_attention_that_was_asked_for_is_used(make_base: Any, attention: str) -> None:
    assert make_base(attn_implementation=attention).new_network().config._attn_implementation == attention


def test_augmented_copies_are_encoded_from_changed_sound(run: Callable[..., Any], tmp_path: Path) -> None:
    noisy = {"variants": 1, "transforms": [{"AddGaussianSNR": {"min_snr_db": 5, "max_snr_db": 6, "p": 1.0}}]}
    folder = run(augment=noisy)
    assert read_record(folder).training["clips"] == 12
    lines = [json.loads(line) for line in (tmp_path / "runs/someone/ledger.jsonl").read_text().splitlines()]
    assert [line["variants"] for line in lines] == [1] * 6
