"""A recipe is kept beside a run and a voice, and its sources can be found from there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vtune import pipeline
from vtune.dataset.features.manifest import open_sources
from vtune.engines import load_recipe
from vtune.evaluation.compare import gather_test_set, recipe_of
from vtune.recipe import portable_recipe


def test_a_recipe_stands_alone_wherever_its_file_lies(
    toy_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = toy_recipe(data=[{"source": "speech"}], evaluate={"source": "hub:owner/held", "impostors": "speech"})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = portable_recipe(load_recipe(path))
    assert result.data[0].source == result.evaluate.impostors == os.path.join("..", "speech")
    assert result.evaluate.source == "hub:owner/held"
    assert len(list(open_sources(result.model_copy(update={"_folder": Path()}))[0].rows())) == 8
    monkeypatch.chdir(tmp_path)
    assert portable_recipe(load_recipe(path)).data[0].source == "speech"


def test_a_voice_finds_what_it_was_made_of(
    toy_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = toy_recipe(data=[{"source": "speech"}], train={"validation": 0.25}, evaluate={"clips": 2})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (voice,) = pipeline.run(load_recipe(path))
    assert len(gather_test_set(voice, recipe_of(voice)).texts) == 2
