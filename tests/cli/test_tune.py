from __future__ import annotations

import importlib.util

import pytest

from vtune.tune import search as searching


def test_nothing_to_search_is_a_usage_error(vtune, recipe):
    result = vtune("tune", str(recipe))
    assert result.exit_code == 2
    assert "name what to search: --search lora.rank=8,16,32 or --space FILE" in result.stderr


def test_a_search_without_values_is_a_usage_error(vtune, recipe):
    result = vtune("tune", str(recipe), "--search", "lora.rank")
    assert result.exit_code == 2
    assert "--search takes KEY=VALUES, not 'lora.rank'" in result.stderr


def test_a_malformed_override_is_a_usage_error(vtune, recipe):
    assert vtune("tune", str(recipe), "epochs", "--search", "lora.rank=1,2").exit_code == 2


def test_every_mistake_is_told_before_anything_runs(vtune, recipe, monkeypatch):
    monkeypatch.chdir(recipe.parent)
    searches = ["train.learnin_rate=1e-5..1e-3", "lora.rank=0..8", "train.epochs=3"]
    result = vtune("tune", str(recipe), *(part for search in searches[:2] for part in ("--search", search)))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "Error: --search train.learnin_rate: unknown key 'learnin_rate' in section 'train'; "
        "did you mean 'learning_rate'?",
        "Error: --search lora.rank: 'lora.rank' must be above 0, found 0",
    ]
    result = vtune("tune", str(recipe), "--search", searches[2])
    assert result.stderr.startswith("Error: --search train.epochs: '3' is a single choice")
    assert not (recipe.parent / "runs").exists()


def test_without_the_extra_it_names_it(vtune, recipe, monkeypatch):
    real_find_spec = importlib.util.find_spec
    monkeypatch.setattr(searching, "find_spec", lambda name: None if name == "optuna" else real_find_spec(name))
    result = vtune("tune", str(recipe), "--search", "lora.rank=2,4")
    assert result.exit_code == 1
    assert result.stderr == "Error: tuning needs the extra 'tune' (pip install 'vtune-tts[tune]')\n"


@pytest.mark.parametrize("also", [["--metric", "wrds"], ["--study", "a/b"], ["train.world_size=2"]])
def test_what_a_study_cannot_be_is_one_line(vtune, recipe, monkeypatch, also):
    monkeypatch.chdir(recipe.parent)
    result = vtune("tune", str(recipe), "--search", "lora.rank=2,4", *also)
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert not (recipe.parent / "runs").exists()


def test_a_study_ends_in_a_table_and_a_command(vtune, recipe, monkeypatch):
    """The search is replaced by a function that records what the command passes on; the search has tests of its own."""
    from vtune.tune.paths import StudyFolder
    from vtune.tune.report import StudyReport

    seen = {}

    def tune(path, space, overrides, **settings):
        seen.update(path=path, space=str(space), overrides=overrides, **settings)
        return StudyReport("someone", StudyFolder(recipe.parent), space, "quality", [], [], {}, ())

    monkeypatch.setattr(searching, "tune", tune)
    space = recipe.parent / "space.yaml"
    space.write_text("lora: {alpha: 1..64:log}\n")
    result = vtune(
        "tune", str(recipe), "train.epochs=1", "--search", "lora.rank=2..8", "--space", str(space), "--trials", "7",
        "--timeout", "1.5", "--study", "mine", "--metric", "duration_ratio",
    )  # fmt: skip
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == ["place  trial  alpha  rank  seconds", "no trial has finished"]
    assert seen == {
        "path": str(recipe), "space": "lora.alpha=1..64:log lora.rank=2..8", "overrides": ("train.epochs=1",),
        "trials": 7, "minutes": 1.5, "name": "mine", "metric": "duration_ratio",
    }  # fmt: skip
