"""Name the paths that the studio uses in its folder, and keep names of requests from leading out of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vtune.errors import VtuneError, shown
from vtune.recipe.field_types import VOICE_NAME
from vtune.runtime.paths import RunFolder, VoiceFolder

_FILE_NAME = re.compile(r"[\w][\w .()-]{0,120}")


@dataclass(frozen=True, slots=True)
class StudioFolder:
    """Paths of one folder of work; the studio writes only what is named here, and the verbs write the rest."""

    path: Path

    @property
    def kept(self) -> Path:
        """Logs, the list of jobs, findings and what was spoken: everything that may be thrown away."""
        return self.path / ".studio"

    def recipe(self, project: str) -> Path:
        """The recipe of a voice."""
        return self.path / f"{checked_name(project)}.yaml"

    def recordings(self, project: str) -> Path:
        """Recordings that were dropped on the page."""
        return self.path / "recordings" / checked_name(project)

    def clips(self, project: str) -> Path:
        """Clips that were cut from recordings, with their words."""
        return self.path / "clips" / checked_name(project)

    def run(self, project: str) -> RunFolder:
        """The run of a voice."""
        return RunFolder(self.path / "runs" / checked_name(project))

    def voice(self, project: str) -> VoiceFolder:
        """The finished voice."""
        return VoiceFolder(self.path / "voices" / checked_name(project))

    def findings(self, project: str, kind: str) -> Path:
        """What ``vtune doctor`` found, as ``json`` or ``html``."""
        return self.kept / f"{checked_name(project)}.findings.{kind}"

    def comparison(self, project: str) -> Path:
        """A voice beside its base, with the blind test."""
        return self.kept / f"{checked_name(project)}.comparison"

    def spoken(self, number: int) -> Path:
        """A text that a voice has spoken."""
        return self.kept / f"spoken-{number}.wav"

    def relative(self, path: Path) -> str:
        """Return a path as a command in this folder names it."""
        return path.relative_to(self.path).as_posix()


def checked_name(name: str) -> str:
    """Return the name of a voice. :raises VtuneError: it is no name of a voice."""
    if not re.match(VOICE_NAME, name):
        raise VtuneError(f"{shown(name)} is no name of a voice: use letters, digits, - and _, 64 at most")
    return name


def checked_file(name: str) -> str:
    """Return the name of a file without any folder. :raises VtuneError: it has other characters."""
    if not _FILE_NAME.fullmatch(name) or name.startswith("."):
        raise VtuneError(f"{shown(name)} is no name of a file: use letters, digits, blanks and . - _ ( )")
    return name
