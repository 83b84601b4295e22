"""The installed package hibari-tts: where its files are, and which voices it knows, without importing it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from vtune import EngineError
from vtune.runtime.untrusted import read_json_object

DISTRIBUTION = "hibari-tts"

EXTRA_HINT = "install vtune-tts with the extra 'hibari' (pip install 'vtune-tts[hibari]')"

ASSETS = "hibari/assets"

HUB_REPOSITORY = "maureesewilliams/hibari"
"""Where the voices lie that are not in the package."""


@dataclass(frozen=True)
class PublishedVoice:
    """A voice of the package's list."""

    name: str
    file: str
    bundled: bool
    """Whether the voice is in the package; the others are on the Hub."""

    british: bool
    sha256: str


def package_file(name: str) -> Path:
    """Return the path of a file in the package's folder of assets.

    :raises EngineError: the package is not installed, or lacks the file.
    """
    try:
        distribution = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError as error:
        raise EngineError(
            f"the package {DISTRIBUTION}, which holds the base voice and reads English, is missing; {EXTRA_HINT}"
        ) from error
    path = Path(str(distribution.locate_file(f"{ASSETS}/{name}")))
    if not path.is_file():
        raise EngineError(f"the package {DISTRIBUTION} {distribution.version} has no file {name}; {EXTRA_HINT}")
    return path


@cache
def published_voices() -> dict[str, PublishedVoice]:
    """Return the voices that the package knows, by name.

    :raises EngineError: as for `package_file`.
    """
    voices = {}
    for name, entry in read_json_object(package_file("voices.json")).items():
        voices[name] = PublishedVoice(
            name=name,
            file=str(entry["file"]),
            bundled=bool(entry.get("bundled")),
            british=bool(entry.get("british")),
            sha256=str(entry.get("sha256", "")),
        )
    return voices
