"""Read a text file without loss, and replace it whole or not at all."""

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
class TextFile:
    """The text of a file and its encoding: ``utf-8``, ``cp1252``, or ``...-sig`` with a byte order mark."""

    text: str
    encoding: str

    def encoded(self) -> bytes:
        """Return the bytes of the file. :raises UnicodeEncodeError: the encoding lacks a letter."""
        codec = self.encoding.removesuffix("-sig")
        return _MARKS.get(self.encoding, b"") + self.text.encode(codec, _errors(codec))


def digest_of(data: bytes) -> str:
    """Return a digest of a file's content: 32 hexadecimal digits of its SHA-256."""
    return sha256(data).hexdigest()[:32]


def read_bytes(path: Path) -> bytes:
    """Read all bytes of a file. :raises DataError: the file cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def read_text_file(path: Path) -> tuple[TextFile, str]:
    """Read a text file and its digest; invalid bytes are kept, so that ``encoded`` gives the same bytes.

    :raises DataError: the file cannot be read, or is UTF-16 that breaks off.
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
    return TextFile(text, encoding), digest_of(data)


@contextmanager
def replacing(path: Path, data: bytes) -> Iterator[Path]:
    """Write a temporary file, which replaces ``path`` when the block ends without an error.

    The temporary file has the suffix of ``path``. Permissions are kept; if ``path`` is a link, its target is replaced.
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
    """Remove temporary files of killed runs from a folder; files younger than a minute may still be in use."""
    for stale in folder.glob(".*-*.partial.*"):
        with suppress(OSError):
            if stale.stat().st_mtime < time.time() - 60:
                stale.unlink()


def _errors(codec: str) -> str:
    # Bytes that are not text are decoded to lone surrogates and encoded to the same bytes.
    return "surrogatepass" if codec.startswith("utf-16") else "surrogateescape"
