"""Folders that divide the recordings of a source: each a speaker, or parts of one speaker's recordings, or unclear."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from vtune.dataset.sources.columns import listed

MIN_RECORDINGS_A_FOLDER = 2
"""Recordings a folder, on average: folders of one recording each are no speakers."""

_WORDS = (
    "clips", "wavs?[0-9a-z_]*", "flacs?", "mp3s?", "audios?", "audio_?files", "recordings?", "sounds?", "speech",
    "data", "dataset", "corpus", "raw", "clean", "(train|dev|test)([-_.].*|\\d*)", "valid(ation)?", "val",
    "eval(uation)?", "heldout", "tmp", "misc", "new", "old", "extra", "more", "others?", "long", "short", "by_book",
    "females?", "males?", "women", "men", "mix(ed)?", "samples?", "files", "media", "content", "upload(s|ed)?",
    "(ar|bg|bn|cs|da|de|el|en|es|fa|fi|fr|he|hi|hu|id|it|ja|jp|ko|nb|nl|no|pl|pt|ro|ru|sv|ta|te|th|tr|uk|ur|vi|zh)([-_]..)?",
    "angry|anger|happy|happiness|sad(ness)?|neutral|surprised?|fear(ful)?|disgust(ed)?|calm|excited|whisper(ed)?|shout(ed)?",
    "amused|sleepy|bored|normal|fast|slow|loud|soft|narration|dialogue|questions?|statements?",
    "january|february|march|july|september|october|november|december",
    "(mon|tues|wednes|thurs|fri|satur|sun)day",
)  # fmt: skip
_NUMBERED = (
    "parts?|pt|chunks?|shards?|batch|split|dis[ck]|cd|vol(ume)?|chap(ter)?s?|ch|books?|sec(tion)?s?|sess(ion)?s?|takes?|"
    "scenes?|acts?|days?|weeks?|lessons?|units?|episodes?|ep|tracks?|sides?|sets?|groups?|blocks?|folders?|dir|lists?|pages?"
)
_PART = re.compile(
    rf"({'|'.join(_WORDS)}|({_NUMBERED})[-_ .]?\d*|(19|20)\d\d([-_.]?\d\d?){{0,2}}.*|\d\d[-_.]\d\d[-_.](\d\d){{1,2}})",
    re.I,
)
_SPEAKER = re.compile(
    r"((spk|spkr|speaker|voice|reader|actor|narrator|person|subject|user)[-_ .]?[a-z0-9]+"
    r"|p\d{3}|s\d{3,}|id\d{4,}|ssb\d+|jvs\d+|cmu_us_[a-z]+_arctic)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class SpeakerFolders:
    """What the folders of recordings say about speakers.

    :param speaker_of: the name of the dividing folder, by folder of recordings.
    :param counts: recordings in each dividing folder.
    :param are_speakers: whether each dividing folder is a speaker; None where nothing says it.
    """

    speaker_of: Mapping[str, str]
    counts: Mapping[str, int]
    are_speakers: bool | None

    def listed(self) -> str:
        """Return the dividing folders with their numbers of recordings."""
        return listed([f"{name} ({count:,})" for name, count in self.counts.items()])


def divide_by_folders(counts: Mapping[str, int], choice: bool | None) -> SpeakerFolders | None:
    """Say which folders may be speakers; None if folders divide nothing or only into parts.

    ``{"/x/spk1": 3, "/x/spk2/wavs": 4}`` is divided into the speakers ``spk1`` and ``spk2``.

    :param counts: recordings by the folder that holds them, as real paths.
    :param choice: what the recipe says: each folder is a speaker, or all are one speaker; None if it says nothing.
    """
    if choice is False or len(counts) < 2:
        return None
    common = os.path.commonpath(list(counts))
    below = {folder: os.path.relpath(folder, common).split(os.sep) for folder in counts}
    named = {folder: _first_name(parts, any_name=False) for folder, parts in below.items()}
    if choice and (len(set(named.values())) < 2 or "" in named.values()):
        named = {folder: _first_name(parts, any_name=True) for folder, parts in below.items()}
    totals = Counter[str]()
    for folder, name in named.items():
        totals[name] += counts[folder]
    rest = totals.pop("", 0)
    clear = bool(totals) and all(_SPEAKER.fullmatch(name) for name in totals)
    if len(totals) < 2 and not (clear and rest):
        return None
    if choice is None and not clear and sum(totals.values()) < MIN_RECORDINGS_A_FOLDER * len(totals):
        return None
    return SpeakerFolders(named, dict(totals), True if choice or (clear and not rest) else None)


def _first_name(parts: list[str], *, any_name: bool) -> str:
    """Return the first folder of a path that is no mere part of a corpus; an empty text if there is none."""
    return next((part for part in parts if part != os.curdir and (any_name or not _PART.fullmatch(part))), "")
