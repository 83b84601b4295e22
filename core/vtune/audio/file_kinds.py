"""Tell what a file is by its first bytes: a kind of recording, or something else under the name of a recording."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import IO

from vtune.errors import in_a_line

KIND_SUFFIXES: dict[str, frozenset[str]] = {
    "WAV": frozenset({".wav", ".wave", ".w64"}),
    "W64": frozenset({".w64"}),
    "FLAC": frozenset({".flac"}),
    "Ogg": frozenset({".ogg", ".oga", ".opus"}),
    "MP3": frozenset({".mp3"}),
    "AAC": frozenset({".aac"}),
    "AIFF": frozenset({".aif", ".aiff", ".aifc"}),
    "AU": frozenset({".au", ".snd"}),
    "CAF": frozenset({".caf"}),
    "MP4": frozenset({".m4a", ".m4b", ".mp4", ".mov", ".3gp"}),
    "Matroska or WebM": frozenset({".webm", ".mka", ".mkv"}),
    "WMA": frozenset({".wma", ".asf"}),
    "AMR": frozenset({".amr"}),
    "AVI": frozenset({".avi"}),
}
"""Kinds of recordings, and the file extensions that are right for each kind."""

UNFINISHED_SUFFIXES = frozenset(
    {".part", ".partial", ".crdownload", ".download", ".opdownload", ".aria2", ".incomplete", ".!ut"}
)
"""Endings that browsers and download programs add to the name of a file until it is complete."""

HEAD_BYTES = 512
"""Bytes at the start of a file that show what it is."""

_SIGNATURES = (
    (0, b"fLaC", "FLAC"), (0, b"OggS", "Ogg"), (0, b"ID3", "MP3"), (0, b"FORM", "AIFF"), (0, b".snd", "AU"),
    (0, b"caff", "CAF"), (4, b"ftyp", "MP4"), (0, b"\x1aE\xdf\xa3", "Matroska or WebM"), (0, b"riff", "W64"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "WMA"), (0, b"#!AMR", "AMR"),
)  # fmt: skip

_OTHER_SIGNATURES = (
    (0, b"version https://git-lfs.github.com/spec/", "a pointer of Git LFS; fetch the recording with `git lfs pull`"),
    (0, b"/annex/objects/", "a pointer of git-annex; fetch the recording with `git annex get`"),
    (0, b"PK\x03\x04", "a ZIP archive; unpack it"), (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive; unpack it"), (0, b"BZh", "a bzip2 archive; unpack it"),
    (0, b"\xfd7zXZ\x00", "an xz archive; unpack it"), (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it"),
    (0, b"Rar!\x1a\x07", "a RAR archive; unpack it"), (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive; unpack it"),
    (257, b"ustar", "a tar archive; unpack it"),
    (0, b"%PDF-", "a PDF document"), (0, b"\x89PNG\r\n", "a picture (PNG)"), (0, b"\xff\xd8\xff", "a picture (JPEG)"),
    (0, b"GIF8", "a picture (GIF)"), (0, b"\x93NUMPY", "a NumPy array; write it as a WAV file"),
    (0, b"bplist00", "a property list of macOS"), (0, b"\x7fELF", "a program"), (0, b"MZ", "a program"),
    (0, b"\x00\x05\x16\x07", "metadata of macOS (AppleDouble), which lies beside the recording"),
)  # fmt: skip
"""What downloads and copies leave under the name of a recording: offset, bytes, and what the file is."""

_WEB_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}>\s*)?(?:<!--.{0,300}?-->\s*)?<(?:!doctype html|html|head|body|title)\b",
    re.IGNORECASE | re.DOTALL,
)
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def file_kind(first_bytes: bytes) -> str | None:
    """Return the kind of a recording by its first bytes (16 are enough); None if they match no known kind."""
    if first_bytes[:4] in (b"RIFF", b"RF64", b"RIFX"):
        return "AVI" if first_bytes[8:12] == b"AVI " else "WAV"
    for offset, signature, kind in _SIGNATURES:
        if first_bytes[offset : offset + len(signature)].lower() == signature.lower() and (
            kind != "W64" or first_bytes[:4] == signature
        ):
            return kind
    if len(first_bytes) > 1 and first_bytes[0] == 0xFF and first_bytes[1] & 0xE0 == 0xE0:
        # In AAC, the layer of an MPEG frame is 0.
        return "MP3" if first_bytes[1] & 0x06 else "AAC"
    return None


def other_kind(first_bytes: bytes) -> str | None:
    """Return what a file is that is no recording, and what to do, by its first ``HEAD_BYTES``; None if it may be one.

    Example: ``other_kind(b"PK\\x03\\x04")`` is ``"a ZIP archive; unpack it"``.
    """
    if not first_bytes:
        return "an empty file; get the recording again"
    for offset, signature, kind in _OTHER_SIGNATURES:
        if first_bytes[offset : offset + len(signature)] == signature:
            return kind
    if first_bytes[:2] not in _UTF16_MARKS and file_kind(first_bytes) is not None:
        return None
    if not any(first_bytes):
        return "a file that starts with zeros only, as unfinished downloads and copies do; get the recording again"
    if _WEB_PAGE.match(first_bytes):
        return "a web page, perhaps the error page of a server; get the recording again"
    return _text_kind(first_bytes)


def not_a_recording(file: Path | IO[bytes]) -> str | None:
    """Return what a file is that is no recording, and what to do; None if it may be one, or cannot be opened."""
    try:
        if isinstance(file, Path):
            with file.open("rb") as opened:
                return other_kind(opened.read(HEAD_BYTES))
        file.seek(0)
        return other_kind(file.read(HEAD_BYTES))
    except (OSError, ValueError):
        return None


def disguised_kind(path: Path) -> str | None:
    """Return the kind of a recording if its file extension is wrong for that kind, else None.

    :raises OSError: the file cannot be opened.
    """
    if not path.is_file():  # opening a FIFO would block
        return None
    with path.open("rb") as file:
        kind = file_kind(file.read(16))
    if kind is None or path.suffix.lower() in KIND_SUFFIXES[kind]:
        return None
    return kind


def finished_name(name: str) -> str | None:
    """Return the name that an unfinished download will have, such as ``a.wav`` for ``a.wav.part``; else None."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in UNFINISHED_SUFFIXES else None


def unfinished_download(path: Path) -> Path | None:
    """Return the unfinished download that lies beside a missing or empty recording, or None."""
    places = (path.with_name(path.name + suffix) for suffix in sorted(UNFINISHED_SUFFIXES))
    return next((path for path in places if os.path.isfile(path)), None)


def _text_kind(first_bytes: bytes) -> str | None:
    """Describe text with its beginning, which often is the message of a server; None if the bytes are no text."""
    try:
        text = first_bytes.decode("utf-16" if first_bytes[:2] in _UTF16_MARKS else "utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(first_bytes) - 4 or len(first_bytes) < HEAD_BYTES:
            return None
        text = first_bytes[: error.start].decode(error.encoding)  # the last letter was cut in half
    text = text.strip()
    if not all(char.isprintable() or char in "\t\r\n\f" for char in text):
        return None
    if not text:
        return "a file of white space; get the recording again"
    kind = "JSON text" if text[0] in "{[" else "an XML file" if text[0] == "<" else "a text file"
    return f"{kind} that starts with {in_a_line(text)[:60]!r}; get the recording again"
