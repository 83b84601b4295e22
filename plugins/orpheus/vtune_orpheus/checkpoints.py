"""Find and read the files of a checkpoint and of its codec. Only tensors are ever unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vtune import EngineError, Licence
from vtune.runtime.untrusted import FileRefused, read_json_object, why
from vtune.toolkit import fetch_file, folder_or_hub_id

SNAC_24KHZ = "hubertsiuzdak/snac_24khz"
NANO = "nano"
"""The name of the small trained checkpoint that comes with vtune, and of its folder in this package."""

NANO_LICENCE = Licence(
    "The base nano is Apache-2.0, like vtune: keep the notice. No weight of it derives from Llama. It learned from "
    "speech synthesisers; one of them, piper's joe, was itself fine-tuned from recordings that are licensed for "
    "research only. So use voices of nano to learn vtune, and not in a product.",
    licence_id="apache-2.0",
)


def checkpoint_name(base_model: str) -> str:
    """Return the folder or Hub id that transformers loads."""
    if base_model == NANO:
        return str(Path(__file__).with_name(NANO))
    return folder_or_hub_id(base_model, "base_model")


def is_nano(checkpoint: str) -> bool:
    """Return whether a checkpoint is the folder of nano in this package, by whatever path it is named."""
    return Path(checkpoint).resolve() == Path(__file__).with_name(NANO).resolve()


def codec_name(codec: str | None, checkpoint: str) -> str:
    """Return the folder or Hub id of the codec: the requested one, the checkpoint's own ``snac/``, or SNAC 24 kHz."""
    own = Path(checkpoint) / "snac"
    if codec is not None:
        return str(Path(codec).expanduser()) if Path(codec).expanduser().is_dir() else codec
    return str(own) if own.is_dir() else SNAC_24KHZ


def codec_config(name: str) -> dict[str, Any]:
    """Read the codec's ``config.json``. :raises EngineError: the file is missing or cannot be read."""
    path = fetch_file(name, "config.json")
    if path is None:
        raise EngineError(f"{name}: there is no config.json, so it is not a SNAC codec; name another codec")
    try:
        return read_json_object(path)
    except (OSError, FileRefused) as error:
        raise EngineError(f"{path} cannot be read: {why(error)}") from error


def codec_weights(name: str) -> Path:
    """Return the path of the codec's weights: safetensors if there are any, otherwise ``pytorch_model.bin``."""
    for file in ("model.safetensors", "pytorch_model.bin"):
        path = fetch_file(name, file)
        if path is not None:
            return path
    raise EngineError(
        f"{name}: there is no model.safetensors and no pytorch_model.bin, so it is not a SNAC codec; name another codec"
    )
