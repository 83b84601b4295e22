"""Read registries that have one module for each entry, so that a new entry is a new file."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Protocol, TypeVar


class Named(Protocol):
    """An entry of a registry."""

    @property
    def name(self) -> str:
        """The name that users write and read."""
        ...


Entry = TypeVar("Entry", bound=Named)


def read_registry(package: str, attribute: str, kind: type[Entry]) -> dict[str, Entry]:
    """Import every module of a package, and return the entries that the modules declare, sorted by name.

    A module declares its entry under ``attribute``: ``FORMAT = AudioFormat("mp3", ...)`` in ``formats/mp3.py``.

    :param package: dotted name of the package, for example ``vtune.audio.formats``.
    :raises TypeError: a module declares no entry, an entry of another kind, or a name that another module has; this is
        a mistake in the package, not of a user.
    """
    entries: dict[str, Entry] = {}
    for module in pkgutil.iter_modules(import_module(package).__path__):
        dotted = f"{package}.{module.name}"
        entry = getattr(import_module(dotted), attribute, None)
        if not isinstance(entry, kind):
            raise TypeError(f"{dotted} must declare {attribute} of type {kind.__name__}, found {type(entry).__name__}")
        if entry.name in entries:
            raise TypeError(f"{dotted}: another module of {package} has the name {entry.name!r} already")
        entries[entry.name] = entry
    return dict(sorted(entries.items()))
