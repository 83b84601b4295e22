"""The voice that stands where a new one is to be written: whether it is an earlier one of the same recordings."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from vtune.errors import VtuneError, printable
from vtune.recipe import read_draft
from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.record import VoiceRecord, read_record

logger = logging.getLogger(__name__)

CLIP_SAMPLE = "clip_sample"
"""Key of a voice's training facts: some hashes of its clips, by which another voice of the same clips is known."""


def is_of_other_clips(folder: VoiceFolder, record: VoiceRecord) -> bool:
    """Whether a finished voice stands that shares no clip with the new one, and say what it is, for it is kept.

    :param record: of the new voice.
    """
    if not folder.record.is_file():
        return False
    try:
        standing = read_record(folder)
    except VtuneError:
        logger.warning("%s: what stands there has a voice.json that cannot be read", folder.path)
        return True
    before, now = (one.training.get(CLIP_SAMPLE) or () for one in (standing, record))
    if isinstance(before, list | tuple) and set(map(str, before)) & set(map(str, now)):
        return False
    made = "mixed" if standing.mix is not None else "made"
    logger.warning(
        "%s: the voice that stands there was %s %s%s, not from the recordings of this recipe",
        folder.path, made, printable(standing.created), _origin(_sources(folder)),
    )  # fmt: skip
    return True


def _origin(sources: Sequence[str]) -> str:
    listed = ", ".join(printable(source)[:100] for source in sources[:3])
    return f" from {listed}{' and others' if len(sources) > 3 else ''}" if sources else ""


def _sources(folder: VoiceFolder) -> list[str]:
    """Return what the recipe that a voice keeps names as its data."""
    try:
        return [str(source["source"]) for source in read_draft(folder.recipe).data["data"]]
    except (VtuneError, KeyError, TypeError):
        return []
