"""Find the voice that a request names: the folder is read anew each time, and no name leads out of it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from vtune.engines import Engine, load_engine
from vtune.errors import EngineError, VoiceError, VtuneError, choices, printable, shown
from vtune.runtime.paths import VoiceFolder, is_moved_aside
from vtune.serve.failures import UnknownVoiceError, VoiceBrokenError, VoiceReplacedError
from vtune.voice_format.record import VoiceRecord, list_voices, read_record
from vtune.voice_format.weights import ADAPTER_FILE
from vtune.voices.mixing import MixPart, MixTerm, gather, looks_like_mix, parse_mix

logger = logging.getLogger(__name__)

T = TypeVar("T")

READ_ATTEMPTS = 3
"""Times that vtune reads a voice whose files are replaced while it reads them."""
REPLACED_SECONDS = 0.05
"""Seconds between two attempts; a voice that is being replaced is missing for two renames."""


@dataclass(frozen=True, slots=True)
class RequestedVoice:
    """A voice that a request named.

    :param name: the name of the voice, or the text of the mix.
    :param parts: the parts of a mix, the heaviest first; a single voice is one part.
    :param key: changes when a file of the voice changes.
    """

    name: str
    engine: Engine
    parts: tuple[MixPart, ...]
    is_mix: bool
    key: Hashable

    @property
    def record(self) -> VoiceRecord:
        """The record of the voice, or of the heaviest voice of a mix."""
        return self.parts[0].record

    @property
    def is_current(self) -> bool:
        """Whether the voice's files are unchanged since the request found them."""
        return self.key == _key(self.parts)

    def renewed(self, options: Mapping[str, Any]) -> RequestedVoice:
        """Return the voice with the records that its folders hold now.

        :param options: engine options of every voice on this server.
        :raises VoiceReplacedError: the voice is of another engine now.
        :raises VoiceError: a record is missing or damaged, or the voices cannot be mixed any more.
        """
        key = _key(self.parts)  # before the records: a file that changes after this makes the voice outdated
        if key == self.key:
            return self
        if self.is_mix:
            folders = {part.name: part.folder for part in self.parts}
            parts = gather(self.name, [part.term for part in self.parts], folders.__getitem__, options)
        else:
            parts = [replace(part, record=read_record(part.folder)) for part in self.parts]
        if parts[0].record.engine != self.record.engine:
            raise VoiceReplacedError(self.name)
        return replace(self, parts=tuple(parts), key=key)


def read_current(
    chosen: RequestedVoice, options: Mapping[str, Any], read: Callable[[RequestedVoice], T]
) -> tuple[RequestedVoice, T]:
    """Read the files of a voice as they are now, and read them again if they are replaced meanwhile.

    A request may wait so long for its turn that its voice is made anew before it speaks.

    :param options: engine options of every voice on this server.
    :param read: reads what is needed from the files of the voice that it gets.
    :returns: the voice as it is now, and what ``read`` returned for it.
    :raises VoiceReplacedError: the files were replaced each time.
    :raises VtuneError: a file is damaged.
    """
    for _ in range(READ_ATTEMPTS):
        key = _key(chosen.parts)
        try:
            current = chosen.renewed(options)
            result = read(current)
        except (VtuneError, OSError):
            if _key(chosen.parts) == key and all(part.folder.path.exists() for part in chosen.parts):
                raise
        else:
            if current.is_current:
                return current, result
        time.sleep(REPLACED_SECONDS)
    raise VoiceReplacedError(chosen.name)


class VoiceRegistry:
    """Finds the voices of one folder by name and alias.

    :param options: engine options of every voice on this server; they replace those of the training.
    :param mix_voices: voices that a mix may have.
    """

    def __init__(self, folder: Path, aliases: Mapping[str, str], options: Mapping[str, Any], mix_voices: int) -> None:
        self.folder, self.aliases = folder, aliases
        self._options, self._mix_voices = options, mix_voices
        self._engines: dict[str, Engine] = {}
        self._records: dict[Path, tuple[Hashable, VoiceRecord | VoiceError]] = {}

    def voices(self) -> dict[str, VoiceRecord]:
        """Return the record of every readable voice, by name."""
        records = {}
        folders = self._folders()
        for name, folder in folders.items():
            with suppress(VoiceBrokenError):
                records[name] = self._record(folder)
        paths = {folder.path for folder in folders.values()}
        self._records = {path: kept for path, kept in self._records.items() if path in paths}
        return records

    def find(self, name: str) -> RequestedVoice:
        """Return the voice of a name, an alias or a mix.

        :raises UnknownVoiceError: there is no such voice; the message names the voices that exist.
        :raises VoiceError: these voices cannot be mixed.
        :raises VoiceBrokenError: the voice is damaged, or its engine is not installed.
        """
        folders = self._folders()
        name = name if name in folders else self.aliases.get(name, name)
        stamps: dict[Path, Hashable] = {}  # from before the records are read: a voice may be replaced meanwhile
        if name in folders:
            folder = folders[name]
            stamps[folder.path] = _stamp(folder)
            parts = [MixPart(MixTerm(1.0, name), folder, self._record(folder))]
        elif looks_like_mix(name) and self._mix_voices > 1:
            parts = self._mixed(name, folders, stamps)
        else:
            raise self._unknown(name, folders)
        key = tuple((part.folder.path, part.weight, stamps[part.folder.path]) for part in parts)
        return RequestedVoice(name, self._engine(parts[0].record.engine), tuple(parts), name not in folders, key)

    def _mixed(self, text: str, folders: Mapping[str, VoiceFolder], stamps: dict[Path, Hashable]) -> list[MixPart]:
        terms = parse_mix(text)
        if len(terms) > self._mix_voices:
            raise VoiceError(f"the mix has {len(terms)} voices; this server mixes {self._mix_voices} at most")

        def find(name: str) -> VoiceFolder:
            target = name if name in folders else self.aliases.get(name, name)
            if target not in folders and looks_like_mix(target):
                raise VoiceError(f"{shown(name)} is an alias of a mix, and a mix cannot be part of another mix")
            if target not in folders:
                raise self._unknown(target, folders)
            stamps[folders[target].path] = _stamp(folders[target])
            self._record(folders[target])
            return folders[target]

        try:
            return gather(text, terms, find, self._options)
        except VoiceError as error:
            if isinstance(error.__cause__, UnknownVoiceError):
                raise UnknownVoiceError(str(error)) from error
            raise

    def _folders(self) -> dict[str, VoiceFolder]:
        # A file name that is not text cannot be in a request or a response.
        return {voice.name: voice for voice in list_voices(self.folder) if printable(voice.name) == voice.name}

    def _unknown(self, name: str, folders: Mapping[str, VoiceFolder]) -> VtuneError:
        # In this order: the old folder is removed after the new one has taken its place.
        if is_moved_aside(self.folder / name) or name in self._folders():
            return VoiceReplacedError(name)
        return UnknownVoiceError(f"no voice {shown(name)}{choices(name, [*folders, *self.aliases], 'voices')}")

    def _record(self, folder: VoiceFolder) -> VoiceRecord:
        for _ in range(READ_ATTEMPTS):
            stamp = _stamp_of(folder.record), _stamp_of(folder.adapter_config)
            kept = self._records.get(folder.path)
            if kept is None or kept[0] != stamp:
                kept = stamp, _read(folder)
            if any(stamp) and stamp == (_stamp_of(folder.record), _stamp_of(folder.adapter_config)):
                return self._kept(folder, *kept)
        raise VoiceReplacedError(folder.name)

    def _kept(self, folder: VoiceFolder, stamp: Hashable, record: VoiceRecord | VoiceError) -> VoiceRecord:
        if self._records.get(folder.path, (None,))[0] != stamp:
            self._records[folder.path] = stamp, record
            if isinstance(record, VoiceError):
                logger.warning("%s", record)  # once, not each time that the voices are listed
        if isinstance(record, VoiceError):
            raise VoiceBrokenError(str(record)) from record
        return record

    def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            try:
                self._engines[name] = load_engine(name)
            except EngineError as error:
                raise VoiceBrokenError(str(error)) from error
        return self._engines[name]


def _read(folder: VoiceFolder) -> VoiceRecord | VoiceError:
    try:
        return read_record(folder)
    except VoiceError as error:
        return error


def _key(parts: Iterable[MixPart]) -> Hashable:
    return tuple((part.folder.path, part.weight, _stamp(part.folder)) for part in parts)


def _stamp(folder: VoiceFolder) -> Hashable:
    return tuple(map(_stamp_of, (folder.path / ADAPTER_FILE, folder.weights, folder.conditioning, folder.record)))


def _stamp_of(path: Path) -> Hashable:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
