"""Files of models: in a folder, on the Hub, or built once by an engine itself."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import filelock

from vtune.errors import EngineError, in_a_line
from vtune.folders import new_folder


def folder_or_hub_id(name: str, option: str) -> str:
    """Return a folder's path, or a Hub id as it is. :raises EngineError: it is neither; names the option."""
    folder = Path(name).expanduser()
    if folder.is_dir():
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


_BLOCK = 1 << 16
_BLOCKS = 1024


def hash_file(path: Path) -> str:
    """Return the first 16 digits of a SHA-256 over a file's size and content.

    Of a file over 64 MiB, over 1,024 blocks of 64 KiB that are spread evenly: weights differ everywhere or nowhere, and
    a voice shall not read gigabytes before it speaks.
    """
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
        with filelock.FileLock(folder.with_name(f".{name}.lock")):
            if not (folder / proof).is_file():  # else another process has built it meanwhile
                with new_folder(folder) as aside:
                    build(aside)
    return folder
