"""A text file as a text that can be changed: decoded without loss, and replaced whole or not at all."""

from __future__ import annotations

import codecs
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from vtune.dataset.sources.plain_text import encoding_of
from vtune.errors import DataError

_MARKS = {
    "utf-8-sig": codecs.BOM_UTF8,
    "utf-16-le-sig": codecs.BOM_UTF16_LE,
    "utf-16-be-sig": codecs.BOM_UTF16_BE,
}


@dataclass(frozen=True, slots=True)
class Script:
    """The text of a file and how it is written: ``utf-8``, ``cp1252``, or ``...-sig`` with a mark ahead."""

    text: str
    encoding: str

    def encoded(self) -> bytes:
        """Return the bytes of the file. :raises UnicodeEncodeError: the encoding lacks a letter."""
        codec = self.encoding.removesuffix("-sig")
        return _MARKS.get(self.encoding, b"") + self.text.encode(codec, _errors(codec))


def digest_of(data: bytes) -> str:
    """Name a content."""
    return sha256(data).hexdigest()[:32]


def read_bytes(path: Path) -> bytes:
    """Read a file whole. :raises DataError: it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def read_script(path: Path) -> tuple[Script, str]:
    """Read a text file and its digest; what is not text in it is kept, so that ``encoded`` gives the same bytes.

    :raises DataError: it cannot be read, or is UTF-16 that breaks off.
    """
    encoding, data = encoding_of(path), read_bytes(path)
    if encoding == "utf-16":
        encoding = "utf-16-le-sig" if data.startswith(codecs.BOM_UTF16_LE) else "utf-16-be-sig"
    elif encoding == "utf-8-sig" and not data.startswith(codecs.BOM_UTF8):
        encoding = "utf-8"
    codec = encoding.removesuffix("-sig")
    try:
        text = data[len(_MARKS.get(encoding, b"")) :].decode(codec, _errors(codec))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} cannot be edited: it is damaged UTF-16; save it as UTF-8") from error
    return Script(text, encoding), digest_of(data)


@contextmanager
def replacing(path: Path, data: bytes) -> Iterator[Path]:
    """Give the new file aside, to be looked at; it takes the place of ``path`` when the block ends without an error.

    It has the suffix of ``path``. Permissions are kept; where ``path`` is a link, what it leads to is replaced.
    """
    target = Path(os.path.realpath(path))
    aside = target.with_name(f".{os.getpid()}-{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        with aside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, aside)
        yield aside
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a killed run left aside in a folder; what is younger than a minute may still be written."""
    for stale in folder.glob(".*-*.partial.*"):
        with suppress(OSError):
            if stale.stat().st_mtime < time.time() - 60:
                stale.unlink()


def _errors(codec: str) -> str:
    # Bytes that are no text come through as lone surrogates and leave as the bytes they were.
    return "surrogatepass" if codec.startswith("utf-16") else "surrogateescape"
