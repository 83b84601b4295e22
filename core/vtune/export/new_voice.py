"""Claim the name of a voice that no recipe makes: of a mix, or of an imported voice."""

from __future__ import annotations

import re
from pathlib import Path

from vtune.errors import VoiceError, shown
from vtune.recipe.field_types import VOICE_NAME
from vtune.runtime.paths import VoiceFolder


def new_voice_folder(name: str, voices: Path) -> VoiceFolder:
    """Return the folder of a new voice. :raises VoiceError: the name is not valid, or is taken."""
    if not re.fullmatch(VOICE_NAME, name):
        raise VoiceError(
            f"a voice cannot be named {shown(name)}; give --name with letters, digits, '-' and '_', starting with a "
            "letter or digit, 64 at most"
        )
    folder = VoiceFolder(voices / name)
    require_free(folder)
    return folder


def require_free(folder: VoiceFolder) -> bool:
    """Refuse to replace a voice; called at the end as well, because another process may have written one meanwhile."""
    if folder.path.exists():
        raise VoiceError(f"{folder.path} exists already; name the voice differently, or move the folder away")
    return False
