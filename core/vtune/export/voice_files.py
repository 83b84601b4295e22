"""Files that go with every voice and every export: samples, records, and the note that its licence asks for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from vtune.audio import write_wav
from vtune.recipe import EvaluateRecipe
from vtune.runtime.paths import LICENCE_NOTE, VoiceFolder, write_json, write_text
from vtune.runtime.untrusted import FileRefused, open_regular
from vtune.types import Licence
from vtune.voice_format.record import VoiceRecord
from vtune.voices.speech import Speaker


def write_licence_note(licence: Licence, directory: Path) -> None:
    """Write the note of a licence that has one."""
    if licence.note:
        write_text(directory / LICENCE_NOTE, licence.note)


def licence_entries(licence: Licence) -> dict[str, str]:
    """Return what ``voice.json`` says of a licence; its note is a file of its own."""
    return {
        "licence": licence.terms,
        "licence_id": licence.licence_id,
        "licence_name": licence.licence_name,
    }


def write_samples(
    speaker: Speaker, record: VoiceRecord, evaluate: EvaluateRecipe, folder: Path, advance: Callable[[], None]
) -> None:
    """Let a voice and its untuned base speak the sentences of a recipe into ``01.wav``, ``01_base.wav``, ``02.wav``...

    :param evaluate: has the sentences and the seed.
    :param advance: called after each file; see ``sample_count``.
    """
    folder.mkdir(exist_ok=True)
    for number, sentence in enumerate(evaluate.sentences, 1):
        for suffix, untuned in _sample_kinds(record):
            pieces = speaker.speak(sentence, evaluate.seed, untuned=untuned)
            write_wav(folder / f"{number:02d}{suffix}.wav", pieces, record.sample_rate)
            advance()


def sample_count(record: VoiceRecord, evaluate: EvaluateRecipe) -> int:
    """Return how many files ``write_samples`` writes."""
    return len(evaluate.sentences) * len(_sample_kinds(record))


def _sample_kinds(record: VoiceRecord) -> tuple[tuple[str, bool], ...]:
    """Return the ending of each sample's name, and whether the untuned base speaks it."""
    # Of a fully fine-tuned voice there is no adapter to switch off; `vtune say --base` loads the base alone.
    return (("", False),) if record.method == "full" else (("", False), ("_base", True))


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
