"""The proof: the quickstart learns a person from five minutes of speech, keeps the words, and its scores tell so.

Held-out sentences of an open vocabulary are spoken by the tuned voice and by its base, two seeds each, and heard by
Whisper and by a network that knows speakers; and the scores do not say so where nothing was learned, or the wrong
thing.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from noah_clips import copy_noah_clips

from vtune import pipeline
from vtune.dataset import held_out_clips
from vtune.engines import load_engine, load_recipe
from vtune.errors import TrainingError, VtuneError
from vtune.evaluation import BASE, VOICE, synthesize_all, tuned_and_base
from vtune.recipe import builtin_recipes
from vtune.runtime.paths import RunFolder, VoiceFolder
from vtune.types import Clip
from vtune.voices.speech import open_voice

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("quickstart")]

TEXTS, SEEDS = 24, 2
BRIEFLY = ("train.max_steps=24", "evaluate.clips=6", "evaluate.seeds=1", "evaluate.metrics=[speaker]")
"""Settings of the trainings that are damaged on purpose: the damage is so large that no interval is needed."""


def train(folder: Path, recogniser: Path, *overrides: str) -> VoiceFolder:
    settings = (
        f"folders.runs={folder / 'runs'}", f"folders.voices={folder / 'voices'}", f"evaluate.clips={TEXTS}",
        f"evaluate.seeds={SEEDS}", f"evaluate.recogniser={recogniser}", "evaluate.sentences=[]",
        "evaluate.checkpoint_sentences=0",
        "evaluate.train_sentences=0", "evaluate.metrics=[intelligibility, speaker, delivery]",
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
    return held_out_clips(recipe, load_engine("hibari"), run, "quickstart")


def test_the_voice_becomes_the_one_that_it_heard(tuned: VoiceFolder) -> None:
    voice, base = means(tuned, "speaker_similarity")
    assert voice >= base + 0.1
    assert voice >= 0.78
    assert scores_of(tuned)["speaker_similarity"]["intervals"][VOICE][0] > 0


def test_it_keeps_the_words_of_an_open_vocabulary(tuned: VoiceFolder) -> None:
    voice, base = means(tuned, "wer")
    assert voice <= base + 0.03
    assert base <= 0.10


def test_it_ends_and_keeps_the_pace(tuned: VoiceFolder) -> None:
    assert 0.8 <= means(tuned, "duration_ratio")[0] <= 1.25


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


def test_recordings_with_the_words_of_others_are_left_out(tmp_path: Path, whisper_weights: Path) -> None:
    data = tmp_path / "train"
    shutil.copytree(builtin_recipes()["quickstart"].parent / "quickstart" / "train", data)
    head, *rows = (data / "transcripts.csv").read_text().splitlines()[:31]
    names, texts = zip(*(row.split(",", 1) for row in rows), strict=True)
    moved = [f"{name},{texts[(index + 7) % len(texts)]}" for index, name in enumerate(names)]
    (data / "transcripts.csv").write_text("\n".join([head, *moved]) + "\n")
    with suppress(VtuneError):  # if no clip is left
        train(tmp_path, whisper_weights, f"data.0.source={data}", "train.max_steps=1", "evaluate.clips=0")
    entries = map(json.loads, (tmp_path / "runs" / "quickstart" / "ledger.jsonl").read_text().splitlines())
    left_out = [entry for entry in entries if "does not seem to say the text" in json.dumps(entry)]
    assert len(left_out) >= 0.8 * len(rows)


def test_a_wrong_rate_costs_likeness(tuned: VoiceFolder, tmp_path: Path, whisper_weights: Path) -> None:
    wrong = train(tmp_path, whisper_weights, encoded(tuned), "train.learning_rate=1", *BRIEFLY)
    # Where nothing that it says is speech, no similarity can be measured.
    similarity = scores_of(wrong)["speaker_similarity"]["means"].get(VOICE, 0.0)
    assert similarity < means(tuned, "speaker_similarity")[0] - 0.1


def test_another_person_s_clips_make_another_person(tuned: VoiceFolder, tmp_path: Path, whisper_weights: Path) -> None:
    other = copy_noah_clips(tmp_path / "other", 80)
    wrong = train(tmp_path, whisper_weights, f"data.0.source={other}", *BRIEFLY)
    assert means(wrong, "speaker_similarity")[0] < means(tuned, "speaker_similarity")[0] - 0.08
