"""Start the program that lives on both devices."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("device_life.py")


def lives_alike(engine: str, options: list[dict[str, Any]], folder: Path) -> None:
    """Check that an engine does the same on the simulated device as on the CPU, with each of the options."""
    command = [sys.executable, str(PROGRAM), engine, str(folder), json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    printed = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert printed == ["[]"] * len(options)
