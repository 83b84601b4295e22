"""What the manifest says about one clip."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One clip in the manifest.

    :param source: index of its source in the recipe's ``data``.
    :param split: ``train`` or ``validation``.
    :param reason: why the clip is not used; None for a usable clip.
    """

    source: int
    file: str
    line: int | None
    audio: str
    text: str
    voice: str
    seconds: float
    digest: str
    split: str
    reason: str | None = None

    @property
    def location(self) -> str:
        """Where the row stands: ``file:line``."""
        return self.file if self.line is None else f"{self.file}:{self.line}"
