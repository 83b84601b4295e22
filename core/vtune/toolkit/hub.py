"""Files of models: in a folder, on the Hub, or built once by an engine itself. Nothing that comes with them is run."""

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
from vtune.runtime.paths import alone, new_folder
from vtune.runtime.untrusted import MAX_TOKENIZER_BYTES, read_json, require_regular, require_regular_files

logger = logging.getLogger(__name__)

CONFIG_FILES = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")
"""Files of a model in which transformers looks for the names of Python files (``auto_map``) to import."""

NOT_TENSORS = "damaged, or more than tensors, which would have to run; take safetensors"


def folder_or_hub_id(name: str, option: str) -> str:
    """Return a folder's path, or a Hub id as it is.

    :raises EngineError: it is neither; names the option.
    :raises FileRefused: in the folder lies what a library would wait for without end: a FIFO, a device.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        require_regular_files(folder)
        return str(folder)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise EngineError(f"engine_options.{option}: there is no folder {name!r}, and it is no Hub id")
    return name


def fetch_file(name: str, file: str) -> Path | None:
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
    return (
        f"{name!r} is no folder here and cannot be had from the Hub ({in_a_line(error)[:160]}); check the name, "
        "accept its licence on its page and run 'hf auth login', or name a folder"
    )


def load_pretrained(kind: Any, name: str | Path, **settings: Any) -> Any:
    """Load a configuration, a tokenizer, a processor or a network of transformers without the code that came with it.

    A folder that brings code for a kind of model that transformers knows is loaded as what transformers knows.

    :param kind: a class of transformers: ``AutoConfig``, ``AutoModelForCausalLM``, ``LlamaForCausalLM``.
    :param name: folder or Hub id.
    :param settings: see ``kind.from_pretrained``.
    :raises EngineError: it cannot be loaded without its code (names the file that was refused), or its weights
        are damaged or hold more than tensors.
    :raises OSError, ValueError, ImportError: whatever else transformers says of it.
    """
    import torch
    from safetensors import SafetensorError

    name = str(name)
    if Path(name).is_dir():
        require_regular_files(Path(name))
    _require_no_kernels(name)
    try:
        loaded = kind.from_pretrained(name, trust_remote_code=False, **settings)
    except UnpicklingError as error:  # torch's own message tells how to run it all the same
        raise EngineError(f"{name}: its weights are {NOT_TENSORS}") from error
    except SafetensorError as error:
        raise EngineError(f"{name}: its weights are damaged: {in_a_line(error)[:160]}; fetch them again") from error
    except (OSError, ValueError, ImportError, AttributeError, KeyError) as error:
        if code := _code_of(name):
            raise EngineError(
                f"{name}: cannot be loaded without its own code ({code}), and vtune runs no code that comes with a "
                f"model; take a model of a kind that transformers knows ({in_a_line(error)[:80]})"
            ) from error
        if isinstance(error, OSError | ValueError | ImportError):
            raise
        raise EngineError(f"{name}: cannot be loaded: {reason(error)}") from error
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # what damaged files lead to inside transformers is beyond listing
        raise EngineError(f"{name}: cannot be loaded: {reason(error)}") from error
    if code := _code_of(name):
        logger.info("%s: its own code (%s) is not run; transformers knows this kind of model", name, code)
    return loaded


def read_tensors(path: Path) -> Any:
    """Read a ``.safetensors`` file, or what ``torch.save`` wrote, as far as it consists of tensors and plain data.

    :raises EngineError: it is damaged, or holds anything that would have to be run.
    """
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(str(path))
        # Mapped, not read, so that a part of a large file costs no more than itself; old files cannot be mapped.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except UnpicklingError as error:  # as above
        raise EngineError(f"{path} cannot be read as a checkpoint: it is {NOT_TENSORS}") from error
    except Exception as error:  # what a damaged file leads to inside torch, pickle and zipfile is beyond listing
        raise EngineError(f"{path} cannot be read as a checkpoint: {in_a_line(error)}") from error


@lru_cache(maxsize=64)
def _code_of(name: str) -> str:
    """Name the Python files that a model's configurations ask for; empty where there are none."""
    files = {
        f"{str(entry).rpartition('--')[2].partition('.')[0]}.py"
        for settings in _settings_of(name)
        for entry in _leaves(settings.get("auto_map"))
        if entry
    }
    return printable(", ".join(sorted(files)))[:120]


def _require_no_kernels(name: str) -> None:
    """Refuse a model whose configuration names attention or experts to be downloaded as code from the Hub."""
    for settings in _settings_of(name, CONFIG_FILES[:1]):
        for key, value in _pairs(settings):
            if key.endswith(("implementation", "implementation_internal")) and isinstance(value, str) and "/" in value:
                raise EngineError(
                    f"{name}: its configuration asks for code from the Hub ({printable(key)}: {shown(value)}), and "
                    "vtune runs no code that a model names; take that line out of its config.json"
                )


def _settings_of(name: str, files: Sequence[str] = CONFIG_FILES) -> Iterator[dict[str, Any]]:
    for file in files:
        try:
            path = fetch_file(name, file)
            settings = read_json(path, MAX_TOKENIZER_BYTES) if path else None
        except (EngineError, OSError, ValueError):
            continue  # whoever loads it says what is wrong with it
        if isinstance(settings, dict):
            yield settings


def _pairs(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key of nested dictionaries with its value; where that is a dictionary, with its leaves as well."""
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


_BLOCK = 1 << 16
_BLOCKS = 1024


def hash_file(path: Path) -> str:
    """Return the first 16 digits of a SHA-256 over a file's size and content.

    Of a file over 64 MiB, over 1,024 blocks of 64 KiB that are spread evenly: weights differ everywhere or nowhere, and
    a voice shall not read gigabytes before it speaks.
    """
    require_regular(path)
    size = path.stat().st_size
    digest = sha256(str(size).encode())
    step = max(_BLOCK, size // _BLOCKS)
    with path.open("rb") as file:
        for place in range(0, size, step):
            file.seek(place)
            digest.update(file.read(_BLOCK))
    return digest.hexdigest()[:16]


def built_once(engine: str, name: str, build: Callable[[Path], None], proof: str) -> Path:
    """Return a folder of the user's cache of model files, filled by ``build`` on first use.

    :param build: fills an existing empty folder; whoever asks meanwhile waits.
    :param proof: a file whose presence says that the folder is whole.
    """
    from huggingface_hub import cached_assets_path

    folder = Path(cached_assets_path("vtune", engine, name))
    if not (folder / proof).is_file():
        building = folder.with_name(f"{name}.building")
        with alone(building, "another process is building it", wait_seconds=math.inf):
            if not (folder / proof).is_file():  # else another process has built it meanwhile
                with new_folder(folder) as aside:
                    build(aside)
    return folder
