"""Leave plugins out: ``VTUNE_BLOCK_PLUGINS=name,name`` names engines and extensions that must not be loaded."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Iterable
from functools import cache

from vtune.errors import choices, shown

logger = logging.getLogger(__name__)

BLOCK_VARIABLE = "VTUNE_BLOCK_PLUGINS"


def is_blocked(name: str) -> bool:
    """Whether the environment blocks the engines and extensions of a name."""
    return name in blocked_names()


def blocked_names() -> list[str]:
    """Return the names that the environment blocks, in its order."""
    return [name for part in os.environ.get(BLOCK_VARIABLE, "").split(",") if (name := part.strip())]


def warn_of_unknown(installed: Iterable[str]) -> None:
    """Warn of blocked names that nothing has; once in a run, by its first process."""
    names = frozenset(installed)
    unknown = tuple(name for name in blocked_names() if name not in names)
    if unknown and multiprocessing.parent_process() is None:
        _warn(unknown, names)


@cache
def _warn(unknown: tuple[str, ...], installed: frozenset[str]) -> None:
    for name in unknown:
        hint = choices(name, sorted(installed), "installed")
        logger.warning("%s blocks %s, but no plugin has this name%s", BLOCK_VARIABLE, shown(name), hint)
