"""Registries of one module an entry: adding an entry is adding a file."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Protocol, TypeVar


class Named(Protocol):
    """An entry of a registry."""

    @property
    def name(self) -> str:
        """What users write and read."""
        ...


Entry = TypeVar("Entry", bound=Named)


def read_registry(package: str, attribute: str, kind: type[Entry]) -> dict[str, Entry]:
    """Import every module of a package and return the entries that the modules declare, by name, sorted.

    A module declares its entry under ``attribute``: ``FORMAT = AudioFormat("mp3", ...)`` in ``formats/mp3.py``.

    :param package: dotted name of the package, for example ``vtune.audio.formats``.
    :raises TypeError: a module declares no entry, or one of another kind or of a name that is taken: a mistake of ours.
    """
    entries: dict[str, Entry] = {}
    for module in pkgutil.iter_modules(import_module(package).__path__):
        dotted = f"{package}.{module.name}"
        entry = getattr(import_module(dotted), attribute, None)
        if not isinstance(entry, kind):
            raise TypeError(f"{dotted} declares no {attribute} of type {kind.__name__}")
        if entry.name in entries:
            raise TypeError(f"{dotted}: the name {entry.name!r} is taken by another module of {package}")
        entries[entry.name] = entry
    return dict(sorted(entries.items()))
