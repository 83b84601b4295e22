"""Read files that a stranger may have made: a voice, a base, a recipe, a table.

Only regular files are read, because a FIFO or a device would block or never end, and never more bytes than a limit.
The content is checked against limits of depth and size, so that later code can neither hang nor run out of stack or
memory. A file that breaks a limit raises ``FileRefused`` with one line; a file that is missing, or that this account
may not read, still raises ``OSError``.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from vtune.errors import VtuneError, in_a_line, shown

MAX_TEXT_BYTES = 4_000_000
"""Bytes of a text file of a voice or a base; the largest that vtune writes (scores.json) has about 100 kB."""

MAX_TOKENIZER_BYTES = 100_000_000
"""Bytes of a tokenizer.json; that of Llama 3 has 17 MB."""

MAX_JSON_DEPTH = 40
"""Levels of nested lists and objects; vtune itself writes fewer than ten."""

MAX_INTEGER_DIGITS = 18
"""Digits of an integer, so that it fits into 64 bits and into a float."""

MAX_HEADER_BYTES = 10_000_000
"""Bytes of a safetensors header; that of a network with 10,000 tensors has 1.5 MB."""

MAX_TENSOR_AXES = 8

_KIND_NAMES = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


class FileRefused(VtuneError, ValueError):
    """A file that is not what it should be; a ``ValueError``, like the errors of JSON and Unicode.

    :param reason: what was found, without the name of the file.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor, as a safetensors header describes it.

    :param dtype: safetensors' name of the number format, such as ``F32`` or ``BF16``.
    """

    dtype: str
    shape: tuple[int, ...]


def why(error: Exception) -> str:
    """Return in one line why a file could not be read, without the name of the file."""
    if isinstance(error, FileRefused):
        return error.reason
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return in_a_line(error)


def require_regular(path: Path) -> None:
    """Refuse a path that is not a regular file, without opening it. :raises FileRefused: a FIFO, a device, a folder."""
    kind = stat.S_IFMT(os.stat(path).st_mode)
    if kind != stat.S_IFREG:
        raise FileRefused(path, f"it is {_KIND_NAMES.get(kind, 'a special file')}, expected a regular file")


def require_regular_files(folder: Path) -> None:
    """Refuse a folder that holds, itself or in a sub-folder, anything but regular files and folders.

    For folders that another library reads: it would wait for a FIFO for ever. Broken links count as no file.

    :raises FileRefused: names the first such file.
    """
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        try:
            if not path.is_dir():
                require_regular(path)
        except OSError:
            continue


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading bytes, without ever waiting.

    :raises FileRefused: the path is not a regular file.
    """
    require_regular(path)
    # If the file has become a FIFO meanwhile, opening it does not block either.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """Read all bytes of a file. :raises FileRefused: the file is not regular, or has more than ``max_bytes``."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise FileRefused(path, f"it has {size:,} bytes, at most {max_bytes:,} are allowed")
        return file.read(max_bytes)


def read_text(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Read a UTF-8 text file, with or without a byte order mark.

    :raises FileRefused: the file is not UTF-8, or too large.
    """
    try:
        return read_bytes(path, max_bytes).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileRefused(path, f"it is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def read_json(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> Any:
    """Read a JSON file. :raises FileRefused: the file is not JSON, or breaks a limit; see ``parse_json``."""
    text = read_text(path, max_bytes)
    try:
        return parse_json(text)
    except ValueError as error:
        raise FileRefused(path, f"it is not valid JSON: {in_a_line(error)}") from error


def read_json_object(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> dict[str, Any]:
    """Read a JSON file that holds one object. :raises FileRefused: the file holds something else."""
    value = read_json(path, max_bytes)
    if not isinstance(value, dict):
        raise FileRefused(path, f"it must hold a JSON object, found {shown(value)}")
    return value


def parse_json(text: str) -> Any:
    """Parse JSON more strictly than Python: no key twice, no integer beyond 64 bits, no deep nesting.

    NaN and Infinity pass, because vtune itself writes NaN for a number that it could not measure: check each number
    before you use it.

    :raises ValueError: says what is wrong.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys_object, parse_int=_bounded_integer)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _require_shallow(value)
    return value


def read_tensor_header(path: Path) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """Read the header of a safetensors file, without its tensors: a ``TensorInfo`` for each name, and the metadata.

    :raises FileRefused: the header is damaged, too large or impossible. The offsets of the tensors are not checked
        here: safetensors checks them when it opens the file.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise FileRefused(path, "it is not a complete safetensors file")
        if length > MAX_HEADER_BYTES:
            raise FileRefused(path, f"its header has {length:,} bytes, at most {MAX_HEADER_BYTES:,} are allowed")
        header = file.read(length)
    try:
        entries = parse_json(header.decode("utf-8"))
    except ValueError as error:
        raise FileRefused(path, f"its header is not valid JSON: {in_a_line(error)}") from error
    if not isinstance(entries, dict):
        raise FileRefused(path, "its header is not a JSON object")
    strings = entries.pop("__metadata__", None) or {}
    if not isinstance(strings, dict) or not all(isinstance(value, str) for value in strings.values()):
        raise FileRefused(path, "the metadata in its header must be strings")
    return {name: _tensor_info(path, name, entry) for name, entry in entries.items()}, strings


def require_sane(path: Path, name: str, lowest: float, highest: float, limit: float) -> None:
    """Refuse a tensor whose values cannot be those of a voice.

    :param lowest: smallest value of the tensor, ``highest`` the largest; NaN if any value is NaN.
    :param limit: largest magnitude allowed.
    :raises FileRefused: a value is NaN or infinite, or larger than ``limit``; names the tensor.
    """
    for value in (lowest, highest):
        if not math.isfinite(value):
            raise FileRefused(path, f"tensor {shown(name)} holds {value}, and a voice needs finite numbers")
        if abs(value) > limit:
            raise FileRefused(path, f"tensor {shown(name)} holds {value:.3g}, magnitudes up to {limit:g} are allowed")


def require_dtypes(path: Path, tensors: Mapping[str, TensorInfo], dtypes: Iterable[str]) -> None:
    """Refuse tensors whose dtype is not in ``dtypes``. :raises FileRefused: names the first such tensor."""
    allowed = tuple(dtypes)
    for name, info in tensors.items():
        if info.dtype not in allowed:
            listed = ", ".join(allowed)
            raise FileRefused(path, f"tensor {shown(name)} has the dtype {shown(info.dtype)}, expected {listed}")


_TOO_DEEP = f"lists and objects are nested more than {MAX_JSON_DEPTH} levels deep"


def _unique_keys_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        duplicate, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {shown(duplicate)} appears twice")
    return result


def _bounded_integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_INTEGER_DIGITS:
        raise ValueError(f"a number has {len(digits):,} digits, at most {MAX_INTEGER_DIGITS} are allowed")
    return int(digits)


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(MAX_JSON_DEPTH + 1):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _tensor_info(path: Path, name: str, entry: Any) -> TensorInfo:
    dtype, shape = (entry.get("dtype"), entry.get("shape")) if isinstance(entry, dict) else (None, None)
    if not isinstance(dtype, str) or not isinstance(shape, list) or not all(map(_is_count, shape)):
        raise FileRefused(path, f"tensor {shown(name)} needs a dtype and a shape in the header, found {shown(entry)}")
    if len(shape) > MAX_TENSOR_AXES:
        raise FileRefused(path, f"tensor {shown(name)} has {len(shape)} axes, at most {MAX_TENSOR_AXES} are allowed")
    return TensorInfo(dtype, tuple(shape))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
