"""Copy a template, give it the name of the new engine, and add synthetic recordings to train on.

A template is a complete distribution, checked like the rest of this project. Only its name changes: the engine
``language-model-engine`` in the package ``language_model_engine`` becomes ``my-tts`` in ``my_tts``. A file whose name
must begin with a dot is kept without it (``dot_gitignore``), because Git would obey it here.
"""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from vtune.audio.made_speech import MadeSpeaker, write_recordings
from vtune.engines import installed_engines
from vtune.errors import EngineError, choices, shown
from vtune.runtime.paths import new_folder

TEMPLATES = Path(__file__).parent / "templates"
DOT_PREFIX = "dot_"
MAX_NAME_CHARACTERS = 30
"""Longest name of an engine; with a longer one the lines of the templates would be too long."""
RECORDINGS_SAMPLE_RATE = 8000


@dataclass(frozen=True, slots=True)
class EngineName:
    """The name of an engine, ``my-tts``, and of the package that holds it, ``my_tts``."""

    name: str

    @property
    def package(self) -> str:
        """Name of the Python package."""
        return self.name.replace("-", "_")


def templates() -> list[str]:
    """Return the names of the templates."""
    return sorted(path.name for path in TEMPLATES.iterdir() if (path / "pyproject.toml").is_file())


def write_engine(name: str, template: str, parent: Path) -> Path:
    """Write the distribution of a new engine into ``parent / name``; return that folder.

    The folder is written completely or not at all.

    :raises EngineError: the name is not usable, the template does not exist, or the folder exists; one line.
    """
    engine = checked_name(name)
    if template not in templates():
        raise EngineError(f"no template {shown(template)}{choices(template, templates(), 'templates')}")
    folder = parent / name
    _require_absent(folder)
    # The second look is under the lock of the folder: another process may have written the same engine meanwhile.
    with new_folder(folder, keep=lambda: _require_absent(folder)) as partial:
        for source in (TEMPLATES / "shared", TEMPLATES / template):
            _copy(source, partial, EngineName(f"{template}-engine"), engine)
        recordings = partial / engine.package / "recipes" / "recordings"
        write_recordings(recordings, MadeSpeaker(), RECORDINGS_SAMPLE_RATE, suffix=".flac")
    return folder


def checked_name(name: str) -> EngineName:
    """Check that a distribution, a package and an engine may have this name. :raises EngineError: one may not."""
    engine = EngineName(name)
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > MAX_NAME_CHARACTERS:
        raise EngineError(
            f"engine name {shown(name)}: use lower-case letters, digits and single hyphens, a letter first, "
            f"{MAX_NAME_CHARACTERS} characters at most{_usable(name)}"
        )
    if keyword.iskeyword(engine.package) or keyword.issoftkeyword(engine.package):
        raise EngineError(f"engine name {shown(name)} is a word of Python's own; try {f'{name}-tts'!r}")
    engines = installed_engines()
    if name in engines:
        raise EngineError(
            f"engine {shown(name)} is installed already, by {engines[name][0].distribution}; choose another name"
        )
    if engine.package in sys.stdlib_module_names or importlib.util.find_spec(engine.package) is not None:
        raise EngineError(
            f"engine name {shown(name)}: the package {engine.package!r} is installed already, and two packages of one "
            f"name hide each other; try {f'{name}-tts'!r}"
        )
    return engine


def _usable(name: str) -> str:
    """Suggest a usable name that resembles an unusable name."""
    usable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:MAX_NAME_CHARACTERS].strip("-")
    return f"; did you mean {usable!r}?" if usable else ""


def _require_absent(folder: Path) -> bool:
    """Require that there is nothing at a path. :returns: False: there is no old content to keep."""
    if os.path.lexists(folder):
        raise EngineError(f"{folder} exists already; choose another name, or another folder with --into")
    return False


def _copy(source: Path, target: Path, old: EngineName, new: EngineName) -> None:
    for path in sorted(source.rglob("*")):
        parts = path.relative_to(source).parts
        if not path.is_file() or any(part.startswith((".", "__pycache__")) for part in parts):
            continue  # caches of tools that have checked the template
        file = target.joinpath(*(_renamed(part, old, new) for part in parts))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_renamed(path.read_text(encoding="utf-8"), old, new), encoding="utf-8")


def _renamed(text: str, old: EngineName, new: EngineName) -> str:
    """Replace the names of a template; a leading ``dot_`` of a file's name becomes a dot."""
    renamed = text.replace(old.package, new.package).replace(old.name, new.name)
    return f".{renamed.removeprefix(DOT_PREFIX)}" if renamed.startswith(DOT_PREFIX) else renamed
