"""Make safetensors files reproducible: the same content gives the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

_SIZE_BYTES = 8


def sort_metadata(path: Path) -> None:
    """Sort the metadata of a safetensors file, which safetensors writes in a different order in each process."""
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(_SIZE_BYTES), "little")
        header = json.loads(file.read(size))
        strings = header.pop("__metadata__", {})
        if len(strings) < 2:
            return
        ordered = {"__metadata__": dict(sorted(strings.items())), **header}
        # The keys and values have the same length in any order; the rest is padding, as before.
        written = json.dumps(ordered, ensure_ascii=False, separators=(",", ":")).encode().ljust(size)
        if len(written) != size:
            raise ValueError(f"{path}: the header takes {len(written)} bytes instead of {size}")
        file.seek(_SIZE_BYTES)
        file.write(written)
