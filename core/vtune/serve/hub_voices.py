"""Voices of the Hub as a folder that the server can read: ``hub:owner/anna,hub:owner/ben``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from vtune.errors import VoiceError, shown
from vtune.voice_format.hub_voice import HUB_PREFIX, fetch_hub_voice, parse_hub_name


@contextmanager
def voices_folder(voices: str) -> Iterator[Path]:
    """Yield the folder of a server's voices.

    For names of the Hub it is a temporary folder of links into the Hub's cache; each voice has the repository's name
    without its owner. They are downloaded here, before the server starts, and no request can ask for another one.

    :param voices: a folder, or names of the Hub, separated by commas.
    :raises VoiceError: a voice cannot be had, or two voices have one name.
    """
    if not voices.startswith(HUB_PREFIX):
        yield Path(voices)
        return
    with TemporaryDirectory(prefix="vtune-hub-voices-") as folder:
        for name in voices.split(","):
            link = Path(folder) / parse_hub_name(name.strip()).repository.rpartition("/")[2]
            if link.is_symlink():
                raise VoiceError(f"two voices are called {shown(link.name)}; serve one of them")
            link.symlink_to(fetch_hub_voice(name.strip()).path, target_is_directory=True)
        yield Path(folder)
