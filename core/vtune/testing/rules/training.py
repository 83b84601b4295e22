"""A run: from recordings to a voice, through the real training loop."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from vtune import pipeline
from vtune.engines import load_recipe
from vtune.errors import TrainingError, VoiceError, in_a_line
from vtune.export.merge import merge_voice
from vtune.runtime.paths import VoiceFolder
from vtune.testing.rule import BrokenRule, NotApplicable, require, rule
from vtune.testing.rules.adapter import training_leaves_the_base_alone, training_parts_are_separate
from vtune.testing.rules.clips import features_can_be_stored
from vtune.testing.rules.describe import footprint_is_plausible
from vtune.testing.rules.files import (
    export_writes_the_voice,
    exported_voice_speaks_alike,
    merged_files_come_back,
    merged_network_answers_alike,
    no_pickles_are_written,
    training_parts_are_not_exported,
)
from vtune.testing.rules.heard import training_parts_are_not_heard
from vtune.testing.rules.loading import fingerprint_is_stable
from vtune.testing.rules.losses import loss_holds_in_bf16, num_items_in_batch_is_used
from vtune.testing.rules.sound import (
    last_piece_has_the_ending,
    sound_has_the_engines_rate,
    sound_is_not_silent,
    sound_stays_in_range,
    word_times_are_ordered,
)
from vtune.testing.rules.speech import together_equals_alone, training_goes_on_after_speech
from vtune.testing.subject import Subject

RUN_CLIPS = 5
"""Clips of a run: four to train on, for two steps of two batches each, and one for validation."""

_TRAINS = (
    footprint_is_plausible,
    fingerprint_is_stable,
    features_can_be_stored,
    num_items_in_batch_is_used,
    training_leaves_the_base_alone,
    training_parts_are_separate,
    training_parts_are_not_heard,
    training_parts_are_not_exported,
    merged_network_answers_alike,
)


@rule(
    why="This is what a user does with the engine.",
    change="Mend what the run says; the rules before this one check its parts.",
    after=(
        *_TRAINS,
        training_goes_on_after_speech,
        last_piece_has_the_ending,
        sound_has_the_engines_rate,
        sound_stays_in_range,
        sound_is_not_silent,
        word_times_are_ordered,
        together_equals_alone,
        export_writes_the_voice,
        no_pickles_are_written,
    ),
    seconds=120,
)
def run_makes_a_voice(subject: Subject) -> None:
    """A run in float32 makes a voice: encoded, trained for two accumulated steps, checked, written and spoken."""
    vars(subject)["voice"] = _run(subject, "fp32")


@rule(
    why="It is what `train.precision: auto` means on most GPUs.",
    change="Create tensors with the dtype of the weights that they meet, and compute the loss in float32.",
    after=(*_TRAINS, loss_holds_in_bf16),
    seconds=120,
)
def run_trains_in_bf16(subject: Subject) -> None:
    """A run in bf16 trains two accumulated steps, and its adapter passes the checks after a training."""
    _run(subject, "bf16", until_trained=True)


@rule(
    why="Users take the merged model to other software.",
    change="Mend save_merged, or leave 'merging' out of EngineInfo.supports.",
    after=(run_makes_a_voice, merged_files_come_back, exported_voice_speaks_alike),
    seconds=120,
)
def voice_of_the_run_merges(subject: Subject) -> None:
    """The voice of the run can be merged into its base, and the merged model answers as the voice does."""
    subject.require_support("merging")
    voice: VoiceFolder | None = vars(subject).get("voice")
    if voice is None:
        raise NotApplicable("the run has made no voice")
    with quiet_log():
        try:
            merge_voice(voice, subject.new_folder("merge") / "model", "cpu")
        except (VoiceError, TrainingError) as error:
            raise BrokenRule(f"`vtune merge` refuses the voice of the run: {in_a_line(error)}.") from error


def _run(subject: Subject, precision: str, until_trained: bool = False) -> VoiceFolder:
    """Run a recipe over made recordings; return its voice."""
    import soundfile

    folder = subject.new_folder(f"run-{precision}")
    (folder / "clips").mkdir()
    with (folder / "transcripts.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["filename", "text"])
        for number in range(RUN_CLIPS):
            clip = subject.clip(0.6 + 0.2 * number, number, f"this is sentence number {number}")
            soundfile.write(folder / "clips" / f"{number}.wav", clip.waveform, clip.sample_rate)
            table.writerow([f"{number}.wav", clip.text])
    recipe: dict[str, Any] = {
        "voice": "someone",
        "engine": subject.name,
        "engine_options": subject.engine_options.model_dump(mode="json", exclude_unset=True),
        "data": [{"source": str(folder)}],
        "folders": {"runs": str(folder / "runs"), "voices": str(folder / "voices")},
        "train": {
            "epochs": 1, "batch_size": 1, "gradient_accumulation": 2, "learning_rate": 1e-2, "validation": 0.2,
            "warmup": 0, "log_every": 1, "precision": precision, "seed": subject.seed, "device": "cpu",
        },
        "evaluate": {"sentences": ["hello there"], "metrics": ["delivery"], "train_sentences": 0},
        "prepare": {"examine": False},
    }  # fmt: skip
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    with quiet_log():
        (voice,) = pipeline.run(load_recipe(path), until_trained=until_trained)
    require(until_trained or voice.adapter_config.is_file(), "The run made no voice.")
    return voice


@contextmanager
def quiet_log() -> Iterator[None]:
    """Hide the log of a run."""
    logger = logging.getLogger("vtune")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
