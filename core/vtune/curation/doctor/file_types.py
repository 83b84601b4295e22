"""Compare the kind of a file by its first bytes with its file extension."""

from __future__ import annotations

from pathlib import Path

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
    "a web page": frozenset(),
}
"""Kinds of files, and the file extensions that are right for each kind."""

_SIGNATURES = (
    (0, b"fLaC", "FLAC"), (0, b"OggS", "Ogg"), (0, b"ID3", "MP3"), (0, b"FORM", "AIFF"), (0, b".snd", "AU"),
    (0, b"caff", "CAF"), (4, b"ftyp", "MP4"), (0, b"\x1aE\xdf\xa3", "Matroska or WebM"), (0, b"riff", "W64"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "WMA"), (0, b"#!AMR", "AMR"), (0, b"<!DOCTYPE", "a web page"),
    (0, b"<html", "a web page"),
)  # fmt: skip


def file_kind(first_bytes: bytes) -> str | None:
    """Return the kind of a file by its first bytes (16 are enough); None if they match no known kind."""
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


def disguised_kind(path: Path) -> str | None:
    """Return the kind of a file if its file extension is wrong for that kind, else None.

    :raises OSError: the file cannot be opened.
    """
    if not path.is_file():  # opening a FIFO would block
        return None
    with path.open("rb") as file:
        kind = file_kind(file.read(16))
    if kind is None or path.suffix.lower() in KIND_SUFFIXES[kind]:
        return None
    return kind
