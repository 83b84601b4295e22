"""The recipe nano, with a few of its clips: the small Orpheus learns, and the voice speaks and is scored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from noah_clips import copy_noah_clips

from vtune import pipeline
from vtune.engines import load_recipe
from vtune.voices.speech import open_voice

pytestmark = pytest.mark.slow

CLIPS = 8


def test_a_few_clips_of_noah_make_a_voice(tmp_path: Path) -> None:
    few = copy_noah_clips(tmp_path / "few", CLIPS)
    settings = [
        f"data.0.source={few}", f"folders.runs={tmp_path / 'runs'}",
        f"folders.voices={tmp_path / 'voices'}",
        "train.max_steps=2", "train.batch_size=4", "train.validation=0", "evaluate.clips=1", "evaluate.sentences=[]",
        "evaluate.checkpoint_sentences=0", "evaluate.train_sentences=0", "evaluate.metrics=[delivery]",
        "engine_options.max_new_tokens=140",
    ]  # fmt: skip
    (voice,) = pipeline.run(load_recipe("nano", settings))
    assert voice.name == "noah"
    scores = {score["spec"]["name"] for score in json.loads(voice.scores.read_text())["scores"]}
    assert "stop_rate" in scores
    assert sum(len(piece.waveform) for piece in open_voice(voice, "cpu").stream("the garden")) > 2000
