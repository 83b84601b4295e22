"""Finding and reading the files of a checkpoint and its codec; nothing is unpickled but tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vtune import EngineError
from vtune.runtime.untrusted import FileRefused, read_json_object, why
from vtune.toolkit import fetch_file, folder_or_hub_id

SNAC_24KHZ = "hubertsiuzdak/snac_24khz"
NANO = "nano"
"""Names the small trained checkpoint that comes with vtune, and its folder in this package."""


def checkpoint_name(base_model: str) -> str:
    """Return the folder or Hub id that transformers should load."""
    if base_model == NANO:
        return str(Path(__file__).with_name(NANO))
    return folder_or_hub_id(base_model, "base_model")


def codec_name(codec: str | None, checkpoint: str) -> str:
    """Return the folder or Hub id of the codec: the one asked for, the checkpoint's own ``snac/``, or SNAC 24 kHz."""
    own = Path(checkpoint) / "snac"
    if codec is not None:
        return str(Path(codec).expanduser()) if Path(codec).expanduser().is_dir() else codec
    return str(own) if own.is_dir() else SNAC_24KHZ


def codec_config(name: str) -> dict[str, Any]:
    """Read the codec's ``config.json``. :raises EngineError: there is none."""
    path = fetch_file(name, "config.json")
    if path is None:
        raise EngineError(f"{name}: no config.json; it is not a SNAC codec")
    try:
        return read_json_object(path)
    except (OSError, FileRefused) as error:
        raise EngineError(f"{path} cannot be read: {why(error)}") from error


def codec_weights(name: str) -> Path:
    """Return the codec's weights: safetensors where there are some, else the published ``pytorch_model.bin``."""
    for file in ("model.safetensors", "pytorch_model.bin"):
        path = fetch_file(name, file)
        if path is not None:
            return path
    raise EngineError(f"{name}: neither model.safetensors nor pytorch_model.bin; it is not a SNAC codec")
