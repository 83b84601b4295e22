"""Load model files from a folder, from the Hub, or from a cache that an engine fills; code of a model is never run."""

from __future__ import annotations

import logging
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from vtune.errors import EngineError, in_a_line, printable, reason, shown
from vtune.runtime.paths import exclusive_access, new_folder
from vtune.runtime.untrusted import MAX_TOKENIZER_BYTES, read_json, require_regular, require_regular_files

logger = logging.getLogger(__name__)

CONFIG_FILE_NAMES = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
"""Files of a model in which transformers looks for names of Python files to import (``auto_map``)."""

_UNSAFE_WEIGHTS = "damaged, or they hold more than tensors, and vtune runs no code; use safetensors files"


def folder_or_hub_id(name: str, option: str) -> str:
    """Return the path of a folder, or a Hub id unchanged.

    :raises EngineError: the name is neither; names the option.
    :raises FileRefused: the folder holds a FIFO or a device, for which a library would wait for ever.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        require_regular_files(folder)
        return str(folder)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise EngineError(f"engine_options.{option}: there is no folder {name!r}, and the name is not a Hub id")
    return name


def fetch_file(name: str, file: str) -> Path | None:
    """Return the path of one file of a folder or Hub repository, None if there is no such file.

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
        raise EngineError(unreachable_message(name, error)) from error
    except EntryNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise EngineError(unreachable_message(name, error)) from error


def unreachable_message(name: str, error: Exception) -> str:
    """Return in one line why a model cannot be downloaded, and what to do."""
    return (
        f"{name!r} is not a folder and cannot be downloaded from the Hub ({in_a_line(error)[:160]}); check the name, "
        "accept the licence on the model's page and run 'hf auth login', or name a folder"
    )


def load_pretrained(kind: Any, name: str | Path, **settings: Any) -> Any:
    """Load a configuration, tokenizer, processor or network of transformers, without running code of the model.

    If a folder brings code for a model type that transformers knows, the code of transformers is used.

    :param kind: a class of transformers: ``AutoConfig``, ``AutoModelForCausalLM``, ``LlamaForCausalLM``.
    :param name: folder or Hub id.
    :param settings: see ``kind.from_pretrained``.
    :raises EngineError: the model cannot be loaded without its code (names the file that was refused), or its weights
        are damaged or hold more than tensors.
    :raises OSError, ValueError, ImportError: any other error of transformers.
    """
    import torch
    from safetensors import SafetensorError

    name = str(name)
    if Path(name).is_dir():
        require_regular_files(Path(name))
    _require_no_kernels(name)
    try:
        loaded = kind.from_pretrained(name, trust_remote_code=False, **settings)
    except UnpicklingError as error:  # torch's own message explains how to run the code
        raise EngineError(f"{name}: its weights are {_UNSAFE_WEIGHTS}") from error
    except SafetensorError as error:
        raise EngineError(f"{name}: its weights are damaged: {in_a_line(error)[:160]}; download them again") from error
    except (OSError, ValueError, ImportError, AttributeError, KeyError) as error:
        if code := _model_code_files(name):
            raise EngineError(
                f"{name} cannot be loaded without its own code ({code}), and vtune never runs code that comes with a "
                f"model; use a model type that transformers knows ({in_a_line(error)[:80]})"
            ) from error
        if isinstance(error, OSError | ValueError | ImportError):
            raise
        raise EngineError(f"{name} cannot be loaded: {reason(error)}") from error
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # damaged files lead to errors of any kind inside transformers
        raise EngineError(f"{name} cannot be loaded: {reason(error)}") from error
    if code := _model_code_files(name):
        logger.info("%s: its own code (%s) is not run, because transformers knows this model type", name, code)
    return loaded


def read_tensors(path: Path) -> Any:
    """Read the tensors of a ``.safetensors`` file, or tensors and plain data of a file by ``torch.save``.

    :raises EngineError: the file is damaged, or holds anything that would run code.
    """
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(str(path))
        # The file is mapped, not read, so that a part of a large file takes only its own memory; old files cannot be.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except UnpicklingError as error:  # as above
        raise EngineError(f"{path} cannot be read as a checkpoint: its weights are {_UNSAFE_WEIGHTS}") from error
    except Exception as error:  # a damaged file leads to errors of any kind inside torch, pickle and zipfile
        raise EngineError(f"{path} cannot be read as a checkpoint: {in_a_line(error)}") from error


@lru_cache(maxsize=64)
def _model_code_files(name: str) -> str:
    """Return the Python files that the configurations of a model ask for, as one text; empty if there are none."""
    files = {
        f"{str(entry).rpartition('--')[2].partition('.')[0]}.py"
        for settings in _configurations(name)
        for entry in _leaves(settings.get("auto_map"))
        if entry
    }
    return printable(", ".join(sorted(files)))[:120]


def _require_no_kernels(name: str) -> None:
    """Refuse a model whose configuration asks for attention or expert kernels as code from the Hub."""
    for settings in _configurations(name, CONFIG_FILE_NAMES[:1]):
        for key, value in _pairs(settings):
            if key.endswith(("implementation", "implementation_internal")) and isinstance(value, str) and "/" in value:
                raise EngineError(
                    f"{name}: its configuration asks for code from the Hub ({printable(key)}: {shown(value)}), and "
                    "vtune never runs code that a model names; remove this line from its config.json"
                )


def _configurations(name: str, files: Sequence[str] = CONFIG_FILE_NAMES) -> Iterator[dict[str, Any]]:
    for file in files:
        try:
            path = fetch_file(name, file)
            settings = read_json(path, MAX_TOKENIZER_BYTES) if path else None
        except (EngineError, OSError, ValueError):
            continue  # loading the model reports what is wrong with the file
        if isinstance(settings, dict):
            yield settings


def _pairs(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield each key of nested dictionaries with its value; the key of a dictionary also with every leaf below."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        yield key, value
        yield from _pairs(value)
        if isinstance(value, dict):
            yield from ((key, leaf) for leaf in _leaves(value))


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict | list):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from _leaves(value)
    else:
        yield tree


_HASH_BLOCK_BYTES = 1 << 16
_MAX_HASH_BLOCKS = 1024


def hash_file(path: Path) -> str:
    """Return the first 16 digits of a SHA-256 over a file's size and content.

    For a file over 64 MiB, the hash covers 1,024 blocks of 64 KiB that are spread evenly: two trainings differ in every
    block, and a voice must not read gigabytes before it speaks.
    """
    require_regular(path)
    size = path.stat().st_size
    digest = sha256(str(size).encode())
    step = max(_HASH_BLOCK_BYTES, size // _MAX_HASH_BLOCKS)
    with path.open("rb") as file:
        for offset in range(0, size, step):
            file.seek(offset)
            digest.update(file.read(_HASH_BLOCK_BYTES))
    return digest.hexdigest()[:16]


def build_once(engine: str, name: str, build: Callable[[Path], None], proof: str) -> Path:
    """Return a folder in the user's cache of model files, and fill it by ``build`` on first use.

    :param build: fills an existing empty folder; other processes wait until it is done.
    :param proof: a file whose existence shows that the folder is complete.
    """
    from huggingface_hub import cached_assets_path

    folder = Path(cached_assets_path("vtune", engine, name))
    if not (folder / proof).is_file():
        building = folder.with_name(f"{name}.building")
        with exclusive_access(building, "another process is building it", wait_seconds=math.inf):
            if not (folder / proof).is_file():  # else another process has built the folder meanwhile
                with new_folder(folder) as aside:
                    build(aside)
    return folder
