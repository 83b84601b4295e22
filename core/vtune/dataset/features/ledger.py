"""The ledger: every clip is trained on, held out for validation, or listed with the reason why it is not used."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from vtune.dataset.features.entry import ManifestEntry

MAX_SHOWN_REASONS, MAX_REASON_CHARACTERS = 6, 160
"""Reasons that are shown in one line, and characters of each."""

MAX_REASON_KINDS = 50
"""Largest number of kinds of reasons that are counted separately; later kinds are counted as "other reasons"."""


@dataclass(slots=True)
class ClipTotals:
    """Number and seconds of clips by status, and the reasons why clips were skipped.

    ``reasons`` counts kinds of reasons, which hold no names; ``examples`` has the first reason of each kind, as it was.
    """

    clips: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    voices: Counter[str] = field(default_factory=Counter)

    def add(self, entry: ManifestEntry, reason: str | None) -> str:
        """Count one clip, and return its status: ``train``, ``validation`` or ``skipped``."""
        status = "skipped" if reason else entry.split
        self.clips[status] += 1
        self.seconds[status] += entry.seconds
        if reason:
            kind = reason_kind(reason, entry.audio, entry.file)
            if kind not in self.reasons and len(self.reasons) >= MAX_REASON_KINDS:
                kind = "other reasons"
            self.reasons[kind] += 1
            self.examples.setdefault(kind, reason)
        else:
            self.voices[entry.voice] += 1
        return status

    def describe(self) -> str:
        """Return the totals as one line of text."""
        splits = ("train", "validation")
        parts = [f"{self.clips[split]:,} {split} ({self.seconds[split] / 60:.1f} min)" for split in splits]
        skipped = self.clips["skipped"]
        reasons = describe_reasons(self.reasons, self.examples)
        tail = f"; {skipped:,} not used ({self.seconds['skipped'] / 60:.1f} min): {reasons}" if skipped else ""
        return f"{sum(self.clips.values()):,} clips: {', '.join(parts)}{tail or '; all clips are used'}"

    def settings(self) -> dict[str, Any]:
        """Return the totals as plain data for the voice's record."""
        return {
            "clips": dict(self.clips),
            "seconds": {status: round(seconds, 2) for status, seconds in self.seconds.items()},
            "reasons": dict(self.reasons),
            "voices": dict(self.voices),
        }


class LedgerWriter:
    """Writes the ledger clip by clip to a temporary file, which replaces the ledger if the ``with`` block succeeds.

    Without a path, the writer only counts clips. Ranks other than the main process use it this way.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self.totals = ClipTotals()

    def __enter__(self) -> LedgerWriter:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # A file name need not be valid text; such bytes are escaped as in JSON.
            self._file = self._partial_path(self._path).open("w", encoding="utf-8", errors="backslashreplace")
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._file is None or self._path is None:
            return
        self._file.close()
        if kind is None:
            self._partial_path(self._path).replace(self._path)
        else:
            self._partial_path(self._path).unlink()

    def add(self, clip: ManifestEntry, reason: str | None, variants: int, length: int) -> None:
        """Write one clip.

        :param variants: number of augmented copies that are trained on.
        :param length: tokens (or frames) of the clip's features.
        """
        status = self.totals.add(clip, reason)
        entry = {
            "status": status,
            "reason": reason,
            "file": clip.file,
            "line": clip.line,
            "audio": clip.audio,
            "voice": clip.voice,
            "seconds": clip.seconds,
            "source": clip.source,
            "variants": variants,
            "length": length,
            "text": clip.text,
        }
        if self._file is not None:
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    @staticmethod
    def _partial_path(path: Path) -> Path:
        return path.with_name(f".{path.name}.partial")


def describe_reasons(counts: Counter[str], examples: Mapping[str, str]) -> str:
    """Return the most frequent kinds of reasons in one line: each with its number and its first reason, names and all.

    :param counts: number of clips by kind of reason.
    :param examples: the first reason of each kind.
    """
    shown = []
    for kind, count in counts.most_common(MAX_SHOWN_REASONS):
        example = examples[kind]
        if len(example) > MAX_REASON_CHARACTERS:
            example = f"{example[: MAX_REASON_CHARACTERS - 3]}..."
        shown.append(f"{count:,} like this: {example}" if count > 1 else example)
    return "; ".join(shown)


def reason_kind(reason: str, *names: str) -> str:
    """Return a reason without names and numbers, so that equal kinds of reasons are counted together.

    Example: ``"a/b.wav: 0.31 s is shorter than 0.5"`` becomes ``"… n is shorter than n"``.

    :param names: file names that the reason may hold; paths without spaces are recognised in any case.
    """
    general = reason[:400]
    for name in names:
        # A bare name may be as short as a letter.
        general = general.replace(name, "…") if "/" in name or "\\" in name else general
    general = re.sub(r"'[^']*'|\"[^\"]*\"", "…", general)
    general = " ".join("…" if "/" in word or "\\" in word else word for word in general.split())
    return re.sub(r"(?<!\w)\d[\d.,]*( s\b)?(?!\w)", "n", general)[:80]
