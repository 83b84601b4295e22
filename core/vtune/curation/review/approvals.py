"""Which clips are approved, and which edited: the history says so, as long as recording and words are the same."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from stat import S_ISREG

from vtune import audio
from vtune.curation.review.clips import Clips, ReviewClip
from vtune.errors import DataError


class Digests:
    """SHA-256 of recordings, taken once while a file is the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], str] = {}

    def of(self, path: str) -> str:
        """Return the digest of a recording; empty where it cannot be read."""
        try:
            stat = os.stat(path)
            key = (path, stat.st_size, stat.st_mtime_ns)
            if not S_ISREG(stat.st_mode):  # a pipe would block, a device never end
                return ""
            if key not in self._known:
                self._known[key] = audio.digest_of(Path(path))
        except (OSError, DataError):
            return ""
        return self._known[key]


def mark(clips: Clips, digests: Digests, among: list[ReviewClip]) -> None:
    """Set ``approved`` and ``edited`` of some clips from the standing edits of all."""
    approved: dict[str, set[str]] = defaultdict(set)
    edited: set[tuple[str, str]] = set()
    for history, entry in clips.standing():
        text = str(entry.after.get("text", ""))
        if entry.action == "approve" and entry.digest:
            approved[text].add(entry.digest)
        elif entry.action == "doubt" and entry.digest:
            approved[text].discard(entry.digest)
        elif entry.action in ("words", "add"):
            edited.add((os.path.normpath(history.path.parent / entry.audio), text))
        elif entry.action == "split":
            halves = zip(entry.made, entry.after.get("texts", ()), strict=False)
            edited.update((os.path.normpath(history.path.parent / name), words) for name, words in halves)
    for clip in among:
        # Only what has approved words is read to its end.
        digest = digests.of(clip.audio) if clip.there and approved.get(clip.text) else ""
        clip.approved = clip.state == "kept" and bool(digest) and digest in approved[clip.text]
        clip.edited = (os.path.normpath(clip.audio), clip.text) in edited
