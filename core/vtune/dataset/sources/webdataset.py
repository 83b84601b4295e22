"""WebDataset: tar archives in which members of one name are one clip, ``0001.flac`` and ``0001.txt`` or ``0001.json``.

The archives are read where they lie; nothing is unpacked.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from vtune import audio
from vtune.dataset.sources.columns import SPEAKER_COLUMNS, TEXT_COLUMNS, ColumnChoice
from vtune.dataset.sources.plain_text import unfit_words
from vtune.dataset.sources.source import Row
from vtune.dataset.sources.tar_members import TarMember, tar_members
from vtune.errors import DataError
from vtune.types import Waveform

MAX_TEXT_BYTES = 1 << 20
"""Bytes of the largest text or JSON of one clip."""

MAX_SOUND_BYTES = 1 << 29
"""Bytes of the largest recording: it is read into memory."""

SAMPLED_CLIPS = 200
"""Clips of the first archive that tell what the archives hold."""

TEXT_ENDINGS = ("txt", "text", "transcript")

_NAME = re.compile(r"(?P<tar>.+)#(?P<offset>\d+),(?P<size>\d+)/[^/]*", re.DOTALL)


class ShardSource:
    """Reads the clips of tar archives; ``Row.audio`` says where in which archive a recording lies.

    :param tars: the archives; the source can be pickled.
    """

    def __init__(self, tars: list[Path], choice: ColumnChoice) -> None:
        self._tars = tars
        self._texts = (choice.text,) if choice.text else TEXT_COLUMNS
        self._speakers = (choice.speaker,) if choice.speaker else SPEAKER_COLUMNS

    @cached_property
    def description(self) -> list[str]:
        """Say how many archives there are, and which members are not read."""
        names = {member.name for members in islice(_clips(self._tars[0]), SAMPLED_CLIPS) for member in members}
        endings = {_key_and_ending(name)[1] for name in names}
        unread = sorted(ending for ending in endings if not _is_sound(ending) and ending not in (*TEXT_ENDINGS, "json"))
        first, more = self._tars[0].name, len(self._tars) - 1
        others = f" and {more:,} more tar archive{'' if more == 1 else 's'}" if more else ""
        left = f"; not read: .{', .'.join(unread[:8])}" if unread else ""
        return [f"{first}{others}: WebDataset; members of one name are one clip{left}"]

    @cached_property
    def has_speakers(self) -> bool:
        """Whether the first clips name speakers."""
        return any(row.speaker for row in islice(self._rows_of(self._tars[0]), SAMPLED_CLIPS))

    @property
    def speaker_question(self) -> str | None:
        """No question: archives have no folders of speakers."""
        return None

    def rows(self) -> Iterator[Row]:
        """Yield the clips of all archives; ``line`` is the number of the clip in its archive, counted from 1."""
        for tar in self._tars:
            yield from self._rows_of(tar)

    def seconds(self, name: str) -> float:
        """Return the seconds of a recording."""
        return audio.seconds_in(self._sound(name), name)

    def rate(self, name: str) -> int:
        """Return the sample rate of a recording in Hz."""
        return audio.rate_in(self._sound(name), name)

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a recording's bytes."""
        return sha256(self._sound(name).getvalue()).hexdigest()

    def load(self, name: str, sample_rate: int) -> Waveform:
        """Read a recording."""
        return audio.decode(self._sound(name), sample_rate, name)

    def _rows_of(self, tar: Path) -> Iterator[Row]:
        with tar.open("rb") as file:
            for number, members in enumerate(_clips(tar), 1):
                yield self._row(tar, number, members, file)

    def _row(self, tar: Path, number: int, members: list[TarMember], file: io.BufferedReader) -> Row:
        endings = {_key_and_ending(member.name)[1]: member for member in reversed(members)}
        sound = next((member for ending, member in sorted(endings.items()) if _is_sound(ending)), None)
        problem = next((f"{member.name[:80]!r}: {member.problem}" for member in members if member.problem), None)
        if sound is None:
            name = _key_and_ending(members[0].name)[0]
            return Row(str(tar), number, name, "", "", problem or f"no recording is named {name[:80]!r}", there=False)
        if sound.size > MAX_SOUND_BYTES:
            problem = problem or f"the recording has more than {MAX_SOUND_BYTES >> 20} MiB"
        words, speaker = "", ""
        if problem is None:
            words, speaker, problem = self._words(endings, file)
        # The name of a member may hold anything; a name of a clip ends with what no path and no terminal minds.
        label = re.sub(r"[^\w.-]", "_", sound.name.rpartition("/")[2])[-80:]
        audio_name = f"{tar}#{sound.offset},{sound.size}/{label}"
        problem = problem or unfit_words(words)
        return Row(str(tar), number, audio_name, words, speaker, problem, there=sound.problem is None)

    def _words(self, endings: dict[str, TarMember], file: io.BufferedReader) -> tuple[str, str, str | None]:
        """Return words, speaker and problem of a clip; a text of its own counts before the JSON's."""
        values: dict[str, Any] = {}
        texts = []
        for ending in ("json", *TEXT_ENDINGS):
            member = endings.get(ending)
            if member is None:
                continue
            if member.size > MAX_TEXT_BYTES:
                return (
                    "",
                    "",
                    f"{member.name[:80]!r} has more than {MAX_TEXT_BYTES >> 20} MiB, which is no text of a clip",
                )
            file.seek(member.offset)
            content = file.read(member.size).decode("utf-8-sig", "replace")
            if ending != "json":
                texts.append(content)
                continue
            try:
                parsed = json.loads(content)
            except (ValueError, RecursionError) as error:
                return "", "", f"{member.name[:80]!r} is not JSON: {error}"
            values = parsed if isinstance(parsed, dict) else {}
        text = texts[0] if texts else next((values[key] for key in self._texts if isinstance(values.get(key), str)), "")
        speaker = next((values[key] for key in self._speakers if isinstance(values.get(key), (str, int))), "")
        return " ".join(text.split()), str(speaker).strip(), None

    def _sound(self, name: str) -> io.BytesIO:
        match = _NAME.fullmatch(name)
        if match is None or int(match["size"]) > MAX_SOUND_BYTES:
            raise DataError(f"{name[:200]!r} is no recording of these archives")
        with open(match["tar"], "rb") as file:
            file.seek(int(match["offset"]))
            return io.BytesIO(file.read(int(match["size"])))


def find_shards(folder: Path) -> list[Path]:
    """Return the tar archives with recordings in a folder, or in the folders in it; an empty list if there are none.

    :raises DataError: an archive is broken.
    """
    tars = sorted(path for pattern in ("*.tar", "*/*.tar") for path in folder.glob(pattern) if path.is_file())
    return tars if any(holds_recordings(tar) for tar in tars[:1]) else []


def holds_recordings(tar: Path) -> bool:
    """Tell whether there is a recording among the first members of an archive.

    :raises DataError: the file is no tar archive.
    """
    return any(_is_sound(_key_and_ending(member.name)[1]) for member in islice(tar_members(tar), SAMPLED_CLIPS))


def _clips(tar: Path) -> Iterator[list[TarMember]]:
    """Yield the members of each clip, which lie one behind the other."""
    members = (member for member in tar_members(tar) if not os.path.basename(member.name).startswith("."))
    for _, clip in groupby(members, key=lambda member: _key_and_ending(member.name)[0]):
        yield list(clip)


def _key_and_ending(name: str) -> tuple[str, str]:
    """Return what clips are told by, and the rest in lower case: ``a/0001.seg.flac`` is ``("a/0001", "seg.flac")``."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return folder + slash + stem, ending.lower()


def _is_sound(ending: str) -> bool:
    return "." + ending.rpartition(".")[2] in audio.SUFFIXES
