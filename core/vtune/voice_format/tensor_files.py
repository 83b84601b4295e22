"""Safetensors files that are the same bytes whenever they hold the same."""

from __future__ import annotations

import json
from pathlib import Path

_SIZE_BYTES = 8


def sort_metadata(path: Path) -> None:
    """Put the strings of a safetensors file in order, which safetensors writes in another one in every process."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(_SIZE_BYTES), "little")
        header = json.loads(file.read(size))
        strings = header.pop("__metadata__", {})
        if len(strings) < 2:
            return
        ordered = {"__metadata__": dict(sorted(strings.items())), **header}
        # The same keys and values are as long in any order; what is left is padding, as before.
        written = json.dumps(ordered, ensure_ascii=False, separators=(",", ":")).encode().ljust(size)
        if len(written) != size:
            raise ValueError(f"{path}: the header takes {len(written)} bytes instead of {size}")
        file.seek(_SIZE_BYTES)
        file.write(written)
