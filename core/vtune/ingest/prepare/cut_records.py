"""Keep one file per recording with its clips, so that no work is done twice and a killed run loses nothing."""

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

RECORDS_FOLDER = ".prepared"
"""Hidden folder for the records, inside the folder of the clips."""

CONTENT_DIGITS = 32
"""First digits of a key: the hash of the recording's content. The other digits are the hash of the settings."""


@dataclass(frozen=True, slots=True)
class CutSpan:
    """A span of speech in a recording, and the clip that was cut from it.

    :param clip: file name of the clip; None if there is none, and then ``reason`` says why.
    :param start: first second in the recording.
    :param end: last second in the recording.
    :param seconds: length that is kept; less than ``end - start`` if a long pause was shortened.
    :param doubt: why the clip should be listened to first; None for most clips.
    """

    clip: str | None
    start: float
    end: float
    seconds: float
    doubt: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class CutRecord:
    """The result of cutting one recording.

    :param recording: path of the recording.
    :param key: hash of its content and of the settings.
    :param stem: first part of the names of its clips.
    :param done: False while the recording is being cut.
    :param seconds: length of the recording.
    :param noise: seconds that are as loud as speech but are music, noise, clicks or breaths.
    :param snr: dB of the speech above the noise.
    :param by_network: a network found the speech, not the level.
    :param needs_network: the level found the speech, and the network would find it better.
    :param reason: why the recording has no clips; None if it has some.
    """

    recording: str
    key: str
    stem: str
    done: bool = False
    seconds: float = 0.0
    noise: float = 0.0
    rate: int = 0
    channels: int = 0
    snr: float = 0.0
    by_network: bool = False
    needs_network: bool = False
    reason: str | None = None
    cuts: list[CutSpan] = field(default_factory=list)

    @property
    def content(self) -> str:
        """First digits of the hash of the recording's bytes."""
        return self.key[:CONTENT_DIGITS]

    @property
    def clips(self) -> list[CutSpan]:
        """The spans that became clips."""
        return [span for span in self.cuts if span.clip]


class CutRecords:
    """The records of all recordings that were cut into one folder.

    ``used_stems`` holds the stems, case-folded, that a new recording must not get: those of other recordings, and those
    of files that vtune did not write.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self._folder = out / RECORDS_FOLDER
        self._by_stem: dict[str, CutRecord] = {}
        self._by_key: dict[str, CutRecord] = {}
        self._by_path: dict[str, CutRecord] = {}
        self.used_stems = {_stem_of(path.name).casefold() for path in out.glob("*.wav")}
        for record in self._read():
            self.keep(record)

    def __iter__(self) -> Iterator[CutRecord]:
        return iter(sorted(self._by_stem.values(), key=lambda record: record.recording))

    def find(self, recording: str, key: str) -> CutRecord | None:
        """Return the record with this key, else the record that last had this path, else None."""
        return self._by_key.get(key) or self._by_path.get(recording)

    def is_complete(self, record: CutRecord) -> bool:
        """Tell whether a recording was cut and all its clips still exist."""
        complete = all((self.out / str(span.clip)).is_file() for span in record.clips)
        return record.done and record.reason is None and complete

    def write(self, record: CutRecord) -> None:
        """Write a record, and delete the clips that the recording no longer has."""
        write_record(self.out, record, self._by_stem.get(record.stem))
        self.keep(record)

    def keep(self, record: CutRecord) -> None:
        """Take over a record that was written by ``write_record``."""
        self._by_stem[record.stem] = self._by_key[record.key] = self._by_path[record.recording] = record
        self.used_stems.add(record.stem.casefold())

    def begin(self, record: CutRecord) -> CutRecord:
        """Note that cutting starts, and which clips the recording had before, so that old clips can be deleted.

        :returns: the record as it was written, with the spans of the former clips.
        """
        former = self._by_stem.get(record.stem)
        if former is not None and not former.done:  # a run was killed while it cut: its new clips are not recorded
            for path in self.out.glob(f"{glob.escape(record.stem)}_*.wav"):
                if _stem_of(path.name) == record.stem:
                    path.unlink()
        begun = replace(record, done=False, cuts=former.cuts if former else [])
        self.write(begun)
        return begun

    def _read(self) -> Iterator[CutRecord]:
        for path in sorted(self._folder.glob("*.json")):
            try:
                values = read_json_object(path)
                record = CutRecord(**{**values, "cuts": [CutSpan(**span) for span in values["cuts"]]})
                # Clips are deleted by these names, and the folder may come from somebody else.
                if record.stem != path.stem or any(_stem_of(str(span.clip)) != record.stem for span in record.clips):
                    raise ValueError("it lists files of another recording")
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                raise DataError(
                    f"{path} is not a record of vtune ({why(error)}); delete this file and the clips with its name"
                ) from error
            yield record


def record_path(out: Path, stem: str) -> Path:
    """Return the path of the record of one recording."""
    return out / RECORDS_FOLDER / f"{stem}.json"


def write_record(out: Path, record: CutRecord, former: CutRecord | None) -> None:
    """Write the record of one recording, and delete the clips of the former record that the recording no longer has.

    Several processes can write the records of different recordings at the same time.
    """
    write_text(record_path(out, record.stem), json.dumps(asdict(record), indent=1) + "\n")
    if former is not None and record.done:
        for clip in {span.clip for span in former.clips} - {span.clip for span in record.clips}:
            (out / str(clip)).unlink(missing_ok=True)


def _stem_of(clip: str) -> str:
    """Return the stem of a clip's file name; an empty string if the name is not a clip's."""
    match = re.fullmatch(r"([^/\\]+)_\d{3,}\.wav", clip)
    return match[1] if match else ""
