"""Open a base of any format by the name of a file, of a folder, or of a repository on the Hub."""

from __future__ import annotations

from pathlib import Path

from vtune import EngineError
from vtune.errors import listed, shown
from vtune.runtime.untrusted import FileRefused, read_json, require_regular_files
from vtune.toolkit import fetch_file, folder_or_hub_id
from vtune_vits.bases.base_files import BaseFiles
from vtune_vits.bases.piper_checkpoint import open_piper_checkpoint
from vtune_vits.bases.piper_onnx import open_piper_onnx
from vtune_vits.bases.transformers_folder import open_transformers

OPTION = "base_model"

_OPENERS = {".onnx": open_piper_onnx, ".ckpt": open_piper_checkpoint}

_CHECKPOINT_JSON = "config.json"


def open_base(name: str | Path) -> BaseFiles:
    """Return what is known of a base; its weights are read when they are loaded.

    :param name: a Piper voice (``voice.onnx`` beside ``voice.onnx.json``), a Piper checkpoint (``voice.ckpt`` beside
        ``config.json``), a folder that holds one of them or a ``VitsModel`` of transformers, the Hub id of a
        ``VitsModel`` (``facebook/mms-tts-eng``), or a file of a Hub repository (``rhasspy/piper-voices/en/x.onnx``).
    :raises EngineError: it is none of these, or it cannot be reached.
    :raises FileRefused: a file is damaged or no file of a base; in one line.
    """
    name = str(name)
    path = Path(name.removesuffix(".json") if name.endswith(".onnx.json") else name).expanduser()
    if path.is_dir():
        return _open_folder(path)
    if path.exists():
        return _open_file(path)
    suffix = path.suffix
    if suffix in _OPENERS and name.count("/") >= 2 and not name.startswith((".", "/", "~")):
        return _open_hub_file(name)
    if suffix in (*_OPENERS, ".json"):
        raise EngineError(f"engine_options.{OPTION}: there is no file {name!r}")
    return open_transformers(folder_or_hub_id(name, OPTION))


def _open_file(path: Path) -> BaseFiles:
    opener = _OPENERS.get(path.suffix)
    if opener is None:
        raise EngineError(
            f"engine_options.{OPTION}: {path} is no base; expected a Piper voice (.onnx), a Piper checkpoint (.ckpt), "
            "or the folder of a VitsModel of transformers"
        )
    return opener(path)


def _open_folder(folder: Path) -> BaseFiles:
    require_regular_files(folder)
    if _is_transformers(folder):
        return open_transformers(str(folder))
    candidates = sorted(path for path in folder.iterdir() if path.suffix in _OPENERS)
    if len(candidates) == 1:
        return _open_file(candidates[0])
    if candidates:
        names = listed(path.name for path in candidates)
        raise EngineError(f"engine_options.{OPTION}: {folder} holds several bases ({names}); name one of the files")
    raise EngineError(
        f"engine_options.{OPTION}: {folder} holds no base; expected a Piper voice (.onnx), a Piper checkpoint (.ckpt), "
        "or config.json and the weights of a VitsModel of transformers"
    )


def _is_transformers(folder: Path) -> bool:
    """Return whether ``config.json`` is one of transformers; that of a Piper checkpoint has no ``model_type``."""
    path = folder / _CHECKPOINT_JSON
    if not path.is_file():
        return False
    content = read_json(path)
    return isinstance(content, dict) and "model_type" in content


def _open_hub_file(name: str) -> BaseFiles:
    """Open ``owner/repository/folder/voice.onnx``; its JSON and its card are fetched beside it."""
    owner, repository, file = name.split("/", 2)
    source = f"{owner}/{repository}"
    path = fetch_file(source, file)
    if path is None:
        raise EngineError(f"engine_options.{OPTION}: the repository {source} has no file {shown(file)}")
    folder = file.rpartition("/")[0]
    beside = [f"{file}.json", *(f"{folder}/{name}".lstrip("/") for name in (_CHECKPOINT_JSON, "MODEL_CARD"))]
    if not any([fetch_file(source, name) for name in beside[: 1 if path.suffix == ".onnx" else 2]]):
        raise FileRefused(path, f"the repository {source} has no JSON beside it")
    fetch_file(source, beside[-1])
    return _OPENERS[path.suffix](path)
