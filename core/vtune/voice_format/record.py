"""Find voices, and read and write the two files of a voice folder that only vtune uses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from vtune.errors import VoiceError, choices, first_problem, shown
from vtune.recipe import LoraRecipe
from vtune.runtime.paths import VoiceFolder
from vtune.runtime.untrusted import FileRefused, read_json, read_tensor_header, require_dtypes, require_sane, why
from vtune.types import Conditioning
from vtune.voice_format.adapter_config import check_adapter_config
from vtune.voice_format.hub_voice import HUB_PREFIX, fetch_hub_voice, is_hub_name
from vtune.voice_format.tensor_files import sort_metadata

MAX_CONDITIONING_BYTES = 256_000_000
"""Bytes of a voice's conditioning; the engines of this project write 0.1 to 10 MB."""

MAX_CONDITIONING_VALUE = 1e6
"""Largest magnitude in a voice's conditioning: token ids reach 200,000, features stay below 1,000."""

CONDITIONING_DTYPES = ("F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")

Text = Annotated[str, Field(max_length=20_000)]


def _complete_or_none(consent: dict[str, str] | None) -> dict[str, str] | None:
    """Return a consent only if it is complete, else None."""
    stated = consent is not None and all(consent.get(key, "").strip() for key in ("person", "statement"))
    return consent if stated else None


Consent = Annotated[dict[str, Text] | None, AfterValidator(_complete_or_none)]


class PartRecord(BaseModel):
    """One voice of a mix, as it was when the mix was made."""

    model_config = ConfigDict(extra="ignore")

    voice: Text
    weight: float = Field(ge=0, allow_inf_nan=False)
    adapter: Text = Field(description="The hash of the file of the voice's adapter, or of its whole network.")
    consent: Consent
    mix: MixRecord | None = None


class MixRecord(BaseModel):
    """The voices that a mix was made of."""

    model_config = ConfigDict(extra="ignore")

    parts: list[PartRecord] = Field(min_length=1)
    rank: int | None = Field(
        ge=1,
        description="The rank of the whole sum; the rank of the mixed voice may be lower. Null for fully fine-tuned "
        "voices.",
    )
    error: float = Field(
        0.0,
        allow_inf_nan=False,
        description="The part of the sum that the lower rank loses, as a ratio of Frobenius norms.",
    )


class ImportRecord(BaseModel):
    """The files of other software that a voice was made of."""

    model_config = ConfigDict(extra="ignore")

    layout: Text = Field(description="What the files were, such as `a LoRA of index-tts`.")
    files: dict[Text, Text] = Field(description="The name of each file, with a hash of its content.")
    notes: list[Text] = Field(description="What the files said, and what could not be known.")


class ExtensionRecord(BaseModel):
    """An extension that took part when a voice was made.

    :param origin: the extension with its distribution, for messages.
    :param wraps: the hooks of the engine that it wrapped.
    """

    model_config = ConfigDict(extra="ignore")

    origin: Text
    options: dict[str, Any]
    wraps: list[Text]


class VoiceRecord(BaseModel):
    """Content of ``voice.json``: the facts about a voice, for programs."""

    model_config = ConfigDict(extra="ignore")

    name: Text
    engine: Text
    engine_origin: Text
    engine_options: dict[str, Any]
    extensions: dict[Text, ExtensionRecord] = Field(
        {}, description="The extensions that took part, with the options that they had."
    )
    method: Literal["lora", "full"]
    sample_rate: int = Field(strict=True, ge=4_000, le=192_000)
    fingerprint: dict[str, Text] = Field(description="The hash of each part of the base that the adapter depends on.")
    servable: bool = Field(False, description="Whether vLLM can serve this adapter unmerged, beside others.")
    lora: dict[str, Any]
    training: dict[str, Any] = Field(description="The numbers of clips, minutes and steps, and the losses.")
    ledger: dict[str, Any] = Field(
        description="How many clips were trained on, and how many were left out, with the reasons."
    )
    consent: Consent
    licence: Text
    licence_id: Text = "other"
    licence_name: Text = ""
    vtune: Text
    created: Text
    mix: MixRecord | None = Field(None, description="Set if the voice was mixed instead of trained.")
    imported: ImportRecord | None = Field(None, description="Set if other software trained the voice.")

    @property
    def has_recipe(self) -> bool:
        """Whether vtune trained the voice, so that its recipe, its training and its clips are known."""
        return self.mix is None and self.imported is None

    @field_validator("lora")
    @classmethod
    def _require_valid_adapter(cls, lora: dict[str, Any]) -> dict[str, Any]:
        try:
            LoraRecipe.model_validate(lora)
        except ValidationError as error:
            raise PydanticCustomError("lora", "{problem}", {"problem": first_problem(error)}) from error
        return lora


def list_voices(voices: Path) -> list[VoiceFolder]:
    """Return all voices of a folder, sorted by name; each call reads the folder again.

    A voice is a sub-folder with ``adapter_config.json``, or with ``voice.json`` after full fine-tuning.
    """
    try:
        names = sorted(name for name in os.listdir(voices) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise VoiceError(f"{voices} cannot be read: {error.strerror}") from error
    folders = (VoiceFolder(voices / name) for name in names)
    return [voice for voice in folders if _is_voice(voice)]


def find_voice(name: str, voices: Path) -> VoiceFolder:
    """Find a voice by the path of its folder, by its name in ``voices``, or on the Hub (``hub:owner/name``).

    :raises VoiceError: there is no such voice; suggests the nearest name.
    """
    voice = fetch_hub_voice(name) if name.startswith(HUB_PREFIX) else voice_or_none(name, voices)
    if voice is not None:
        return voice
    names = [voice.name for voice in list_voices(voices)]
    raise VoiceError(f"no voice {shown(name)} in {voices}{choices(name, names, 'voices')}")


def voice_or_none(name: str, voices: Path) -> VoiceFolder | None:
    """Return the voice with a path, with a name in ``voices`` or on the Hub; None if there is no such voice.

    :raises VoiceError: the name is of the Hub, and the voice cannot be had from there.
    """
    if is_hub_name(name):
        return fetch_hub_voice(name)
    folders = (VoiceFolder(path) for path in (Path(name), voices / name))
    return next((folder for folder in folders if _is_voice(folder)), None)


def read_record(folder: VoiceFolder) -> VoiceRecord:
    """Read ``voice.json``, and check that ``adapter_config.json`` agrees with it.

    :raises VoiceError: a file is missing or damaged, or the two describe different adapters.
    """
    record = _read_unchecked_record(folder)
    if record.method == "lora" and os.path.lexists(folder.adapter_config):
        check_adapter_config(folder.adapter_config, LoraRecipe.model_validate(record.lora).settings())
    return record


def _read_unchecked_record(folder: VoiceFolder) -> VoiceRecord:
    try:
        return VoiceRecord.model_validate(read_json(folder.record))
    except FileNotFoundError as error:
        raise VoiceError(
            f"{folder.path} has an adapter but no voice.json, so vtune does not know the engine of the voice; if other "
            "software trained it, make a voice of it with 'vtune import FOLDER --engine ENGINE'"
        ) from error
    except ValidationError as error:
        problem = first_problem(error)
        raise VoiceError(f"{folder.record} is damaged: {problem}; make the voice again") from error
    except (FileRefused, OSError) as error:
        raise VoiceError(f"{folder.record} is damaged: {why(error)}; make the voice again") from error


def write_conditioning(conditioning: Conditioning, path: Path) -> None:
    """Write a conditioning as one safetensors file: tensors as tensors, strings as metadata."""
    from safetensors.numpy import save_file

    # np.ascontiguousarray would turn a single number into an array with one number.
    tensors = {name: np.asarray(array, order="C") for name, array in conditioning.tensors.items()}
    # Without a tensor and a string, safetensors 0.8 writes a file that it cannot read.
    save_file(tensors, str(path), metadata=dict(conditioning.strings) or None)
    sort_metadata(path)


def read_conditioning(path: Path) -> Conditioning:
    """Read a conditioning that ``write_conditioning`` wrote.

    :raises VoiceError: the file is missing or damaged, or a tensor holds impossible values; names the tensor.
    """
    from safetensors import SafetensorError, safe_open

    try:
        headers, strings = read_tensor_header(path)
        require_dtypes(path, headers, CONDITIONING_DTYPES)
        if path.stat().st_size > MAX_CONDITIONING_BYTES:
            raise FileRefused(path, f"it has more than {MAX_CONDITIONING_BYTES:,} bytes")
        with safe_open(str(path), framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in headers}
        for name, array in tensors.items():
            if array.size:
                require_sane(path, name, float(array.min()), float(array.max()), MAX_CONDITIONING_VALUE)
    except (OSError, SafetensorError, FileRefused) as error:
        raise VoiceError(f"{path} cannot be read: {why(error)}; make the voice again") from error
    return Conditioning(tensors, strings)


def _is_voice(folder: VoiceFolder) -> bool:
    # Unlike Path.is_file, os.path.isfile is false for a name that no file system accepts.
    return os.path.isfile(folder.adapter_config) or os.path.isfile(folder.record)
