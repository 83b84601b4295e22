"""The benchmark at real size finds its stages in vtune's own log lines, and its plan in what `vtune plan` prints."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def real_size(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("real_size")


def test_every_stage_begins_with_a_line_that_core_logs(real_size: ModuleType) -> None:
    logged = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "core/vtune").rglob("*.py"))
    steps = [f"[{step}/3]" for step in (1, 2, 3)] if '"[%d/3] %s"' in logged else []
    for stage, sign in real_size.STAGES:
        assert sign.search(logged) or any(sign.search(step) for step in steps), stage


def test_the_plan_of_each_stage_is_read_from_what_plan_prints(real_size: ModuleType) -> None:
    text = (
        "clips   8\nhost        GiB of 23.5 (the machine): encoding 1.23, scoring checkpoints 2.50, merging 4.6: fits\n"
    )
    assert real_size.planned_gib(text) == {"encoding": 1.23, "scoring checkpoints": 2.5, "merging": 4.6}
    row = real_size.StageRow("merge", 3.0, 5 << 30, 2 << 30, 4 << 30)
    assert row.line({"merging": 4.6}) == "| merge | 3.0 | 5.00 | 2.00 | 4.00 | 4.60 | +15 % |"
    # The names of the plan's stages are those of the estimate.
    estimate = (ROOT / "core/vtune/training/memory_estimate.py").read_text() + (
        ROOT / "core/vtune/engines/memory.py"
    ).read_text()
    assert all(re.search(f'"{name}"', estimate) for name in real_size.PLANNED_AS.values())


@pytest.mark.skipif(not Path("/proc/self/smaps").is_file(), reason="only Linux tells which pages of a file are mapped")
def test_mapped_pages_of_the_checkpoint_count_as_weights(real_size: ModuleType, tmp_path: Path) -> None:
    np.save(tmp_path / "weights.npy", np.ones(1 << 20))
    before = real_size.Sampler(os.getpid(), tmp_path).sample()
    mapped = np.load(tmp_path / "weights.npy", mmap_mode="r")
    assert mapped.sum() == 1 << 20
    after = real_size.Sampler(os.getpid(), tmp_path).sample()
    assert before.weights == 0
    assert after.weights == pytest.approx(8 << 20, rel=0.01)
    assert after.needed == after.anonymous + after.weights
