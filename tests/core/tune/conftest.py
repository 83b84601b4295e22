"""A metric of what the toy engine learns: the difference between the loudness of an utterance and that of its
recording."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vtune.tune import Space, check_space, read_space

NEARNESS = """
import numpy as np
import vtune
from vtune.evaluation import MetricResult, MetricSpec, Ratio

class Nearness:
    specs = (MetricSpec("far", "loudness apart", "low"), MetricSpec("near", "loudness alike", "high"))

    def __init__(self, test_set, recipe):
        self.recordings = test_set.recordings

    def measure(self, utterances):
        far = [abs(level(each.waveform) - level(self.recordings[each.text].waveform)) for each in utterances]
        return MetricResult({"far": [Ratio(each) for each in far], "near": [Ratio(1 - each) for each in far]})

def level(waveform):
    return float(np.sqrt(np.mean(np.square(waveform))))

@vtune.hookimpl
def metrics(recipe):
    return {"nearness": Nearness}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install an extension with that metric in a folder of Python's path."""
    folder = tmp_path / "site"
    info = folder / "nearness-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nearness\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vtune.plugins]\nnearness = nearness_extension\n")
    (folder / "nearness_extension.py").write_text(NEARNESS)
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    yield folder
    sys.modules.pop("nearness_extension", None)


@pytest.fixture
def recipe(toy_recipe: Callable[..., Path], speech: Callable[..., Path], site: Path) -> Callable[..., str]:
    """Write a recipe that is scored by that metric, on clips that are not trained on."""

    def write(**sections: object) -> str:
        held = site.parent / "held"
        if not held.exists():
            speech("held", count=3, first=50)
        judged = {"source": str(held), "clips": 3, "metrics": ["nearness"]}
        train = {"epochs": 3, "validation": 0.3, "report_to": "none"}
        sections["train"] = {**train, **sections.get("train", {})}  # type: ignore[dict-item]
        sections["evaluate"] = {**judged, **sections.get("evaluate", {})}  # type: ignore[dict-item]
        return str(toy_recipe(clips=16, **sections))

    return write


@pytest.fixture
def space() -> Callable[..., Space]:
    """Read a space and check it against a recipe."""

    def read(recipe: str, *searches: str) -> Space:
        return check_space(recipe, [], read_space(searches))

    return read
