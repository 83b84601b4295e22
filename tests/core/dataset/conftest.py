"""Synthesised sources, the toy engine that encodes them, and a time limit against tests that hang."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml

from vtune.dataset import TrainingData, build_training_data
from vtune.engines import load_engine, load_recipe
from vtune.recipe import Recipe
from vtune.runtime.paths import RunFolder


@pytest.fixture
def clip() -> Callable[..., Path]:
    """Write a recording; each number gives another sound."""

    def write(path: Path, number: int = 0, seconds: float = 0.6, rate: int = 8000) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        times = np.arange(int(seconds * rate)) / rate
        noise = np.random.default_rng(number).normal(0, 0.02, len(times))
        soundfile.write(path, 0.2 * np.sin(2 * np.pi * (200 + number) * times) + noise, rate)
        return path

    return write


@pytest.fixture
def folder(tmp_path: Path, clip: Callable[..., Path]) -> Callable[..., Path]:
    """Make a folder of recordings, by name, beside files of text or bytes, by name."""

    def make(*recordings: str, name: str = "source", **files: str | bytes) -> Path:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for number, recording in enumerate(recordings):
            clip(root / recording, number)
        for path, content in files.items():
            write(root / path, content)
        return root

    def write(path: Path, content: str | bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Recipe]:
    """Load a recipe for the toy engine; a source is a path or an entry of ``data:``, and keywords are other
    sections.
    """

    def load(*sources: Path | dict[str, Any], **sections: Any) -> Recipe:
        data = [source if isinstance(source, dict) else {"source": str(source)} for source in sources]
        settings = {"voice": "someone", "engine": "toy", "data": data, "train": {"validation": 0}, **sections}
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(settings), encoding="utf-8")
        return load_recipe(path)

    return load


@dataclass
class Prepared:
    """What ``build_training_data`` returned, and the ledger that it wrote."""

    data: TrainingData
    ledger: list[dict[str, Any]]
    run: RunFolder

    def reasons(self) -> dict[tuple[str, int | None], str]:
        """Return why clips were left out, by the last part of the recording's name and the line."""
        skipped = [line for line in self.ledger if line["status"] == "skipped"]
        return {(Path(line["audio"]).name, line["line"]): line["reason"] for line in skipped}


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., Prepared]:
    """Build the data of a recipe, always in the same run folder."""

    def go(recipe: Recipe) -> Prepared:
        engine, run = load_engine("toy"), RunFolder(tmp_path / "run")
        base = engine.load_base(recipe.engine_options, torch.device("cpu"), torch.float32)
        data = build_training_data(recipe, engine, base, run)
        lines = run.ledger.read_text(encoding="utf-8").splitlines()
        return Prepared(data, [json.loads(line) for line in lines], run)

    return go


@pytest.fixture
def hurried() -> Iterator[None]:
    """Let a test fail after some time, so that it cannot hang."""

    def late(*_: object) -> None:
        raise TimeoutError("this took more than a minute: something waits that must not")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
