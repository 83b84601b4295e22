"""The proof: the quickstart teaches the small checkpoint a voice that it never heard, and its scores tell so.

Held-out sentences are spoken by the tuned voice and by its base, two seeds each, and heard by Whisper and Resemblyzer;
and the scores do not say so where nothing was learned, or the wrong thing.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vtune import pipeline
from vtune.dataset import held_out
from vtune.engines import load_engine, load_recipe
from vtune.errors import TrainingError
from vtune.evaluation import BASE, VOICE, System, TestSet, judges, score, speak_all, tuned_and_base
from vtune.recipe import builtin_recipes
from vtune.runtime.paths import RunFolder, VoiceFolder
from vtune.types import Clip, Conditioning
from vtune.voices.speech import open_voice

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("quickstart")]

TEXTS, SEEDS = 20, 2
BRIEFLY = ("train.max_steps=20", "evaluate.clips=6", "evaluate.seeds=1")
"""How long a voice is damaged on purpose, and judged: nobody needs an interval to hear it."""

VOICES = ("bert", "joe", "pia", "pico", "rms", "ruth")
"""That the checkpoint was trained on; see its card."""


def train(folder: Path, recogniser: Path, *overrides: str) -> VoiceFolder:
    settings = (
        f"folders.runs={folder / 'runs'}", f"folders.voices={folder / 'voices'}", f"evaluate.clips={TEXTS}",
        f"evaluate.seeds={SEEDS}", f"evaluate.recogniser={recogniser}", "evaluate.sentences=[]", "evaluate.during=0",
        "evaluate.trained=0", "evaluate.judges=[text, voice, delivery]", "train.epochs=3", *overrides,
    )  # fmt: skip
    (voice,) = pipeline.run(load_recipe("quickstart", settings))
    return voice


def scores_of(voice: VoiceFolder) -> dict[str, dict[str, Any]]:
    """Means and intervals by figure."""
    return {one["figure"]["name"]: one for one in json.loads(voice.scores.read_text())["scores"]}


def means(voice: VoiceFolder, figure: str) -> tuple[float, float]:
    """Of the tuned voice and of its base."""
    found = scores_of(voice)[figure]["means"]
    return found[VOICE], found[BASE]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, whisper_weights: Path) -> VoiceFolder:
    pytest.importorskip("resemblyzer")
    return train(tmp_path_factory.mktemp("tuned"), whisper_weights)


@pytest.fixture(scope="module")
def held(tuned: VoiceFolder) -> list[Clip]:
    recipe = load_recipe("quickstart", [f"evaluate.clips={TEXTS}"])
    run = RunFolder(tuned.path.parents[1] / "runs" / "quickstart")
    return held_out(recipe, load_engine("orpheus"), run, "quickstart")


def test_the_voice_becomes_the_one_that_it_heard(tuned: VoiceFolder) -> None:
    voice, base = means(tuned, "likeness")
    assert voice >= base + 0.15
    assert scores_of(tuned)["likeness"]["intervals"][VOICE][0] > 0


def test_its_words_are_there_as_the_base_s_are(tuned: VoiceFolder) -> None:
    voice, base = means(tuned, "words")
    assert voice <= base + 0.05
    assert base <= 0.17


def test_it_ends_and_keeps_the_pace(tuned: VoiceFolder) -> None:
    assert means(tuned, "ended")[0] >= 0.98
    assert 0.85 <= means(tuned, "length")[0] <= 1.15


def systems(tuned: VoiceFolder) -> list[System]:
    """Every voice of the base, under its name."""
    opened = open_voice(tuned, "cpu")
    found = []
    for voice in VOICES:
        kept = Conditioning(opened.conditioning.tensors, {**opened.conditioning.strings, "voice": voice})
        _, untuned = tuned_and_base(opened.engine, opened.base, opened.model, kept)
        found.append(replace(untuned, name=voice))
    return found


def test_no_other_voice_of_the_base_is_as_near(tuned: VoiceFolder, held: list[Clip]) -> None:
    recipe = load_recipe("quickstart")
    material = TestSet([clip.text for clip in held[:3]], held)
    takes = speak_all(systems(tuned), material.texts, [0])
    nearest = score(takes, material, recipe, judges(load_engine("orpheus"), recipe, ["voice"]))["likeness"].means
    assert means(tuned, "likeness")[0] > max(nearest[voice] for voice in VOICES), nearest


def test_an_untrained_adapter_says_what_the_base_says(tuned: VoiceFolder, held: list[Clip]) -> None:
    opened = open_voice(tuned, "cpu", untuned=True)
    both = tuned_and_base(opened.engine, opened.base, opened.model, opened.conditioning)
    takes = speak_all(both, [clip.text for clip in held[:3]], [0])
    for first, second in zip(takes[::2], takes[1::2], strict=True):
        assert np.array_equal(first.waveform, second.waveform)


def encoded(tuned: VoiceFolder) -> str:
    """Where the clips need not be encoded again."""
    return f"folders.runs={tuned.path.parents[1] / 'runs'}"


def test_a_dead_adapter_is_caught(tuned: VoiceFolder, tmp_path: Path) -> None:
    settings = [encoded(tuned), f"folders.voices={tmp_path / 'voices'}", "evaluate.clips=0"]
    # A rate this small leaves the adapter at what it began with: it changes nothing.
    with pytest.raises(TrainingError, match="adapter"):
        pipeline.run(load_recipe("quickstart", [*settings, "train.learning_rate=1e-30", "train.max_steps=3"]))
    assert not (tmp_path / "voices" / "quickstart").exists()


def test_shuffled_transcripts_cost_words(tuned: VoiceFolder, tmp_path: Path, whisper_weights: Path) -> None:
    data = tmp_path / "train"
    shutil.copytree(builtin_recipes()["quickstart"].parent / "quickstart" / "train", data)
    head, *rows = (data / "transcripts.csv").read_text().splitlines()[:121]
    names, texts = zip(*(row.split(",", 1) for row in rows), strict=True)
    moved = [f"{name},{texts[(place + 7) % len(texts)]}" for place, name in enumerate(names)]
    (data / "transcripts.csv").write_text("\n".join([head, *moved]) + "\n")
    wrong = train(tmp_path, whisper_weights, f"data.0.source={data}", *BRIEFLY, "train.max_steps=40")
    assert means(wrong, "words")[0] > means(tuned, "words")[0] + 0.2


def test_a_wrong_rate_costs_words_and_likeness(tuned: VoiceFolder, tmp_path: Path, whisper_weights: Path) -> None:
    # It may babble on to the limit, and has said enough by then.
    short = ("train.learning_rate=0.1", "engine_options.max_new_tokens=280")
    wrong = train(tmp_path, whisper_weights, encoded(tuned), *short, *BRIEFLY)
    assert means(wrong, "words")[0] > means(tuned, "words")[0] + 0.2
    # Where nothing that it says is speech, no likeness can be measured.
    heard = scores_of(wrong)["likeness"]["means"].get(VOICE, 0.0)
    assert heard < means(tuned, "likeness")[0] - 0.05
