"""Recognise the release of a checkpoint by its contents, because a published ``config.yaml`` names a wrong version."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, Literal

from vtune import EngineError
from vtune.runtime.untrusted import FileRefused, require_regular

ReleaseName = Literal["2.0", "2.5"]

TEXT_TOKENS = 60_509
"""Text tokens of IndexTTS-2.5; IndexTTS-2 has 12,000."""

CODEC_FILE = "codec.pth"
TOKENIZER_SUFFIX = ".tiktoken"
SPEAKER_PROJECTION = "spk_emb_proj.weight"
"""A tensor of the GPT that only IndexTTS-2.5 has."""

MAX_NAMES_BYTES = 32 * 2**20
"""Bytes of a checkpoint's names that are read; published files have 0.1 MB."""


def release_of(content: Mapping[str, Any], path: Path) -> ReleaseName:
    """Return the release of a checkpoint.

    The configuration counts first: the number of text tokens, the tokenizer, the way of conditioning. If it says
    nothing, the names of tensors in ``gpt.pth`` decide, then the files beside it, then the version that it names.

    :param content: the configuration, with its section ``gpt``.
    :param path: the configuration's file.
    :raises EngineError: the checkpoint is of another release, such as IndexTTS 1.5.
    """
    gpt, version = content["gpt"], str(content.get("version", ""))
    if version.startswith("1") or "emo_condition_module" not in gpt:
        raise _refusal(path, version or "1")
    if _configured_as_2_5(content):
        return "2.5"
    projected = _holds_speaker_projection(path.parent / _gpt_name(content))
    if projected or (projected is None and _has_files_of_2_5(path.parent)) or version == "2.5":
        return "2.5"
    if version not in {"", "2", "2.0"}:
        raise _refusal(path, version)
    return "2.0"


def is_own_name(name: object) -> bool:
    """Tell whether a name in a configuration is a file below the checkpoint's folder, not a path of another machine."""
    return (
        isinstance(name, str) and bool(name) and not PurePath(name).is_absolute() and ".." not in PurePath(name).parts
    )


def _configured_as_2_5(content: Mapping[str, Any]) -> bool:
    gpt, dataset = content["gpt"], content.get("dataset")
    dataset = dataset if isinstance(dataset, Mapping) else {}
    return (
        gpt.get("number_text_tokens") == TEXT_TOKENS
        or gpt.get("spk_cond_mode") == "campplus"
        or dataset.get("tokenizer_type") == "tiktoken"
        or str(dataset.get("bpe_model", "")).endswith(TOKENIZER_SUFFIX)
    )


def _has_files_of_2_5(folder: Path) -> bool:
    return (folder / CODEC_FILE).is_file() or any(folder.glob(f"*{TOKENIZER_SUFFIX}"))


def _gpt_name(content: Mapping[str, Any]) -> str:
    name = content.get("gpt_checkpoint")
    return str(name) if is_own_name(name) else "gpt.pth"


def _holds_speaker_projection(path: Path) -> bool | None:
    """Search the names of tensors in a file by ``torch.save``, without loading it; None if there is no such file."""
    try:
        require_regular(path)
        with zipfile.ZipFile(path) as archive:
            listed = [info for info in archive.infolist() if info.filename.endswith("data.pkl")]
            if not listed or any(info.file_size > MAX_NAMES_BYTES for info in listed):
                return None
            return any(SPEAKER_PROJECTION.encode() in archive.read(info) for info in listed)
    except (OSError, zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, ValueError,
            FileRefused, zlib.error):  # fmt: skip
        return None  # a file that is missing or damaged is reported when it is loaded


def _refusal(path: Path, version: str) -> EngineError:
    return EngineError(
        f"{path} is of IndexTTS {version}: this engine speaks IndexTTS-2 and IndexTTS-2.5, whose networks are others; "
        "name one of these as base_model"
    )
