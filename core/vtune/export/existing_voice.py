"""Look at the voice that a new voice would replace: is it an earlier voice of the same recordings?"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from vtune.errors import VtuneError, printable
from vtune.recipe import read_draft
from vtune.runtime.paths import VoiceFolder
from vtune.voice_format.record import VoiceRecord, read_record

logger = logging.getLogger(__name__)

CLIP_SAMPLE_KEY = "clip_sample"
"""Key in a voice's training facts of some hashes of its clips, by which voices of the same clips are recognised."""


def is_of_other_clips(folder: VoiceFolder, record: VoiceRecord) -> bool:
    """Tell whether the folder has a finished voice that shares no clip with the new voice; log what is kept then.

    :param record: the record of the new voice.
    """
    if not folder.record.is_file():
        return False
    try:
        existing = read_record(folder)
    except VtuneError:
        logger.warning(
            "%s: the voice in this folder has a voice.json that cannot be read; the voice is kept", folder.path
        )
        return True
    before, now = (voice.training.get(CLIP_SAMPLE_KEY) or () for voice in (existing, record))
    if isinstance(before, list | tuple) and set(map(str, before)) & set(map(str, now)):
        return False
    made = "mixed" if existing.mix is not None else "made"
    logger.warning(
        "%s: the voice in this folder was %s %s%s, not from the recordings of this recipe; it is kept",
        folder.path, made, printable(existing.created), _origin(_sources(folder)),
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
