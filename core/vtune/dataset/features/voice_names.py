"""Make names of voices from the names of speakers, which may be long hashes, or written with any letters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from hashlib import sha256

from vtune.recipe.field_types import VOICE_NAME

MAX_READABLE_CHARACTERS = 32
"""A longer name is a hash, of which the first characters are enough."""

SHORT_CHARACTERS = 8
DIGEST_CHARACTERS = 6


def voice_names(speakers: Iterable[str]) -> dict[str, str]:
    """Return the name of the voice of each speaker; different speakers get different names, whatever the letter case.

    A speaker whose name can name a voice keeps it, unless it is long. Example: ``"Nora Müller"`` is ``"Nora_Muller"``.
    """
    names = {speaker: _readable(speaker) for speaker in speakers}
    owners: dict[str, str] = {}
    for speaker in sorted(names, key=lambda speaker: (names[speaker] != speaker, speaker)):
        owners.setdefault(names[speaker].casefold(), speaker)
    return {
        speaker: name if owners[name.casefold()] == speaker else f"{name}-{_digest(speaker)}"
        for speaker, name in names.items()
    }


def _readable(speaker: str) -> str:
    if re.match(VOICE_NAME, speaker) and len(speaker) <= MAX_READABLE_CHARACTERS:
        return speaker
    plain = unicodedata.normalize("NFKD", speaker).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9-]+", "_", plain).strip("_-")
    if not name:
        return f"speaker-{_digest(speaker)}"
    return name if len(name) <= MAX_READABLE_CHARACTERS else name[:SHORT_CHARACTERS].strip("_-")


def _digest(speaker: str) -> str:
    return sha256(speaker.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_CHARACTERS]
