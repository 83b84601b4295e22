"""What differs between two sets of settings, key by key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vtune.errors import shown


@dataclass(frozen=True, slots=True)
class Difference:
    """One key with the value it had and the value it has; a key that is not there has None."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key}: {shown(self.before)} before, {shown(self.after)} now"


def differences(before: Any, after: Any, key: str = "") -> Iterator[Difference]:
    """Yield every key under which plain data differs, written like ``train.epochs``; lists differ as a whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            yield from differences(before.get(name), after.get(name), f"{key}.{name}".strip("."))
    elif before != after:
        yield Difference(key, before, after)
