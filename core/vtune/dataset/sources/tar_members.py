"""List the members of a tar archive without unpacking it: names, and where their bytes lie in the archive.

Archives come from strangers: nothing is written, links are not followed, and no header makes anything large in memory.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vtune.errors import DataError

MAX_NAME_BYTES = 1 << 14
"""Bytes of the longest header with a name, or with the attributes of POSIX."""

_BLOCK_BYTES = tarfile.BLOCKSIZE
_LONG_NAME, _ATTRIBUTES, _GLOBAL_ATTRIBUTES, _LONG_LINK = b"L", b"x", b"g", b"K"
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_ATTRIBUTE = re.compile(rb"\d+ (path|size|GNU\.sparse\.[a-z]+)=([^\n]*)\n")


@dataclass(frozen=True, slots=True)
class TarMember:
    """One member.

    :param offset: byte of the archive at which its content begins.
    :param problem: why the member is not read; None if it is.
    """

    name: str
    offset: int
    size: int
    problem: str | None = None


def tar_members(path: Path) -> Iterator[TarMember]:
    """Yield the members of an uncompressed archive in their order, but no folders.

    :raises DataError: the file cannot be read, is no tar archive, or breaks off.
    """
    try:
        with path.open("rb") as file:
            yield from _members(path, file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _members(path: Path, file: IO[bytes], total: int) -> Iterator[TarMember]:
    position, long_name = 0, None
    attributes: dict[bytes, bytes] = {}
    while True:
        file.seek(position)
        block = file.read(_BLOCK_BYTES)
        if not block.strip(b"\0"):
            return  # archives end with blocks of zeros, and some simply end
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            size = int(attributes.get(b"size", header.size))
        except (tarfile.HeaderError, ValueError) as error:
            raise DataError(f"{path} is no tar archive from byte {position:,} on: {error}") from error
        content = position + _BLOCK_BYTES
        if size < 0 or content + size > total:
            raise DataError(f"{path} was cut off: a member reaches to byte {content + size:,} of {total:,}")
        position = content + -(-size // _BLOCK_BYTES) * _BLOCK_BYTES
        if header.type in (_LONG_NAME, _ATTRIBUTES):
            if size > MAX_NAME_BYTES:
                raise DataError(f"{path} has a name of {size:,} bytes at byte {content:,}")
            value = file.read(size)
            if header.type == _LONG_NAME:
                long_name = value.rstrip(b"\0")
            else:
                attributes = dict(_ATTRIBUTE.findall(value))
            continue
        if header.type in (_GLOBAL_ATTRIBUTES, _LONG_LINK):
            continue
        raw = attributes.get(b"path", long_name)
        name = header.name if raw is None else raw.decode("utf-8", "surrogateescape")
        is_sparse = any(key.startswith(b"GNU.sparse") for key in attributes)
        attributes, long_name = {}, None
        if not header.isdir():
            yield TarMember(name, content, size, _problem(name, header, is_sparse=is_sparse))


def _problem(name: str, header: tarfile.TarInfo, *, is_sparse: bool) -> str | None:
    if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name):
        return "its name leads out of the archive"
    if header.issym() or header.islnk():
        return "it is a link, which is not followed"
    if header.type not in _PLAIN or is_sparse:
        return "it is not a plain file"
    return None
