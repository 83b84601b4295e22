"""Mark approved and edited clips by the history; an approval holds while recording and words stay the same."""

from __future__ import annotations

import os
from collections import defaultdict
from stat import S_ISREG

from vtune.curation.review.clips import ReviewClip, ReviewClips, normal_name
from vtune.dataset.sources.fragments import clip_digest, recording_path, without_neighbours
from vtune.errors import DataError


class RecordingDigests:
    """SHA-256 hashes of recordings; each is computed once while its file stays the same."""

    def __init__(self) -> None:
        self._cache: dict[tuple[str, int, int], str] = {}

    def of(self, name: str) -> str:
        """Return the hash of a recording or a part; an empty string if it cannot be read."""
        try:
            name = without_neighbours(name)  # an approval holds when another row comes or goes
            stat = os.stat(recording_path(name))
            key = (name, stat.st_size, stat.st_mtime_ns)
            if not S_ISREG(stat.st_mode):  # reading a pipe would block, and a device may never end
                return ""
            if key not in self._cache:
                self._cache[key] = clip_digest(name)
        except (OSError, DataError):
            return ""
        return self._cache[key]


def mark_clips(clips: ReviewClips, digests: RecordingDigests, marked: list[ReviewClip]) -> None:
    """Set ``approved`` and ``edited`` of some clips.

    :param clips: all clips of the source, with their histories.
    :param marked: the clips that are set.
    """
    approved: dict[str, set[str]] = defaultdict(set)
    edited: set[tuple[str, str]] = set()
    for history, entry in clips.standing():
        text = str(entry.after.get("text", ""))
        if entry.action == "approve" and entry.digest:
            approved[text].add(entry.digest)
        elif entry.action == "doubt" and entry.digest:
            approved[text].discard(entry.digest)
        elif entry.action in ("words", "add"):
            edited.add((normal_name(history.path.parent / entry.audio), text))
        elif entry.action == "split":
            halves = zip(entry.made, entry.after.get("texts", ()), strict=False)
            edited.update((normal_name(history.path.parent / name), words) for name, words in halves)
    for clip in marked:
        # Only recordings whose words were approved are read and hashed.
        digest = digests.of(clip.audio) if clip.there and approved.get(clip.text) else ""
        clip.approved = clip.state == "kept" and bool(digest) and digest in approved[clip.text]
        clip.edited = (normal_name(clip.audio), clip.text) in edited
