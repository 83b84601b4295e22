"""The registry of voices, and the two files of a voice folder that vtune itself reads."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vtune.errors import VoiceError, in_a_line, nearest, shown
from vtune.folders import VoiceFolder
from vtune.tensor_files import sort_metadata
from vtune.types import Conditioning


class PartRecord(BaseModel):
    """A voice that went into a mix, as it was then."""

    model_config = ConfigDict(extra="ignore")

    voice: str
    weight: float
    adapter: str = Field(description="hash of its adapter's file")
    consent: dict[str, str] | None
    mix: MixRecord | None = None


class MixRecord(BaseModel):
    """What a mix was made of."""

    model_config = ConfigDict(extra="ignore")

    parts: list[PartRecord]
    rank: int = Field(description="of the whole sum; the voice's own may be less")
    error: float = Field(0.0, description="what the lower rank leaves out, as a share of the sum (Frobenius norms)")


class VoiceRecord(BaseModel):
    """``voice.json``: everything about a voice that a program may want to know."""

    model_config = ConfigDict(extra="ignore")

    name: str
    engine: str
    engine_origin: str
    engine_options: dict[str, Any]
    method: str
    sample_rate: int
    fingerprint: dict[str, str] = Field(description="hash of every part of the base that the adapter depends on")
    servable: bool = Field(description="whether the adapter can be served unmerged, next to others")
    lora: dict[str, Any]
    training: dict[str, Any] = Field(description="clips, minutes, steps, losses")
    ledger: dict[str, Any] = Field(description="totals: what was trained on, what was not and why")
    consent: dict[str, str] | None
    licence: str
    licence_id: str = "other"
    licence_name: str = ""
    vtune: str
    created: str
    mix: MixRecord | None = Field(None, description="for a voice that was mixed, not trained")


def list_voices(voices: Path) -> list[VoiceFolder]:
    """Return every voice of a folder, by name; looked up afresh at each call.

    A voice is a sub-folder with ``adapter_config.json``, or with ``voice.json`` for a full fine-tuning.
    """
    try:
        names = sorted(name for name in os.listdir(voices) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise VoiceError(f"{voices} cannot be read: {error.strerror}") from error
    found = (VoiceFolder(voices / name) for name in names)
    return [voice for voice in found if _is_voice(voice)]


def find_voice(name: str, voices: Path) -> VoiceFolder:
    """Resolve what a user typed: the path of a voice folder, or a name in ``voices``.

    :raises VoiceError: there is none; suggests the nearest name.
    """
    found = voice_there(name, voices)
    if found is not None:
        return found
    known = [voice.name for voice in list_voices(voices)]
    listed = ", ".join(known) or "none"
    raise VoiceError(f"no voice {shown(name)} in {voices}{nearest(name, known)} (voices: {listed})")


def voice_there(name: str, voices: Path) -> VoiceFolder | None:
    """Return the voice of a path or a name in ``voices``, None where there is none."""
    folders = (VoiceFolder(path) for path in (Path(name), voices / name))
    return next((folder for folder in folders if _is_voice(folder)), None)


def read_record(folder: VoiceFolder) -> VoiceRecord:
    """Read ``voice.json``. :raises VoiceError: it is not there or damaged."""
    try:
        return VoiceRecord.model_validate(json.loads(folder.record.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise VoiceError(f"{folder.path} has an adapter but no voice.json, so vtune cannot tell its engine") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "everything"
        raise VoiceError(f"{folder.record} is damaged: {place}: {first['msg']}; make the voice again") from error
    except (ValueError, OSError, RecursionError) as error:
        reason = in_a_line(error)
        raise VoiceError(f"{folder.record} is damaged: {reason}; make the voice again") from error


def write_conditioning(conditioning: Conditioning, path: Path) -> None:
    """Write one safetensors file: tensors as they are, strings as its metadata."""
    from safetensors.numpy import save_file

    # Not np.ascontiguousarray, which turns a single number into an array of one.
    tensors = {name: np.asarray(array, order="C") for name, array in conditioning.tensors.items()}
    # safetensors 0.8 writes a file that it cannot read when there is neither a tensor nor a string.
    save_file(tensors, str(path), metadata=dict(conditioning.strings) or None)
    sort_metadata(path)


def read_conditioning(path: Path) -> Conditioning:
    """Read what ``write_conditioning`` wrote. :raises VoiceError: the file is not there or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            strings: Mapping[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- not a dict
    except (OSError, SafetensorError, TypeError) as error:  # TypeError: a dtype that numpy does not have
        raise VoiceError(f"{path} cannot be read: {error}; make the voice again") from error
    return Conditioning(tensors, dict(strings))


def _is_voice(folder: VoiceFolder) -> bool:
    # Unlike Path.is_file, os.path's is false for a name that no file system takes.
    return os.path.isfile(folder.adapter_config) or os.path.isfile(folder.record)
