"""What became of each recording, one file a recording: so that nothing is done twice, and nothing is lost to a kill."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from vtune.errors import DataError
from vtune.folders import write_text
from vtune.prepare.names import clip_name

FOLDER = ".prepared"


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
    def kept(self) -> list[Cut]:
        """The clips."""
        return [one for one in self.cuts if one.clip]


class Records:
    """The records of an output folder."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._folder = out / FOLDER
        self._records = {record.stem: record for record in self._read()}

    def __iter__(self) -> Iterator[Record]:
        return iter(sorted(self._records.values(), key=lambda record: record.recording))

    def taken(self) -> set[str]:
        """Case-folded stems that a new recording cannot have: of others, and of files that are not ours."""
        ours = {clip_name(record.stem, 0)[:-7] for record in self}
        files = {match[1] for path in self.out.glob("*.wav") if (match := re.match(r"(.+)_\d{3,}\.wav$", path.name))}
        return {stem.casefold() for stem in ours | files}

    def of(self, recording: str, key: str) -> Record | None:
        """Return the record of this content, else of what had this path before."""
        same = [record for record in self if record.key == key]
        before = [record for record in self if record.recording == recording]
        return next(iter([*(one for one in same if one.recording == recording), *same, *before]), None)

    def stands(self, record: Record) -> bool:
        """Whether it was cut and all is there that the record tells of."""
        there = all((self.out / str(one.clip)).is_file() for one in record.kept)
        return record.done and record.reason is None and there

    def write(self, record: Record) -> None:
        """Keep a record; clips that it no longer has are removed."""
        former = self._records.get(record.stem)
        write_text(self._folder / f"{record.stem}.json", json.dumps(asdict(record), indent=1) + "\n")
        self._records[record.stem] = record
        if former is not None and record.done:
            for clip in {one.clip for one in former.kept} - {one.clip for one in record.kept}:
                (self.out / str(clip)).unlink(missing_ok=True)

    def begin(self, record: Record) -> None:
        """Note that a recording is being cut, and which clips it had, so that none is forgotten."""
        former = self._records.get(record.stem)
        self.write(replace(record, done=False, cuts=former.cuts if former else []))

    def _read(self) -> Iterator[Record]:
        for path in sorted(self._folder.glob("*.json")):
            try:
                values = json.loads(path.read_text(encoding="utf-8"))
                cuts = [Cut(**one) for one in values.pop("cuts")]
                yield Record(**values, cuts=cuts)
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise DataError(
                    f"{path} is no record of vtune's ({error}); remove it and the clips of its name"
                ) from error
