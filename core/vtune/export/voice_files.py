"""Files that go with every export: the voice's own files, and the note that its engine's licence asks for."""

from __future__ import annotations

import shutil
from pathlib import Path

from vtune.runtime.paths import LICENCE_NOTE, VoiceFolder, write_json, write_text
from vtune.runtime.untrusted import FileRefused, open_regular
from vtune.types import Licence
from vtune.voice_format.record import VoiceRecord


def write_licence_note(licence: Licence, directory: Path) -> None:
    """Write the note of a licence that has one."""
    if licence.note:
        write_text(directory / LICENCE_NOTE, licence.note)


def write_records(folder: VoiceFolder, record: VoiceRecord, directory: Path) -> None:
    """Write the record, and copy the other files that the card's numbers come from, and the samples.

    The page to listen to is left out, because it holds recordings of the person.
    """
    write_json(VoiceFolder(directory).record, record.model_dump())
    for path in (folder.recipe, folder.scores):
        if path.is_file():
            shutil.copyfile(path, directory / path.name)
    if folder.samples.is_dir():
        _copy_samples(folder.samples, directory / folder.samples.name)


def _copy_samples(samples: Path, directory: Path) -> None:
    """Copy WAV files only: other files or links that a stranger put there would be published too."""
    directory.mkdir()
    for path in sorted(samples.glob("*.wav")):
        try:
            with open_regular(path) as file:
                is_wav = file.read(4) == b"RIFF"
        except (OSError, FileRefused):
            continue
        if is_wav:
            shutil.copyfile(path, directory / path.name)
