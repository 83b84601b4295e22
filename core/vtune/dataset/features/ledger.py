"""The ledger: what became of every clip. Each is trained on, held for validation, or listed with its reason."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from vtune.dataset.features.manifest import ManifestEntry

KINDS = 50
"""Kinds of reasons that are counted apart."""


@dataclass(slots=True)
class Totals:
    """Counts and seconds by what became of the clips."""

    clips: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    reasons: Counter[str] = field(default_factory=Counter)
    voices: Counter[str] = field(default_factory=Counter)

    def add(self, item: ManifestEntry, reason: str | None) -> str:
        """Count one clip, and return what became of it."""
        status = "skipped" if reason else item.split
        self.clips[status] += 1
        self.seconds[status] += item.seconds
        if reason:
            kind = kind_of(reason, item.audio, item.file)
            self.reasons[kind if kind in self.reasons or len(self.reasons) < KINDS else "other reasons"] += 1
        else:
            self.voices[item.voice] += 1
        return status

    def describe(self) -> str:
        """Say it in one line."""
        parts = [f"{self.clips[s]:,} {s} ({self.seconds[s] / 60:.1f} min)" for s in ("train", "validation")]
        skipped = self.clips["skipped"]
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.most_common(6))
        tail = f"; not used {skipped:,} ({self.seconds['skipped'] / 60:.1f} min): {reasons}" if skipped else ""
        return f"{sum(self.clips.values()):,} clips: {', '.join(parts)}{tail or '; none left out'}"

    def settings(self) -> dict[str, Any]:
        """Return plain data for the voice's record."""
        return {
            "clips": dict(self.clips),
            "seconds": {status: round(seconds, 2) for status, seconds in self.seconds.items()},
            "reasons": dict(self.reasons),
            "voices": dict(self.voices),
        }


class LedgerWriter:
    """Writes the ledger clip by clip under a temporary name; it stands when the block ends without an error.

    Without a path it only counts: on the ranks that do not speak for all.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self.totals = Totals()

    def __enter__(self) -> LedgerWriter:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # File names need not be text; what is none is escaped as JSON has it.
            self._file = self._aside(self._path).open("w", encoding="utf-8", errors="backslashreplace")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._file is None or self._path is None:
            return
        self._file.close()
        if kind is None:
            self._aside(self._path).replace(self._path)
        else:
            self._aside(self._path).unlink()

    def add(self, item: ManifestEntry, reason: str | None, variants: int, length: int) -> None:
        """Write down one clip; ``length`` is that of its features."""
        status = self.totals.add(item, reason)
        entry = {
            "status": status,
            "reason": reason,
            "file": item.file,
            "line": item.line,
            "audio": item.audio,
            "voice": item.voice,
            "seconds": item.seconds,
            "source": item.source,
            "variants": variants,
            "length": length,
            "text": item.text,
        }
        if self._file is not None:
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    @staticmethod
    def _aside(path: Path) -> Path:
        return path.with_name(f".{path.name}.partial")


def kind_of(reason: str, *names: str) -> str:
    """Return a reason without its names and numbers, for counting.

    :param names: of files that it may hold; paths without blanks are found in any case.
    """
    general = reason[:400]
    for name in names:
        # A bare name may be as short as a letter.
        general = general.replace(name, "…") if "/" in name or "\\" in name else general
    general = re.sub(r"'[^']*'|\"[^\"]*\"", "…", general)
    general = " ".join("…" if "/" in word or "\\" in word else word for word in general.split())
    return re.sub(r"\d[\d.,]*( s\b)?", "n", general)[:80]
