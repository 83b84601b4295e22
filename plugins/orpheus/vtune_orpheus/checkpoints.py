"""Finding and reading the files of a checkpoint and its codec; nothing is unpickled but tensors."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from vtune import EngineError

SNAC_24KHZ = "hubertsiuzdak/snac_24khz"
NANO = "nano"


def checkpoint_name(base_model: str) -> str:
    """Return the folder or Hub id that transformers should load; builds the small checkpoint if it is asked for."""
    if base_model != NANO:
        folder = Path(base_model).expanduser()
        if folder.is_dir():
            return str(folder)
        if base_model.count("/") != 1 or base_model.startswith((".", "/", "~")):
            raise EngineError(f"engine_options.base_model: there is no folder {base_model!r}, and it is no Hub id")
        return base_model
    from vtune_orpheus.nano import nano_checkpoint

    return str(nano_checkpoint())


def codec_name(codec: str | None, checkpoint: str) -> str:
    """Return the folder or Hub id of the codec: the one asked for, the checkpoint's own ``snac/``, or SNAC 24 kHz."""
    own = Path(checkpoint) / "snac"
    if codec is not None:
        return str(Path(codec).expanduser()) if Path(codec).expanduser().is_dir() else codec
    return str(own) if own.is_dir() else SNAC_24KHZ


def fetch(name: str, file: str) -> Path | None:
    """Return a file of a folder or Hub repository, None where it has no such file.

    :raises EngineError: the repository cannot be reached and the file is not in the local cache.
    """
    if Path(name).is_dir():
        path = Path(name) / file
        return path if path.is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(name, file))
    except LocalEntryNotFoundError as error:
        raise EngineError(unreachable(name, error)) from error
    except EntryNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise EngineError(unreachable(name, error)) from error


def unreachable(name: str, error: Exception) -> str:
    """Say in one line why a model could not be had, and what to do."""
    reason = " ".join(str(error).split())[:160]
    return (
        f"{name!r} is no folder here and cannot be had from the Hub ({reason}); check the name, accept its licence on "
        "its page and run 'hf auth login', or name a folder"
    )


def codec_config(name: str) -> dict[str, Any]:
    """Read the codec's ``config.json``. :raises EngineError: there is none."""
    path = fetch(name, "config.json")
    if path is None:
        raise EngineError(f"{name}: no config.json; it is not a SNAC codec")
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EngineError(f"{path} is not JSON: {error}") from error
    return config


def codec_weights(name: str) -> Path:
    """Return the codec's weights: safetensors where there are some, else the published ``pytorch_model.bin``."""
    for file in ("model.safetensors", "pytorch_model.bin"):
        path = fetch(name, file)
        if path is not None:
            return path
    raise EngineError(f"{name}: neither model.safetensors nor pytorch_model.bin; it is not a SNAC codec")


def read_weights(path: Path) -> dict[str, Any]:
    """Read tensors by name."""
    import torch
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        return load_file(str(path))
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def hash_file(path: Path) -> str:
    """Return the first 16 digits of a file's SHA-256."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]
