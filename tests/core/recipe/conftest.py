from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vtune.engines import load_recipe
from vtune.errors import RecipeError

GOOD = """\
# a recipe that uses every section
voice: someone
engine: toy
engine_options:
  width: 8
  pitch: 180.5
data:
  - source: recordings/one
    voice: first
  - {source: recordings/two, weight: 2}
folders: {runs: runs, voices: voices}
prepare:
  min_seconds: 0.4
  max_seconds: 12
  target_loudness: -20
encode: {processes: 2, cache: true}
augment:
  variants: 1
  transforms:
    - AddGaussianSNR: {min_snr_db: 20}
lora:
  rank: 8
  alpha: 16
  targets: [all]
train:
  epochs: 2
  learning_rate: 5e-5
  early_stopping: 3
  report_to: none
  arguments: {adam_beta2: 0.95}
evaluate:
  sentences:
    - "Say it: 'plainly'."
    - No more of this.
  seed: 7
consent:
  person: Some One
  statement: They agreed.
"""


@pytest.fixture
def good() -> str:
    return GOOD


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a recipe file."""

    def make(text: str | bytes, name: str = "r.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


@pytest.fixture
def problems(tmp_path: Path, write: Callable[..., Path]) -> Callable[..., list[str]]:
    """Load a recipe that must fail; return its problems, with file names as the test wrote them."""

    def load(text: str | bytes, overrides: Sequence[str] = ()) -> list[str]:
        with pytest.raises(RecipeError) as caught:
            load_recipe(write(text), overrides)
        result = caught.value.problems
        assert str(caught.value).splitlines() == list(result)
        return [problem.replace(f"{tmp_path}/", "") for problem in result]

    return load
