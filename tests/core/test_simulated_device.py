"""The device of the tests that stands for a GPU refuses what a GPU refuses, and computes what a CPU computes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parents[1] / "harness" / "device_checks.py"


def test_it_is_a_gpu_that_computes_as_a_cpu() -> None:
    """In a process of its own, because a device that was once made known stays in the process."""
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.endswith("all checks passed\n")
