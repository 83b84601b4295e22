"""What a file really is, by its first bytes, against what its ending says."""

from __future__ import annotations

from pathlib import Path

KINDS: dict[str, frozenset[str]] = {
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
"""Kinds of files, and the endings that are right for each."""

_BEGINNINGS = (
    (0, b"fLaC", "FLAC"), (0, b"OggS", "Ogg"), (0, b"ID3", "MP3"), (0, b"FORM", "AIFF"), (0, b".snd", "AU"),
    (0, b"caff", "CAF"), (4, b"ftyp", "MP4"), (0, b"\x1aE\xdf\xa3", "Matroska or WebM"), (0, b"riff", "W64"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "WMA"), (0, b"#!AMR", "AMR"), (0, b"<!DOCTYPE", "a web page"),
    (0, b"<html", "a web page"),
)  # fmt: skip


def kind_of(beginning: bytes) -> str | None:
    """Tell a file's kind from its first bytes (16 are enough); None where they say nothing."""
    if beginning[:4] in (b"RIFF", b"RF64", b"RIFX"):
        return "AVI" if beginning[8:12] == b"AVI " else "WAV"
    for place, mark, kind in _BEGINNINGS:
        if beginning[place : place + len(mark)].lower() == mark.lower() and (kind != "W64" or beginning[:4] == mark):
            return kind
    if len(beginning) > 1 and beginning[0] == 0xFF and beginning[1] & 0xE0 == 0xE0:
        # The layer of an MPEG frame is 0 in AAC.
        return "MP3" if beginning[1] & 0x06 else "AAC"
    return None


def disguised(path: Path) -> str | None:
    """Return what a file is, where that is not what its ending says. :raises OSError: it cannot be opened."""
    if not path.is_file():  # a FIFO would block
        return None
    with path.open("rb") as file:
        kind = kind_of(file.read(16))
    if kind is None or path.suffix.lower() in KINDS[kind]:
        return None
    return kind
