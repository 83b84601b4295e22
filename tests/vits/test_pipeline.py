"""VITS through the real pipeline: recordings to a voice that speaks, is merged, mixed, scored and served."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from anyio.from_thread import start_blocking_portal
from safetensors import safe_open
from transformers import VitsModel

from vtune import load_recipe, pipeline
from vtune.errors import VtuneError
from vtune.export.merge import merge_voice
from vtune.plan import make_plan
from vtune.runtime.paths import VoiceFolder
from vtune.serve import ServeSettings, SynthesisRequest, VoiceRegistry
from vtune.serve.inprocess import InProcessBackend
from vtune.voice_format.record import read_record
from vtune.voices.mixing import open_named
from vtune.voices.speech import open_voice

TEXT = "hello there. and one more sentence, of the house"
LEXICON = {str(digit): word for digit, word in enumerate(("no", "one", "two", "three", "four", "five"))}


@pytest.fixture
def recipe(tmp_path: Path, letters: Path, speech: Callable[..., Path]) -> Callable[..., Any]:
    folder = speech(count=5, rate=16_000)

    def make(**sections: Any) -> Any:
        options = {"base_model": str(letters), "lexicon": LEXICON, "discriminator_narrowing": 16}
        content = {
            "voice": "someone",
            "engine": "vits",
            "engine_options": {**options, **sections.pop("engine_options", {})},
            "data": [{"source": str(folder)}],
            "folders": {"runs": str(tmp_path / "runs"), "voices": str(tmp_path / "voices")},
            "lora": {"rank": 4, "alpha": 8, **sections.pop("lora", {})},
            "train": {
                "epochs": 1,
                "batch_size": 3,
                "learning_rate": 1e-2,
                "validation": 0,
                **sections.pop("train", {}),
            },
            "evaluate": {
                "sentences": ["hello there"],
                "clips": 0,
                "metrics": ["delivery"],
                **sections.pop("evaluate", {}),
            },
            **sections,
        }
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(content))
        return load_recipe(path)

    return make


@pytest.fixture
def run(recipe: Callable[..., Any]) -> Callable[..., VoiceFolder]:
    def make(**sections: Any) -> VoiceFolder:
        (voice,) = pipeline.run(recipe(**sections))
        return voice

    return make


def spoken(voice: Any, text: str = TEXT, **settings: Any) -> np.ndarray:
    return np.concatenate([piece.waveform for piece in voice.stream(text, **settings)])


def test_a_voice_is_made_opened_and_merged_into_a_base_of_transformers(
    run: Callable[..., VoiceFolder], tmp_path: Path
) -> None:
    folder = run()
    voice = open_voice(folder)
    assert np.array_equal(spoken(voice, seed=1), spoken(open_voice(folder), seed=1))
    assert not np.array_equal(spoken(voice), spoken(voice, untuned=True))
    assert merge_voice(folder, tmp_path / "merged") < 1e-3

    model = VitsModel.from_pretrained(tmp_path / "merged").eval()
    network = open_voice(folder).model
    ids = torch.arange(1, 20)[None]
    with torch.no_grad():
        latents = torch.randn(1, 8, 30)
        mask = torch.ones(1, 1, 30)
        expected = model.decoder(model.flow(latents, mask, None, reverse=True))[:, 0]
        sound = network.decode(network.from_prior(latents, mask[:, 0].bool(), None), None)
        torch.testing.assert_close(sound, expected, atol=1e-4, rtol=1e-3)
        reading = model.text_encoder(ids, torch.ones(1, 19, 1), attention_mask=torch.ones(1, 19))
        means = network.read(ids, torch.ones(1, 19, dtype=torch.bool)).means
        torch.testing.assert_close(means, reading.prior_means.transpose(1, 2), atol=1e-4, rtol=1e-3)


def test_a_merged_voice_is_a_base_again(run: Callable[..., VoiceFolder], tmp_path: Path) -> None:
    first = run()
    merge_voice(first, tmp_path / "merged")
    before = spoken(open_voice(first), seed=2)

    second = run(voice="second", engine_options={"base_model": str(tmp_path / "merged")})

    untuned = spoken(open_voice(second), seed=2, untuned=True)
    assert np.allclose(untuned, before, atol=1e-3)


def test_a_fully_tuned_voice_has_all_that_it_needs(run: Callable[..., VoiceFolder], tmp_path: Path) -> None:
    folder = run(train={"method": "full", "learning_rate": 1e-3})
    tuned, base = open_voice(folder), open_voice(folder, untuned=True)
    assert not np.array_equal(spoken(tuned), spoken(base))
    assert read_record(folder).method == "full"
    between = open_named("0.7*someone", tmp_path / "voices").model.state_dict()["decoder.conv_pre.weight"]
    ends = [voice.model.state_dict()["decoder.conv_pre.weight"] for voice in (base, tuned)]
    torch.testing.assert_close(between, torch.lerp(*ends, 0.7))
    assert not torch.equal(*ends)


FILTERED = {"vocoder": "source_filter", "vocoder_steps": 2}


def test_a_voice_of_source_and_filters_is_made_opened_and_turned_down(
    run: Callable[..., VoiceFolder], tmp_path: Path
) -> None:
    folder = run(train={"method": "full", "learning_rate": 1e-3}, engine_options=FILTERED)
    tuned, base = open_voice(folder), open_voice(folder, untuned=True)
    sound = spoken(tuned, seed=1)
    assert np.array_equal(sound, spoken(open_voice(folder), seed=1))
    assert not np.array_equal(sound, spoken(base, seed=1))
    weight = "decoder.gains.head.weight"
    between = open_named("0.7*someone", tmp_path / "voices").model.state_dict()[weight]
    torch.testing.assert_close(
        between, torch.lerp(base.model.state_dict()[weight], tuned.model.state_dict()[weight], 0.7)
    )
    (metrics,) = (tmp_path / "runs/someone/logs").glob("*/metrics.jsonl")
    line = json.loads(metrics.read_text().splitlines()[0])
    assert {"kl", "mel", "pitch", "stft"} <= line.keys()
    assert "adversarial" not in line
    with pytest.raises(VtuneError, match=r"cannot be written as a base.*vtune export --to piper"):
        merge_voice(folder, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_an_adapter_learns_for_source_and_filters_too(run: Callable[..., VoiceFolder]) -> None:
    folder = run(engine_options={**FILTERED, "discriminators": "spectrogram"})
    assert not np.array_equal(spoken(open_voice(folder)), spoken(open_voice(folder), untuned=True))
    with safe_open(folder.path / "adapter_model.safetensors", "pt") as file:
        names = set(file.keys())
    assert any(".decoder.gains.blocks" in name for name in names)


def test_the_voice_holds_the_adapter_and_nothing_that_only_learns(run: Callable[..., VoiceFolder]) -> None:
    folder = run()
    with safe_open(folder.path / "adapter_model.safetensors", "pt") as file:
        names = set(file.keys())
    assert any(".flow." in name for name in names)
    assert any(".decoder." in name for name in names)
    assert not [name for name in names if "posterior" in name or "discriminator" in name or "text_encoder" in name]


def test_the_voice_keeps_its_lexicon(run: Callable[..., VoiceFolder], tmp_path: Path) -> None:
    lexicon = tmp_path / "words.yaml"
    lexicon.write_text(yaml.safe_dump({**LEXICON, "NVDA": "en vee dee ay"}))
    folder = run(engine_options={"lexicon": str(lexicon)})
    lexicon.unlink()

    voice = open_voice(folder)

    assert np.array_equal(spoken(voice, "ask NVDA"), spoken(voice, "ask en vee dee ay"))
    assert read_record(folder).engine_options["lexicon"]["NVDA"] == "en vee dee ay"


def test_clips_with_unknown_symbols_are_left_out_with_the_reason(
    run: Callable[..., VoiceFolder], tmp_path: Path
) -> None:
    run(engine_options={"lexicon": {str(digit): "one" for digit in range(3)}})
    lines = [json.loads(line) for line in (tmp_path / "runs/someone/ledger.jsonl").read_text().splitlines()]
    reasons = [line["reason"] for line in lines if line.get("reason")]
    unknown = [reason for reason in reasons if "the base has no symbol for" in reason]
    assert ["'3' (U+0033) in '3'" in unknown[0], "'4' (U+0034) in '4'" in unknown[1]] == [True, True]
    assert len(unknown) == 2


def test_a_base_of_one_speaker_takes_one_person_a_recipe(
    recipe: Callable[..., Any], speech: Callable[..., Path], tmp_path: Path
) -> None:
    sources = [{"source": str(speech(name, count=3, rate=16_000)), "voice": name} for name in ("anna", "ben")]
    with pytest.raises(VtuneError, match=r"voices 'anna' and 'ben' would be one voice: .*one recipe for each voice"):
        pipeline.run(recipe(voice="cast", data=sources))
    assert not (tmp_path / "voices").exists()


def test_a_voice_is_scored_on_held_out_clips(run: Callable[..., VoiceFolder]) -> None:
    folder = run(evaluate={"clips": 2, "metrics": None}, train={"validation": 0.4})  # all that are installed
    scores = json.loads(folder.scores.read_text())
    means = {score["spec"]["name"]: score["means"] for score in scores["scores"]}
    # The adapter changes who speaks; text encoder and durations are the base's.
    assert means["duration_ratio"]["voice"] == pytest.approx(means["duration_ratio"]["base"])
    assert means["speech_level_dbfs"]["voice"] != means["speech_level_dbfs"]["base"]
    assert "stop_rate" not in means  # planned lengths cannot fail to stop


def test_a_plan_counts_what_is_trained(recipe: Callable[..., Any]) -> None:
    planned = make_plan(recipe())
    assert planned.footprint is not None
    assert planned.footprint.tokens_per_second == 22_050


def test_a_voice_of_durations_and_text_is_trained_too(run: Callable[..., VoiceFolder]) -> None:
    folder = run(lora={"targets": ["text", "durations"]})
    assert not np.array_equal(spoken(open_voice(folder)), spoken(open_voice(folder), untuned=True))


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory, make_voice: Callable[..., VoiceFolder], letters: Path) -> Path:
    """Four voices of one base with adapters of different shapes and options."""
    folder = tmp_path_factory.mktemp("served") / "voices"
    options = {"base_model": str(letters)}
    shapes = ({}, {"rank": 2, "alpha": 4, "targets": ["flow"]}, {"targets": ["vocoder"]}, {"targets": ["all"]})
    for number, (name, lora) in enumerate(zip(("anna", "ben", "cleo", "dan"), shapes, strict=True)):
        more = {"length_scale": 1.5, "lexicon": {"house": "hut"}} if name == "ben" else {}
        make_voice(folder / name, "vits", seed=number, lora=lora, loudness=0.05, engine_options={**options, **more})
    return folder


def test_many_voices_are_served_at_once_on_one_base(voices: Path) -> None:
    names = ("anna", "ben", "cleo", "dan", "0.5*anna+0.5*ben")
    backend = InProcessBackend(ServeSettings(turns=3), "cpu", {})

    async def say(name: str) -> np.ndarray:
        request = SynthesisRequest(VoiceRegistry(voices, {}, {}, 8).find(name), TEXT, 3, {})
        return np.concatenate([piece.waveform async for piece in backend.speak(request)])

    async def all_voices() -> list[np.ndarray]:
        sounds = await asyncio.gather(*map(say, names))
        assert backend.load().bases == 1
        return sounds

    with start_blocking_portal() as portal:
        sounds = portal.call(all_voices)
    backend.close()
    for name, sound in zip(names, sounds, strict=True):
        assert np.allclose(sound, spoken(open_named(name, voices, "cpu"), seed=3), atol=1e-5), name
    assert len({sound.tobytes() for sound in sounds}) == len(names)


def test_a_mix_of_voices_adds_their_adapters(voices: Path) -> None:
    alone = spoken(open_named("anna", voices, "cpu"), seed=3)
    shutil.copytree(voices / "anna", voices / "twin")
    assert np.allclose(spoken(open_named("0.5*anna+0.5*twin", voices, "cpu"), seed=3), alone, atol=1e-4)
    mixed = spoken(open_named("0.7*anna+0.3*cleo", voices, "cpu"), seed=3)
    assert len(mixed) == len(alone)  # neither adapter changes durations
    assert not np.allclose(mixed, alone)


def test_a_request_that_cannot_be_read_names_what_it_is(voices: Path) -> None:
    voice = open_named("anna", voices, "cpu")
    with pytest.raises(VtuneError, match=r"no symbol for '9' \(U\+0039\)"):
        spoken(voice, "room 9")
