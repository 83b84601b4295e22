"""The benchmark for GPUs: its small shape on a CPU, and its tables, of made-up results."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu.py"

pytestmark = pytest.mark.xdist_group("gpu-benchmark")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


FEW = ("orpheus: packed, bf16", "orpheus: a guide's loop", "decoding: 1 rows", "checks: gradient checkpointing")
"""Beginnings of the names of the parts that tox runs: trainings of two kinds, a decoding and a check."""


def measured(out: Path, *options: str) -> dict[str, Any]:
    """Run parts with small shapes; return their results."""
    # So much time is only needed on a machine that does other things.
    done = run(
        "--small", "--device", "cpu", "--minutes", "60", "--seconds-per-part", "0.1", "--out", str(out), *options
    )
    assert done.returncode == 0, done.stderr
    parts: dict[str, Any] = json.loads(out.read_text())["parts"]
    return parts


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return measured(tmp_path_factory.mktemp("few") / "gpu.json", "--only", *FEW)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return measured(tmp_path_factory.mktemp("gpu") / "gpu.json")


@pytest.mark.slow
def test_a_few_parts_run_on_a_cpu(few: dict[str, Any]) -> None:
    assert len(few) == 8
    assert {name: part for name, part in few.items() if part["status"] != "done" and "8 bits" not in name} == {}


@pytest.mark.proof
def test_every_part_runs_on_a_cpu_or_says_what_it_needs(whole: dict[str, Any], gpu_parts: Any) -> None:
    assert list(whole) == [gpu_parts.title_of(part) for part in gpu_parts.PARTS]
    reasons = ("needs a CUDA GPU", "needs two GPUs", "a library is missing", "on a CPU, other tests do this")
    wrong = {
        name: result
        for name, result in whole.items()
        if result["status"] != "done" and not result.get("reason", "").startswith(reasons)
    }
    assert wrong == {}
    assert sum(result["status"] == "done" for result in whole.values()) >= 20


@pytest.mark.proof
def test_all_trainings_of_orpheus_begin_with_the_same_loss(whole: dict[str, Any]) -> None:
    """They see the same clips and weights, so another loss would mean that another thing is measured."""
    losses = [part["first_loss"] for name, part in whole.items() if name.startswith("orpheus") and "first_loss" in part]
    assert len(losses) >= 6
    assert max(losses) - min(losses) < 0.02 * max(losses)


def test_a_row_of_clips_is_processed_once_if_it_is_packed(few: dict[str, Any]) -> None:
    assert few["orpheus: packed, bf16"]["processed"] == pytest.approx(1.0)
    assert few["orpheus: a guide's loop, batch 1, padded to 2048"]["processed"] > 20


@pytest.fixture
def gpu_here(benchmark: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The command in this process, which measures the parts itself."""
    gpu = benchmark("gpu")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    here = gpu.isolation.run_here
    monkeypatch.setattr(gpu.isolation, "run_isolated", lambda part, settings, limit, log: here(part, settings))

    def main(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["gpu.py", "--small", "--device", "cpu", *arguments])
        gpu.main()

    return main


def test_the_second_run_measures_only_what_is_missing(gpu_here: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    options = ["--only", "machine", "decoding: 1 rows", "--seconds-per-part", "0.1", "--out", str(path)]
    gpu_here(*options)
    record = json.loads(path.read_text())
    kept = record["parts"]["machine: products of matrices"] = {"status": "done", "tflops": 123.0, "took": 1.0}
    record["parts"]["decoding: 1 rows"] = {"status": "not run", "reason": "the time was used up"}
    path.write_text(json.dumps(record))
    gpu_here(*options)
    after = json.loads(path.read_text())["parts"]
    assert after["machine: products of matrices"] == kept
    assert after["decoding: 1 rows"]["status"] == "done"


def test_results_of_another_machine_are_not_mixed_in(gpu_here: Callable[..., None], tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    out.write_text(json.dumps({"machine": {"gpu": "another"}, "parts": {}}))
    with pytest.raises(SystemExit, match="has results of another machine"):
        gpu_here("--only", "machine", "--out", str(out))


@pytest.fixture(scope="module")
def gpu_parts(benchmark: Callable[[str], Any]) -> Any:
    return benchmark("gpu_parts.parts")


@pytest.fixture
def isolation(benchmark: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that starts processes; they find the benchmark's modules, and import none before they are asked."""
    module = benchmark("gpu_parts.isolation")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr(module, "PRELOADED", ())
    monkeypatch.setattr(module, "_methods", list(module._methods))
    return module


def _part(gpu_parts: Any, function: str, **arguments: Any) -> Any:
    return gpu_parts.Part("a part", "checks", function, arguments)


def test_a_part_that_takes_too_long_or_dies_is_a_row(gpu_parts: Any, isolation: Any, tmp_path: Path) -> None:
    settings = gpu_parts.Settings("cpu", True, 0.1)
    began = time.monotonic()
    slow = isolation.run_isolated(_part(gpu_parts, "gpu_part_doubles:sleep"), settings, 1.0, tmp_path / "log")
    assert slow == {"status": "not run", "reason": "it took longer than 1 s"}
    assert time.monotonic() - began < 55
    dead = isolation.run_isolated(_part(gpu_parts, "gpu_part_doubles:die"), settings, 300.0, tmp_path / "log")
    assert dead["status"] == "failed"
    assert "the process ended with -9; I am about to die" in dead["reason"]


def test_processes_are_started_anew_where_a_forked_one_cannot_use_the_gpu(
    gpu_parts: Any, isolation: Any, tmp_path: Path
) -> None:
    part = _part(gpu_parts, "gpu_part_doubles:begin_twice", marker=str(tmp_path / "marker"))
    result = isolation.run_isolated(part, gpu_parts.Settings("cpu", True, 0.1), 300.0, tmp_path / "log")
    assert result["worked"]
    assert isolation._methods == ["spawn"]


def test_what_a_part_raises_is_the_reason(gpu_parts: Any, benchmark: Callable[[str], Any], monkeypatch: Any) -> None:
    isolation, settings = benchmark("gpu_parts.isolation"), gpu_parts.Settings("cpu", True, 0.1)

    def result_of(error: Exception) -> dict[str, Any]:
        def fail(_: Any) -> None:
            raise error

        monkeypatch.setattr(isolation, "function_of", lambda _: fail)
        result: dict[str, Any] = isolation.run_here(_part(gpu_parts, ""), settings)
        return result

    assert result_of(gpu_parts.NotRunError("needs two GPUs")) == {"status": "not run", "reason": "needs two GPUs"}
    assert result_of(RuntimeError("CUDA out of memory. Tried")) == {"status": "not run", "reason": "out of memory"}
    missing = result_of(ModuleNotFoundError("No module named 'bitsandbytes'"))
    assert missing["reason"] == "a library is missing: No module named 'bitsandbytes'"
    wrong = result_of(AssertionError("the scale | is\nthe same"))
    assert wrong == {"status": "failed", "reason": "AssertionError: the scale / is the same"}


def test_parts_share_the_time_by_their_weights(benchmark: Callable[[str], Any], gpu_parts: Any) -> None:
    gpu = benchmark("gpu")
    parts = [gpu_parts.Part(str(weight), "checks", "", weight=weight) for weight in (2.0, 1.0, 1.0)]
    assert gpu.share(parts, 100.0) == 50.0
    assert gpu.share(parts[1:], 80.0) == 40.0
    assert gpu.share(parts, -5.0) == 0.0


MADE_UP = {
    "machine": {"processor": "P", "gpu": "G", "torch": "2", "nothing": None},
    "parts": {
        "machine: products of matrices": {"status": "done", "tflops": 500.0, "data_sheet_tflops": 989, "took": 2.0},
        "orpheus: ours": {
            "status": "done", "tokens_per_second": 20_000.0, "seconds_per_step": 0.25, "steps": 40,
            "peak_bytes": 3 * 2**30, "parameters": 3_000_000_000, "took": 12.0,
        },
        "orpheus: theirs": {
            "status": "done", "tokens_per_second": 5_000.0, "seconds_per_step": 0.5, "steps": 9,
            "peak_bytes": 2**33, "parameters": 3_000_000_000, "took": 12.0,
        },
        "orpheus: in 4 bits": {"status": "not run", "reason": "a library is missing: bitsandbytes"},
        "limits: a card of 24 GiB": {
            "status": "done", "chosen_rows": 16, "chosen_checkpointing": True, "fits": True, "largest_rows": 20,
            "estimated_bytes": 22 * 2**30, "measured_bytes": 20 * 2**30, "took": 9.0,
        },
        "decoding: 8 rows": {
            "status": "done", "tokens_per_second": 656.0, "times_real_time": 8.0, "peak_bytes": 2**33, "took": 9.0
        },
        "checks: a kernel": {"status": "done", "difference": 0.00123, "took": 3.21},
        "checks: another": {"status": "failed", "reason": "AssertionError: the difference is 1"},
    },
}  # fmt: skip


def test_the_tables_say_what_was_measured(benchmark: Callable[[str], Any]) -> None:
    text = benchmark("gpu_parts.tables").tables(MADE_UP)
    assert text.startswith("processor P, gpu G, torch 2; products in bf16: 500 TFLOP/s (989 by the data sheet)\n")
    # 4 * 3e9 * 20,000 operations of 500e12 a second
    assert "| ours | 20,000 | 0.250 | 40 | 3.00 GiB | 48.0% | 1.00 x |" in text
    assert "| theirs | 5,000 | 0.500 | 9 | 8.00 GiB | 12.0% | 4.00 x |" in text
    not_run = "| in 4 bits | not run: a library is missing: bitsandbytes |"
    assert f"{not_run} not measured | not measured | not measured | not measured | not measured |" in text
    assert "| a card of 24 GiB | 16 | on | yes | 20 | 22.00 GiB | 20.00 GiB | 1.10 |" in text
    assert "| 8 rows | 656 | 8.00 | not measured | not measured | 8.00 GiB |" in text
    assert "| a kernel | pass | 0.0012 | 3.2 |" in text
    assert "| another | failed: AssertionError: the difference is 1 | not measured | not measured |" in text


def test_every_row_of_a_table_has_as_many_cells_as_its_heading(benchmark: Callable[[str], Any]) -> None:
    text = benchmark("gpu_parts.tables").tables(MADE_UP)
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1, block
        assert not re.search(r"\| *\|", block), "a cell is empty"
