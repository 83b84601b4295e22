"""Scripts that tests do not run can at least be imported: a name that has moved fails here, not before a user."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

IMPORT_ALL = """
import sys
from importlib import import_module
from pathlib import Path

for path in map(Path, sys.argv[1:]):
    folder = str(path.parent)
    sys.path.insert(0, folder)
    before = set(sys.modules)
    try:
        import_module(path.stem)
    except ModuleNotFoundError as error:
        if error.name.startswith("vtune"):
            raise
    except ImportError as error:
        sys.exit(f"{path}: {error}")
    sys.path.remove(folder)
    for name in set(sys.modules) - before:  # neighbours of two scripts may have the same name
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(folder):
            del sys.modules[name]
"""


@pytest.mark.parametrize("folder", ["benchmarks", "tools"])
def test_every_script_can_be_imported(folder: str) -> None:
    scripts = [path for path in sorted((ROOT / folder).rglob("*.py")) if "__main__" in path.read_text(encoding="utf-8")]
    assert len(scripts) >= 5
    command = [sys.executable, "-c", IMPORT_ALL, *map(str, scripts)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
