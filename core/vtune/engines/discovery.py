"""Find the installed engines and extensions, and import one of them."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from vtune.engines.blocking import BLOCK_VARIABLE, is_blocked, warn_of_unknown
from vtune.errors import EngineError, choices, reason, shown

ENGINES = "vtune.engines"
EXTENSIONS = "vtune.plugins"


@dataclass(frozen=True, slots=True)
class Installed:
    """One engine or extension as its distribution declares it; nothing is imported yet."""

    name: str
    distribution: str
    entry: EntryPoint

    def title(self, kind: str) -> str:
        """Return how errors name it: ``extension 'x' (x-tts 1.0)``."""
        return f"{kind} {self.name!r} ({self.distribution})"

    @property
    def needs(self) -> str:
        """What it says about the version of vtune that it needs, as ``vtune-tts>=0.1,<0.2``; empty if nothing."""
        requirements = (self.entry.dist.requires or []) if self.entry.dist else []
        return next((need.split(";")[0].strip() for need in requirements if re.match(r"vtune-tts\b", need)), "")


def installed_engines() -> dict[str, list[Installed]]:
    """Return every declared engine by name; several engines of one name are an error when that engine is loaded."""
    return _declared(ENGINES)


def installed_extensions() -> list[Installed]:
    """Return every declared extension; several may have one name, which is an error when one of them is loaded."""
    return [extension for extensions in _declared(EXTENSIONS).values() for extension in extensions]


def active_extensions() -> list[Installed]:
    """Return the extensions that are not blocked.

    :raises EngineError: two distributions offer an extension of one name.
    """
    extensions = _declared(EXTENSIONS)
    warn_of_unknown([*extensions, *_declared(ENGINES)])
    active = {name: candidates for name, candidates in extensions.items() if not is_blocked(name)}
    return [_only(candidates, "extension") for candidates in active.values()]


def find_engine(name: str) -> Installed:
    """Return the one engine of that name.

    :raises EngineError: the engine is not installed (suggests the nearest name) or blocked, or two distributions offer
        it.
    """
    engines = installed_engines()
    if name not in engines:
        raise EngineError(f"no engine {shown(name)} is installed{choices(name, sorted(engines), 'installed')}")
    if is_blocked(name):
        raise EngineError(f"engine {name!r} is blocked by {BLOCK_VARIABLE}; take its name out of this variable")
    return _only(engines[name], "engine")


def _only(candidates: Sequence[Installed], kind: str) -> Installed:
    if len(candidates) > 1:
        offers = " and by ".join(candidate.distribution for candidate in candidates)
        raise EngineError(f"{kind} {candidates[0].name!r} is offered by {offers}; uninstall all but one")
    return candidates[0]


def import_plugin(installed: Installed, what: str) -> ModuleType:
    """Import the module that a distribution declares. :raises EngineError: the import fails, whatever it raises."""
    remedy = "reinstall or uninstall it"
    if what == "extension":  # which every run needs, while another engine may be chosen
        remedy = f"reinstall or uninstall it, or leave it out with {BLOCK_VARIABLE}={installed.name}"
    try:
        module = installed.entry.load()
    except (Exception, SystemExit) as error:  # whatever somebody else's module raises, the user needs one line
        raise EngineError(f"{installed.title(what)} cannot be imported: {reason(error)}; {remedy}") from error
    if not isinstance(module, ModuleType):
        raise EngineError(
            f"{installed.title(what)} names {installed.entry.value!r}, which is not a module; an entry point names a "
            "module of hookimpl functions"
        )
    _log_as_vtune_does(module)
    return module


def import_file(path: Path) -> ModuleType:
    """Import an engine from a file: ``engine: ./my_engine.py``.

    :param path: a file that the user has named; no other path may be given, because importing a file runs it.
    :raises EngineError: the file cannot be imported.
    """
    # An unchanged file is imported only once, so that its classes are the same everywhere and can be sent to workers.
    digest = sha256(os.fsencode(path) + b"\0" + _content(path)).hexdigest()
    name = f"vtune_engine_file_{path.stem}_{digest[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise EngineError(f"engine file {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # as above: somebody else's module
        del sys.modules[name]
        raise EngineError(f"engine file {path} cannot be imported: {reason(error)}") from error
    _log_as_vtune_does(module)
    return module


def _log_as_vtune_does(module: ModuleType) -> None:
    """Show the messages of a plugin's package (its long steps, for example) whenever those of vtune are shown."""
    package = module.__name__.partition(".")[0]
    logging.getLogger(package).setLevel(logging.getLogger("vtune").level)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EngineError(f"engine file {path} cannot be read: {error.strerror}") from error


def _declared(group: str) -> dict[str, list[Installed]]:
    """Return the plugins of a group by name, in the order of their names, in which wrappers lie around each other."""
    return dict(_read(group, tuple((folder, _changed(folder)) for folder in sys.path)))


def _changed(folder: str) -> int | None:
    """Return when something was last added to a folder of Python's path, or removed; None if it does not exist."""
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return None


# Reading takes 40 ms where two hundred packages are installed, and loading an engine asks for both groups. An install
# changes the time of its folder, by which importlib.metadata itself notices it.
@lru_cache(maxsize=8)
def _read(group: str, path: tuple[tuple[str, int | None], ...]) -> dict[str, list[Installed]]:
    """Read what the distributions on Python's path declare in a group.

    :param path: the folders and when they changed.
    """
    plugins: dict[str, list[Installed]] = defaultdict(list)
    for entry in entry_points(group=group):
        named = entry.dist is not None and entry.dist.metadata["Name"]
        distribution = f"{entry.dist.name} {entry.dist.version}" if entry.dist and named else "unknown distribution"
        plugin = Installed(entry.name, distribution, entry)
        # An editable install beside its own wheel metadata is declared twice and is no clash.
        same_name = plugins[entry.name]
        if all(
            (plugin.distribution, entry.value) != (declared.distribution, declared.entry.value)
            for declared in same_name
        ):
            same_name.append(plugin)
    return {name: sorted(plugins[name], key=lambda item: item.distribution) for name in sorted(plugins)}
