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
from vtune.dataset import held_out_clips
from vtune.engines import load_engine, load_recipe
from vtune.errors import TrainingError
from vtune.evaluation import BASE, VOICE, System, TestSet, metric_makers, score, synthesize_all, tuned_and_base
from vtune.recipe import builtin_recipes
from vtune.runtime.paths import RunFolder, VoiceFolder
from vtune.types import Clip, Conditioning
from vtune.voices.speech import Speaker, open_voice

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("quickstart")]

TEXTS, SEEDS = 20, 2
BRIEFLY = ("train.max_steps=20", "evaluate.clips=6", "evaluate.seeds=1")
"""Settings of the trainings that are damaged on purpose: the damage is so large that no interval is needed."""

VOICES = ("bert", "joe", "pia", "pico", "rms", "ruth")
"""The voices that the checkpoint was trained on; see its card."""


def train(folder: Path, recogniser: Path, *overrides: str) -> VoiceFolder:
    settings = (
        f"folders.runs={folder / 'runs'}", f"folders.voices={folder / 'voices'}", f"evaluate.clips={TEXTS}",
        f"evaluate.seeds={SEEDS}", f"evaluate.recogniser={recogniser}", "evaluate.sentences=[]",
        "evaluate.checkpoint_sentences=0",
        "evaluate.train_sentences=0", "evaluate.metrics=[intelligibility, speaker, delivery]", "train.epochs=3",
        *overrides,
    )  # fmt: skip
    (voice,) = pipeline.run(load_recipe("quickstart", settings))
    return voice


def scores_of(voice: VoiceFolder) -> dict[str, dict[str, Any]]:
    """Return means and intervals by metric."""
    return {score["spec"]["name"]: score for score in json.loads(voice.scores.read_text())["scores"]}


def means(voice: VoiceFolder, metric: str) -> tuple[float, float]:
    """Return the mean of the tuned voice and that of its base."""
    result = scores_of(voice)[metric]["means"]
    return result[VOICE], result[BASE]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, whisper_weights: Path) -> VoiceFolder:
    return train(tmp_path_factory.mktemp("tuned"), whisper_weights)


@pytest.fixture(scope="module")
def held(tuned: VoiceFolder) -> list[Clip]:
    recipe = load_recipe("quickstart", [f"evaluate.clips={TEXTS}"])
    run = RunFolder(tuned.path.parents[1] / "runs" / "quickstart")
    return held_out_clips(recipe, load_engine("orpheus"), run, "quickstart")


def test_the_voice_becomes_the_one_that_it_heard(tuned: VoiceFolder) -> None:
    voice, base = means(tuned, "speaker_similarity")
    assert voice >= base + 0.15
    assert scores_of(tuned)["speaker_similarity"]["intervals"][VOICE][0] > 0


def test_its_words_are_there_as_the_base_s_are(tuned: VoiceFolder) -> None:
    voice, base = means(tuned, "wer")
    assert voice <= base + 0.05
    assert base <= 0.17


def test_it_ends_and_keeps_the_pace(tuned: VoiceFolder) -> None:
    assert means(tuned, "stop_rate")[0] >= 0.98
    assert 0.85 <= means(tuned, "duration_ratio")[0] <= 1.15


def systems(tuned: VoiceFolder) -> list[System]:
    """Return every voice of the base, under its name."""
    opened = open_voice(tuned, "cpu")
    result = []
    for voice in VOICES:
        kept = Conditioning(opened.conditioning.tensors, {**opened.conditioning.strings, "voice": voice})
        _, untuned = tuned_and_base(Speaker(opened.engine, opened.base, opened.model, kept))
        result.append(replace(untuned, name=voice))
    return result


def test_no_other_voice_of_the_base_is_as_near(tuned: VoiceFolder, held: list[Clip]) -> None:
    recipe = load_recipe("quickstart")
    test_set = TestSet([clip.text for clip in held[:3]], held)
    utterances = synthesize_all(systems(tuned), test_set.texts, [0])
    makers = metric_makers(load_engine("orpheus"), recipe, ["speaker_similarity"])
    nearest = score(utterances, test_set, recipe, makers)["speaker_similarity"].means
    assert means(tuned, "speaker_similarity")[0] > max(nearest[voice] for voice in VOICES), nearest


def test_an_untrained_adapter_says_what_the_base_says(tuned: VoiceFolder, held: list[Clip]) -> None:
    opened = open_voice(tuned, "cpu", untuned=True)
    both = tuned_and_base(opened)
    utterances = synthesize_all(both, [clip.text for clip in held[:3]], [0])
    for first, second in zip(utterances[::2], utterances[1::2], strict=True):
        assert np.array_equal(first.waveform, second.waveform)


def encoded(tuned: VoiceFolder) -> str:
    """Return a folder in which the clips are already encoded."""
    return f"folders.runs={tuned.path.parents[1] / 'runs'}"


def test_a_dead_adapter_is_caught(tuned: VoiceFolder, tmp_path: Path) -> None:
    settings = [encoded(tuned), f"folders.voices={tmp_path / 'voices'}", "evaluate.clips=0"]
    # A rate this small leaves the adapter at what it began with: it changes nothing.
    with pytest.raises(TrainingError, match="adapter"):
        pipeline.run(load_recipe("quickstart", [*settings, "train.learning_rate=1e-30", "train.max_steps=3"]))
    assert not (tmp_path / "voices" / "quickstart").exists()


@pytest.mark.proof
def test_shuffled_transcripts_cost_words(tuned: VoiceFolder, tmp_path: Path, whisper_weights: Path) -> None:
    data = tmp_path / "train"
    shutil.copytree(builtin_recipes()["quickstart"].parent / "quickstart" / "train", data)
    head, *rows = (data / "transcripts.csv").read_text().splitlines()[:121]
    names, texts = zip(*(row.split(",", 1) for row in rows), strict=True)
    moved = [f"{name},{texts[(index + 7) % len(texts)]}" for index, name in enumerate(names)]
    (data / "transcripts.csv").write_text("\n".join([head, *moved]) + "\n")
    wrong = train(tmp_path, whisper_weights, f"data.0.source={data}", *BRIEFLY, "train.max_steps=40")
    assert means(wrong, "wer")[0] > means(tuned, "wer")[0] + 0.2


def test_a_wrong_rate_costs_words_and_likeness(tuned: VoiceFolder, tmp_path: Path, whisper_weights: Path) -> None:
    # It may babble on to the limit, and has said enough by then.
    short = ("train.learning_rate=0.1", "engine_options.max_new_tokens=280")
    wrong = train(tmp_path, whisper_weights, encoded(tuned), *short, *BRIEFLY)
    assert means(wrong, "wer")[0] > means(tuned, "wer")[0] + 0.2
    # Where nothing that it says is speech, no similarity can be measured.
    similarity = scores_of(wrong)["speaker_similarity"]["means"].get(VOICE, 0.0)
    assert similarity < means(tuned, "speaker_similarity")[0] - 0.05
