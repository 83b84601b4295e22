"""The proof: the quickstart teaches the small checkpoint a voice that it never heard, and its scores tell so.

Held-out sentences are spoken by the tuned voice and by its base, two seeds each, and heard by Whisper and Resemblyzer;
and the scores do not say so where nothing was learned, or the wrong thing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vtune_orpheus
from vtune import pipeline
from vtune.dataset import held_out
from vtune.engines import load_engine, load_recipe
from vtune.errors import TrainingError
from vtune.evaluate import Take, score, speak_all
from vtune.folders import RunFolder, VoiceFolder
from vtune.recipe import builtin_recipes
from vtune.speak import open_voice
from vtune.types import Clip, Conditioning

TRAINED = Path(vtune_orpheus.__file__).with_name("nano") / "model.safetensors"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("quickstart"),
    pytest.mark.skipif(not TRAINED.is_file(), reason="the small checkpoint has no trained weights yet"),
]

TEXTS, SEEDS = 20, 2
VOICES = ("awb", "bert", "iona", "joe", "pico", "rms", "ruth")
"""That the checkpoint was trained on; see its card."""


def train(folder: Path, recogniser: Path, *overrides: str) -> VoiceFolder:
    settings = (
        f"folders.runs={folder / 'runs'}", f"folders.voices={folder / 'voices'}", f"evaluate.clips={TEXTS}",
        f"evaluate.seeds={SEEDS}", f"evaluate.recogniser={recogniser}", "evaluate.sentences=[]", *overrides,
    )  # fmt: skip
    (voice,) = pipeline.run(load_recipe("quickstart", settings))
    return voice


def scores_of(voice: VoiceFolder) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads(voice.scores.read_text())["scores"]}


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
    likeness = scores_of(tuned)["likeness"]
    assert likeness["tuned"] >= likeness["base"] + 0.15
    assert likeness["interval"][0] > 0


def test_its_words_are_there_as_the_base_s_are(tuned: VoiceFolder) -> None:
    words = scores_of(tuned)["words"]
    assert words["tuned"] <= words["base"] + 0.05
    assert words["base"] <= 0.15


def test_it_ends_and_keeps_the_pace(tuned: VoiceFolder) -> None:
    scores = scores_of(tuned)
    assert scores["ended"]["tuned"] >= 0.98
    assert 0.85 <= scores["length"]["tuned"] <= 1.15


def spoken_as(voice: str, tuned: VoiceFolder, clips: Sequence[Clip]) -> list[Take]:
    """Let the base speak under the name of one of its own voices."""
    opened = open_voice(tuned, "cpu")
    kept = Conditioning(opened.conditioning.tensors, {**opened.conditioning.strings, "voice": voice})
    return speak_all(opened.engine, opened.base, opened.model, kept, clips, [0], untuned=[True])


def test_no_other_voice_of_the_base_is_as_near(tuned: VoiceFolder, held: list[Clip]) -> None:
    recipe = load_recipe("quickstart")
    nearest = {}
    for voice in VOICES:
        scores = score(spoken_as(voice, tuned, held[:6]), held, recipe)
        (nearest[voice],) = (one.base for one in scores.scores if one.name == "likeness")
    assert scores_of(tuned)["likeness"]["tuned"] > max(nearest.values()), nearest


def test_an_untrained_adapter_says_what_the_base_says(tuned: VoiceFolder, held: list[Clip]) -> None:
    opened = open_voice(tuned, "cpu", untuned=True)
    takes = speak_all(opened.engine, opened.base, opened.model, opened.conditioning, held[:3], [0])
    for first, second in zip(takes[::2], takes[1::2], strict=True):
        assert np.array_equal(first.waveform, second.waveform)


def test_a_dead_adapter_is_caught(tmp_path: Path) -> None:
    settings = [f"folders.runs={tmp_path / 'runs'}", f"folders.voices={tmp_path / 'voices'}", "evaluate.clips=0"]
    # A rate this small leaves the adapter at what it began with: it changes nothing.
    with pytest.raises(TrainingError, match="adapter"):
        pipeline.run(load_recipe("quickstart", [*settings, "train.learning_rate=1e-30", "train.max_steps=3"]))
    assert not (tmp_path / "voices" / "quickstart").exists()


def test_shuffled_transcripts_cost_words(tuned: VoiceFolder, tmp_path: Path, whisper_weights: Path) -> None:
    data = tmp_path / "train"
    shutil.copytree(builtin_recipes()["quickstart"].parent / "quickstart" / "train", data)
    head, *rows = (data / "transcripts.csv").read_text().splitlines()
    names, texts = zip(*(row.split(",", 1) for row in rows), strict=True)
    moved = [f"{name},{texts[(place + 7) % len(texts)]}" for place, name in enumerate(names)]
    (data / "transcripts.csv").write_text("\n".join([head, *moved]) + "\n")
    wrong = train(tmp_path, whisper_weights, f"data.0.source={data}", "evaluate.clips=8", "evaluate.seeds=1")
    assert scores_of(wrong)["words"]["tuned"] > scores_of(tuned)["words"]["tuned"] + 0.2
