from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vtune.engines.contributions import extension_contributions
from vtune_cli.main import main

ENGINE = """
import vtune
from vtune_toy import (
    build_lora_model, collate, extract_conditioning, load_base, prepare_sample, synthesize
)

class Options(vtune.EngineOptions):
    model: str = vtune.option(affects=("training", "runtime"), description="The model.")
    names: list[str] = vtune.option(default_factory=lambda: ["a"], affects="features")

@vtune.hookimpl
def engine_info():
    return vtune.EngineInfo(16000, "1", Options)
"""


@pytest.fixture
def engine_source() -> str:
    """Return the source of an engine with an option that has no default and an option whose default is made anew."""
    return ENGINE


@pytest.fixture
def vtune() -> Iterator[Callable[..., Result]]:
    """Run the command line in this process; a bug's traceback fails the test."""
    before, main.problems = dict(main.commands), ()

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(main, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return result

    yield run
    main.commands.clear()  # verbs of extensions stay registered as long as the process lives
    main.commands.update(before)
    main.problems = ()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install a distribution of one module: a folder of ``sys.path``, as pip leaves it."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    made = []

    def make(name: str, group: str, source: str) -> None:
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}_module\n")
        (site / f"{name}_module.py").write_text(source)
        made.append(f"{name}_module")
        importlib.invalidate_caches()
        extension_contributions.cache_clear()

    yield make
    extension_contributions.cache_clear()
    for module in made:
        sys.modules.pop(module, None)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text("# a recipe\nvoice: someone\nengine: toy\ndata: [{source: x}]\nlora: {rank: 8}\n")
    return path
