"""Studies of the toy engine, from their first trial to their last."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import Trainer

from vtune import pipeline
from vtune.engines import Engine, load_recipe
from vtune.errors import DataError, RecipeError, VtuneError
from vtune.runtime.paths import RunFolder, VoiceFolder
from vtune.tune import Space
from vtune.tune import study as studies
from vtune.tune.paths import StudyFolder
from vtune.tune.report import StudyReport
from vtune.tune.search import tune
from vtune.tune.study import Study
from vtune.tune.trials import State

RATE = "train.learning_rate"


@pytest.fixture
def place(tmp_path: Path) -> StudyFolder:
    return StudyFolder(tmp_path / "runs" / "someone" / "tuning" / "study")


def voice(place: StudyFolder, number: int) -> VoiceFolder:
    return VoiceFolder(place.voices(number) / "someone")


def adapter(folder: VoiceFolder) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_file(folder.path / "adapter_model.safetensors")
    return tensors


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def fail(*_: Any, **__: Any) -> Any:
    raise AssertionError("it is done again")


def test_a_study_finds_the_best_and_encodes_once(
    recipe: Callable[..., str], space: Callable[..., Space], place: StudyFolder, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    path = recipe()
    encoded: list[str] = []
    prepare = Engine.prepare_sample
    monkeypatch.setattr(Engine, "prepare_sample", lambda *a: encoded.append(a[2].id) or prepare(*a))
    searched = space(path, f"{RATE}=1e-9,1e-2,0.1")
    with caplog.at_level(logging.INFO, "vtune.tune"):
        study_result = tune(path, searched, metric="far", trials=5)

    assert len(encoded) == len(set(encoded)) == 16
    assert [trial.state for trial in study_result.trials] == [State.DONE] * 3  # there are no more points than three
    assert "every point of the space was tried" in caplog.text
    assert study_result.is_own(study_result.trials[0])
    assert study_result.trials[0].values == {RATE: "0.01"}
    by_hand = []
    for trial in study_result.trials:
        scores = json.loads(voice(place, trial.number).scores.read_text())
        (far,) = (score for score in scores["scores"] if score["spec"]["name"] == "far")
        assert trial.metrics["far"] == far["means"]["voice"] == -(trial.merit or 0.0)
        assert load_recipe(voice(place, trial.number).recipe).train.learning_rate == float(str(trial.values[RATE]))
        by_hand.append((far["means"]["voice"], trial.number))
    assert [trial.number for trial in study_result.ranked] == [number for _, number in sorted(by_hand)]
    assert study_result.best is not None
    assert study_result.best.values != {RATE: "1e-09"}  # it learned nothing

    assert not list(place.path.glob("trial-*/checkpoints"))
    assert not (tmp_path / "voices").exists()
    assert json.loads((tmp_path / "runs" / "someone" / "dataset" / "manifest.jsonl").read_text().splitlines()[0])

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "run", fail)
        again = tune(path, searched, metric="far", trials=3)
    assert list(again.lines()) == list(study_result.lines())

    best = load_recipe(place.best)
    assert best.train.learning_rate == float(str(study_result.best.values[RATE]))
    assert best.folders.voices == tmp_path / "voices"
    monkeypatch.setattr(Engine, "prepare_sample", fail)
    (made,) = pipeline.run(best)
    assert same(adapter(made), adapter(voice(place, study_result.best.number)))


def test_a_trial_that_fails_is_noted_and_the_study_goes_on(
    recipe: Callable[..., str], space: Callable[..., Space], place: StudyFolder
) -> None:
    path = recipe(train={"optimizer": "adamw_8bit", "epochs": 1})
    study_result = tune(path, space(path, "train.optimizer=adamw_8bit,adamw_torch"), metric="far")
    assert [trial.state for trial in study_result.trials] == [State.FAILED, State.DONE]
    assert "bitsandbytes" in study_result.trials[0].reason
    assert study_result.best is study_result.trials[1]
    assert any(line.startswith("trial 0: failed: train: ") for line in study_result.lines())
    assert "bitsandbytes" in place.page.read_text()


def test_where_every_trial_fails_the_study_ends(recipe: Callable[..., str], space: Callable[..., Space]) -> None:
    path = recipe()
    searched = space(path, "train.optimizer=adamw_8bit,lion_8bit", "lora.rank=2,4")
    with pytest.raises(VtuneError, match=r"the first 3 trials failed; the last: train: .*bitsandbytes"):
        tune(path, searched, metric="far")


def test_no_memory_is_a_failure_wherever_it_runs_out(
    recipe: Callable[..., str], space: Callable[..., Space], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe(train={"epochs": 1})
    step, speak = Trainer.training_step, Engine.synthesize
    rates = iter([0.01, 0.02, 0.03])
    monkeypatch.setattr(Study, "propose", lambda *_: {RATE: next(rates)})

    def training_step(self: Any, *arguments: Any) -> Any:
        if self.args.learning_rate == 0.01:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return step(self, *arguments)

    def synthesize(self: Any, base: Any, model: Any, *arguments: Any) -> Any:
        if synthesize.calls == 0:
            synthesize.calls += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB")
        return speak(self, base, model, *arguments)

    synthesize.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(Trainer, "training_step", training_step)
    monkeypatch.setattr(Engine, "synthesize", synthesize)
    study_result = tune(path, space(path, f"{RATE}=0.01..0.05"), metric="far", trials=3)
    assert [trial.state for trial in study_result.trials] == [State.FAILED, State.FAILED, State.DONE]
    assert study_result.trials[0].reason.startswith("out of memory with batches of 2 clips")
    assert "Tried to allocate 3.00 GiB" in study_result.trials[1].reason


def test_a_trial_that_learns_nothing_is_pruned_and_leaves_nothing_half_done(
    recipe: Callable[..., str], space: Callable[..., Space], place: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies, "MIN_TRIALS_BEFORE_PRUNING", 1)
    monkeypatch.setattr(studies, "MIN_TRIALS_TO_COMPARE", 1)
    rates = iter([0.03, 1e-9, 0.06])
    monkeypatch.setattr(Study, "propose", lambda *_: {RATE: next(rates)})
    path = recipe()
    study_result = tune(path, space(path, f"{RATE}=1e-9..1:log"), metric="far", trials=3)
    assert [trial.state for trial in study_result.trials] == [State.DONE, State.PRUNED, State.DONE]
    pruned, done = (
        [json.loads(line) for line in next(place.trial(number).glob("logs/*/metrics.jsonl")).read_text().splitlines()]
        for number in (1, 0)
    )
    validated = [line["eval_loss"] for line in pruned if "eval_loss" in line]
    better = [line["eval_loss"] for line in done if "eval_loss" in line]
    assert validated[0] > better[0]
    assert (len(validated), len(better)) == (1, 3)
    assert pruned[-1]["step"] == done[-1]["step"] / 3
    assert study_result.trials[1].reason == f"after 1 of 3 epochs: eval_loss {validated[0]:.4g}"
    assert study_result.trials[1].merit is None
    left = {str(path.relative_to(place.trial(1))) for path in place.trial(1).rglob("*") if path.is_file()}
    assert not [name for name in left if name.startswith(("voices", "checkpoints")) or "partial" in name]
    with RunFolder(place.trial(1)).locked():
        pass
    assert "grey: pruned" in place.page.read_text()


def test_where_the_loss_measures_something_else_it_prunes_nothing(
    recipe: Callable[..., str], space: Callable[..., Space], place: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies, "MIN_TRIALS_BEFORE_PRUNING", 1)
    monkeypatch.setattr(studies, "MIN_TRIALS_TO_COMPARE", 1)
    path = recipe(train={"epochs": 2})
    points = iter([{"engine_options.width": 16}, {"engine_options.width": 4}])
    monkeypatch.setattr(Study, "propose", lambda *_: next(points))
    searched = space(path, "engine_options.width=4..16")
    study_result = tune(path, searched, metric="far", trials=2)
    assert [trial.state for trial in study_result.trials] == [State.DONE] * 2


def test_another_recipe_space_or_metric_is_refused_and_what_differs_is_told(
    recipe: Callable[..., str], space: Callable[..., Space], place: StudyFolder
) -> None:
    path = recipe(train={"epochs": 1})

    def go_on(*overrides: str, search: str = f"{RATE}=1e-3..1:log", metric: str = "far") -> StudyReport:
        return tune(path, space(path, search), overrides, metric=metric, trials=1)

    first = go_on()
    for changed, says in (
        (lambda: go_on("train.batch_size=4"), r"train\.batch_size: 2 before, 4 now; continue with those"),
        (
            lambda: go_on(search=f"{RATE}=1e-3..1"),
            r"--search train.learning_rate: '0.001..1:log' before, '0.001..1' now",
        ),
        (lambda: go_on(search="lora.rank=2..4"), r"--search lora.rank: None before, '2..4' now"),
        (lambda: go_on(metric="near"), r"--metric: 'far' before, 'near' now"),
    ):
        with pytest.raises(RecipeError, match=f"study .* was started with other settings: .*{says}") as caught:
            changed()
        assert "\n" not in str(caught.value)
    # What is only seen, or where the searched key itself stands, is no other study.
    assert go_on("train.log_every=3", "train.device=cpu", f"{RATE}=0.5").trials == first.trials


def test_trials_that_would_be_judged_by_other_words_end_the_study(
    recipe: Callable[..., str], space: Callable[..., Space], place: StudyFolder, tmp_path: Path
) -> None:
    path = recipe(train={"epochs": 1})
    searched = space(path, f"{RATE}=1e-3..1:log")
    tune(path, searched, metric="far", trials=1)
    table = tmp_path / "held" / "transcripts.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(DataError, match="the held-out clips have changed since the first trial"):
        tune(path, searched, metric="far", trials=2)
    assert [trial.state for trial in Study(place.database, searched).trials] == [State.DONE, State.RUNNING]


def test_stopped_by_the_user_it_goes_on_and_nothing_is_held_against_the_trial(
    recipe: Callable[..., str], space: Callable[..., Space], place: StudyFolder, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    path = recipe()
    searched = space(path, f"{RATE}=1e-3..1:log")
    step = Trainer.training_step

    def stop(self: Any, *arguments: Any) -> Any:
        if self.state.epoch and self.state.epoch > 1:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(Trainer, "training_step", stop)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            tune(path, searched, metric="far", trials=1)
    (trial,) = Study(place.database, searched).trials
    assert (trial.state, trial.starts) == (State.RUNNING, ())
    monkeypatch.setattr(Trainer, "training_step", step)
    with caplog.at_level(logging.INFO, "vtune.training"):
        study_result = tune(path, searched, metric="far", trials=1)
    assert "resuming from" in caplog.text
    assert [trial.state for trial in study_result.trials] == [State.DONE]
    (straight,) = pipeline.run(load_recipe(path, [f"folders.runs={tmp_path / 'straight'}"]))
    assert same(adapter(voice(place, 0)), adapter(straight))


def test_a_trial_that_kills_its_process_is_not_started_for_ever(
    recipe: Callable[..., str], space: Callable[..., Space], place: StudyFolder
) -> None:
    path = recipe(train={"epochs": 1})
    searched = space(path, f"{RATE}=1e-3..1:log")
    tune(path, searched, metric="far", minutes=0)
    study = Study(place.database, searched)
    begun = study.begin({RATE: 0.5})
    study.start(begun, "")
    study.start(study.trials[0], "")
    study_result = tune(path, searched, metric="far", trials=2)
    assert [trial.state for trial in study_result.trials] == [State.FAILED, State.DONE]
    assert study_result.trials[0].reason == "its process was killed 2 times at the same point"


def test_no_trial_begins_after_the_time_is_up(
    recipe: Callable[..., str], space: Callable[..., Space], place: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "run", fail)
    path = recipe()
    study_result = tune(path, space(path, "lora.rank=2..8"), metric="far", minutes=0)
    assert not study_result.trials
    assert list(study_result.lines())[-1] == "no trial has finished"
    assert "No trial is done yet." in place.page.read_text()
    assert not place.best.exists()


def test_what_cannot_be_measured_ends_the_study_after_one_trial_and_says_why(
    recipe: Callable[..., str], space: Callable[..., Space]
) -> None:
    path = recipe(train={"epochs": 1}, evaluate={"metrics": ["intelligibility", "speaker"]})
    with pytest.raises(
        RecipeError, match=r"--metric quality: wer was not measured .*; intelligibility: no weights of Whisper"
    ):
        tune(path, space(path, "lora.rank=2..8"))


def test_precisions_are_tried_in_one_process(recipe: Callable[..., str], space: Callable[..., Space]) -> None:
    path = recipe(train={"epochs": 1, "precision": "fp32"})
    study_result = tune(path, space(path, "train.precision=fp32,bf16"), metric="far")
    assert [trial.state for trial in study_result.trials] == [State.DONE] * 2


def test_a_study_keeps_other_runs_of_the_voice_out_and_is_kept_out(
    recipe: Callable[..., str], space: Callable[..., Space], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe()
    with (
        RunFolder(tmp_path / "runs" / "someone").locked(),
        pytest.raises(VtuneError, match="another process is running a recipe for this voice"),
    ):
        tune(path, space(path, "lora.rank=2..8"), metric="far")

    def intrude(*_: Any, **__: Any) -> Iterator[Any]:
        with RunFolder(tmp_path / "runs" / "someone").locked():
            raise AssertionError("let in")

    monkeypatch.setattr(pipeline, "run", intrude)
    with pytest.raises(VtuneError, match="another process is running a recipe for this voice"):
        tune(path, space(path, "lora.rank=2..8"), metric="far")


def test_what_a_study_cannot_be_is_told_at_once(
    recipe: Callable[..., str], space: Callable[..., Space], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = recipe()
    searched = space(path, "lora.rank=2..8")
    with pytest.raises(RecipeError, match=r"--study: '../other' names no folder"):
        tune(path, searched, metric="far", name="../other")
    with pytest.raises(RecipeError, match="a study runs in one process"):
        tune(path, searched, ["train.world_size=2"], metric="far")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match="a study runs in one process"):
        tune(path, searched, metric="far")
    assert not (tmp_path / "runs").exists()
