"""Read files that a stranger may have made: a voice, a base, a recipe, a table.

Only regular files are read (a FIFO or a device would block or never end), never more bytes than a limit, and what is
read is held to limits of depth and size, so that whoever uses it can neither hang nor run out of stack or memory.
Whatever breaks a limit is a ``FileRefused`` of one line; that there is no such file, or that it may not be read, stays
an ``OSError``.
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
"""Bytes of a text file of a voice or a base; the largest that vtune writes (scores.json) has some 100 kB."""

MAX_TOKENIZER_BYTES = 100_000_000
"""Bytes of a tokenizer.json; that of Llama 3 has 17 MB."""

MAX_JSON_DEPTH = 40
"""Lists and objects inside each other; vtune itself writes less than ten."""

MAX_INTEGER_DIGITS = 18
"""Digits of a whole number, so that it fits 64 bits and a float."""

MAX_HEADER_BYTES = 10_000_000
"""Bytes of a safetensors header; that of a network with 10,000 tensors has 1.5 MB."""

MAX_TENSOR_AXES = 8

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


class FileRefused(VtuneError, ValueError):
    """A file that is not what it should be; like the errors of JSON and Unicode it is a ``ValueError``.

    :param reason: what was found, without the file's name.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What a safetensors header says of one tensor.

    :param dtype: by safetensors' name, such as ``F32`` or ``BF16``.
    """

    dtype: str
    shape: tuple[int, ...]


def why(error: Exception) -> str:
    """Say in one line why a file could not be read, without the name of the file."""
    if isinstance(error, FileRefused):
        return error.reason
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return in_a_line(error)


def require_regular(path: Path) -> None:
    """Refuse what is no regular file, without opening it. :raises FileRefused: it is a FIFO, a device, a folder."""
    kind = stat.S_IFMT(os.stat(path).st_mode)
    if kind != stat.S_IFREG:
        raise FileRefused(path, f"it is {_KINDS.get(kind, 'no regular file')}, expected a regular file")


def require_regular_files(folder: Path) -> None:
    """Refuse a folder in which, or in whose sub-folders, lies anything but regular files and folders.

    For folders that another library reads, which would wait for a FIFO for ever. Links that lead nowhere are as good
    as no file. :raises FileRefused: names the first such file.
    """
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        try:
            if not path.is_dir():
                require_regular(path)
        except OSError:
            continue


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading bytes, without ever waiting. :raises FileRefused: it is no regular file."""
    require_regular(path)
    # Should it have become a FIFO meanwhile, opening it does not block either.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """Read a whole file. :raises FileRefused: it is no regular file, or has more than ``max_bytes``."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise FileRefused(path, f"it has {size:,} bytes, {max_bytes:,} are allowed")
        return file.read(max_bytes)


def read_text(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Read a text file in UTF-8, with or without a byte order mark. :raises FileRefused: it is none or too large."""
    try:
        return read_bytes(path, max_bytes).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileRefused(path, f"it is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def read_json(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> Any:
    """Read a JSON file. :raises FileRefused: it is none, or breaks a limit; see ``parse_json``."""
    text = read_text(path, max_bytes)
    try:
        return parse_json(text)
    except ValueError as error:
        raise FileRefused(path, f"it is not JSON that can be used: {in_a_line(error)}") from error


def read_json_object(path: Path, max_bytes: int = MAX_TEXT_BYTES) -> dict[str, Any]:
    """Read a JSON file that holds one object. :raises FileRefused: it does not."""
    value = read_json(path, max_bytes)
    if not isinstance(value, dict):
        raise FileRefused(path, f"it must hold a JSON object, found {shown(value)}")
    return value


def parse_json(text: str) -> Any:
    """Parse JSON more strictly than Python: no key twice, no whole number beyond 64 bits, not too deep.

    NaN and Infinity pass, for vtune itself writes a figure that could not be had as NaN: check a number before its use.

    :raises ValueError: says what is wrong.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_integer)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _require_shallow(value)
    return value


def read_tensor_header(path: Path) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """Return the tensors and the strings (metadata) that a safetensors file says it has, without reading a tensor.

    :raises FileRefused: the header is damaged, too large, or describes what cannot be. Whether the offsets of the
        tensors fit together is left to safetensors, which checks it when the file is opened.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise FileRefused(path, "it is no whole safetensors file")
        if length > MAX_HEADER_BYTES:
            raise FileRefused(path, f"its header has {length:,} bytes, {MAX_HEADER_BYTES:,} are allowed")
        header = file.read(length)
    try:
        entries = parse_json(header.decode("utf-8"))
    except ValueError as error:
        raise FileRefused(path, f"its header is not JSON that can be used: {in_a_line(error)}") from error
    if not isinstance(entries, dict):
        raise FileRefused(path, "its header is not a JSON object")
    strings = entries.pop("__metadata__", None) or {}
    if not isinstance(strings, dict) or not all(isinstance(value, str) for value in strings.values()):
        raise FileRefused(path, "the metadata in its header are not strings")
    return {name: _tensor_info(path, name, entry) for name, entry in entries.items()}, strings


def require_sane(path: Path, name: str, lowest: float, highest: float, limit: float) -> None:
    """Refuse a tensor whose values cannot be those of a voice.

    :param lowest: its smallest value, ``highest`` its largest; NaN if any value is.
    :param limit: of their magnitude.
    :raises FileRefused: a value is NaN or infinite, or larger than ``limit``; names the tensor.
    """
    for value in (lowest, highest):
        if not math.isfinite(value):
            raise FileRefused(path, f"tensor {shown(name)} holds {value}, which is no number to speak with")
        if abs(value) > limit:
            raise FileRefused(path, f"tensor {shown(name)} holds {value:.3g}; the magnitude may be {limit:g} at most")


def require_dtypes(path: Path, tensors: Mapping[str, TensorInfo], dtypes: Iterable[str]) -> None:
    """Refuse tensors of a number format that is not among ``dtypes``. :raises FileRefused: names the first one."""
    allowed = tuple(dtypes)
    for name, info in tensors.items():
        if info.dtype not in allowed:
            listed = ", ".join(allowed)
            raise FileRefused(path, f"tensor {shown(name)} has the dtype {shown(info.dtype)}, expected {listed}")


_TOO_DEEP = f"lists and objects lie more than {MAX_JSON_DEPTH} deep in each other"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {shown(twice)} stands twice")
    return found


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_INTEGER_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(MAX_JSON_DEPTH + 1):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _tensor_info(path: Path, name: str, entry: Any) -> TensorInfo:
    dtype, shape = (entry.get("dtype"), entry.get("shape")) if isinstance(entry, dict) else (None, None)
    if not isinstance(dtype, str) or not isinstance(shape, list) or not all(map(_is_count, shape)):
        raise FileRefused(path, f"tensor {shown(name)} has no dtype and shape in the header, found {shown(entry)}")
    if len(shape) > MAX_TENSOR_AXES:
        raise FileRefused(path, f"tensor {shown(name)} has {len(shape)} axes, {MAX_TENSOR_AXES} are allowed")
    return TensorInfo(dtype, tuple(shape))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
