"""What became of each recording, one file a recording: so that nothing is done twice, and nothing is lost to a kill."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from vtune.errors import DataError
from vtune.runtime.paths import write_text
from vtune.runtime.untrusted import read_json_object, why

FOLDER = ".prepared"

CONTENT_DIGITS = 32
"""Digits of a key that are of the recording's content; the rest are of the settings."""


@dataclass(frozen=True, slots=True)
class Cut:
    """One clip, or a stretch of speech that became none.

    :param clip: file name; None where ``reason`` says why there is none.
    :param start: seconds in the recording; ``end`` likewise; ``seconds`` of them are kept.
    :param forced: it begins or ends inside speech that never pauses.
    """

    clip: str | None
    start: float
    end: float
    seconds: float
    forced: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What became of one recording.

    :param recording: its path.
    :param key: of content and settings.
    :param stem: what its clips are called.
    :param done: False while it is being cut.
    :param seconds: its length; of them ``noise`` are loud without being speech.
    :param reason: why there are no clips of it, if so.
    """

    recording: str
    key: str
    stem: str
    done: bool = False
    seconds: float = 0.0
    noise: float = 0.0
    rate: int = 0
    channels: int = 0
    reason: str | None = None
    cuts: list[Cut] = field(default_factory=list)

    @property
    def content(self) -> str:
        """The first digits of the hash of the recording's bytes."""
        return self.key[:CONTENT_DIGITS]

    @property
    def kept(self) -> list[Cut]:
        """The clips."""
        return [one for one in self.cuts if one.clip]


class Records:
    """The records of an output folder."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._folder = out / FOLDER
        self._by_stem: dict[str, Record] = {}
        self._by_key: dict[str, Record] = {}
        self._by_path: dict[str, Record] = {}
        for record in self._read():
            self._keep(record)
        # Stems that a new recording cannot have: of others, and of files that are not ours.
        stems = {_stem_of(path.name) for path in out.glob("*.wav")} | self._by_stem.keys()
        self.taken = {stem.casefold() for stem in stems}

    def __iter__(self) -> Iterator[Record]:
        return iter(sorted(self._by_stem.values(), key=lambda record: record.recording))

    def of(self, recording: str, key: str) -> Record | None:
        """Return the record of this content and these settings, else of what had this path before."""
        return self._by_key.get(key) or self._by_path.get(recording)

    def stands(self, record: Record) -> bool:
        """Whether it was cut and all is there that the record tells of."""
        there = all((self.out / str(one.clip)).is_file() for one in record.kept)
        return record.done and record.reason is None and there

    def write(self, record: Record) -> None:
        """Keep a record; clips that it no longer has are removed."""
        former = self._by_stem.get(record.stem)
        write_text(self._folder / f"{record.stem}.json", json.dumps(asdict(record), indent=1) + "\n")
        self._keep(record)
        self.taken.add(record.stem.casefold())
        if former is not None and record.done:
            for clip in {one.clip for one in former.kept} - {one.clip for one in record.kept}:
                (self.out / str(clip)).unlink(missing_ok=True)

    def begin(self, record: Record) -> None:
        """Note that a recording is being cut, and which clips it had, so that none is forgotten."""
        former = self._by_stem.get(record.stem)
        if former is not None and not former.done:  # killed while it was cut: nobody wrote down what it had made
            for path in self.out.glob(f"{glob.escape(record.stem)}_*.wav"):
                if _stem_of(path.name) == record.stem:
                    path.unlink()
        self.write(replace(record, done=False, cuts=former.cuts if former else []))

    def _keep(self, record: Record) -> None:
        self._by_stem[record.stem] = self._by_key[record.key] = self._by_path[record.recording] = record

    def _read(self) -> Iterator[Record]:
        for path in sorted(self._folder.glob("*.json")):
            try:
                values = read_json_object(path)
                record = Record(**{**values, "cuts": [Cut(**one) for one in values["cuts"]]})
                # Clips are removed by these names, and the folder may be somebody else's gift.
                if record.stem != path.stem or any(_stem_of(str(one.clip)) != record.stem for one in record.kept):
                    raise ValueError("names that are not its own")
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise DataError(
                    f"{path} is no record of vtune's ({why(error)}); remove it and the clips of its name"
                ) from error
            yield record


def _stem_of(clip: str) -> str:
    """Return the stem of a clip's file name; empty where it is none."""
    found = re.fullmatch(r"([^/\\]+)_\d{3,}\.wav", clip)
    return found[1] if found else ""
