"""The text files of single recordings: which file holds the words of a recording, and which speaker its layout names.

This is the one place that says where the words of a recording may lie in a file of their own. A file is looked at
before its words are believed: label times, subtitles, JSON, HTML and lists are no words.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vtune.dataset.sources.plain_text import encoding_of, open_text, unfit_words
from vtune.dataset.sources.text_kinds import HEAD_CHARACTERS, kind_of_text
from vtune.errors import DataError

SIDECAR_ENDINGS = (".normalized.txt", ".txt", ".TXT", ".lab", ".LAB", ".original.txt")
"""Endings of texts beside recordings, the preferred one first; LibriTTS has ``.normalized`` and ``.original``."""

_TEXT_FOLDERS = (
    "txt",
    "text",
    "texts",
    "transcript",
    "transcripts",
    "transcription",
    "transcriptions",
    "lab",
    "labels",
)
_AUDIO_FOLDER = re.compile(
    r"(wavs?|flacs?|mp3s?|audios?|clips|recordings?|sounds?)([-_]?\d+k?)?(_silence_trimmed)?", re.I
)
_MICROPHONE = re.compile(r"_mic(\d)$")
_LIBRITTS_NAME = re.compile(r"(\d+)_\d+_\d{6}_\d{6}")

MAX_TEXT_CHARACTERS = 1 << 20
"""Characters of a text for one recording: a day of speech has about as many."""

MAX_PARALLEL_DEPTH = 4
"""Folders between a recording and the folder of all recordings that has a folder of texts beside it."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The text file of one recording.

    :param speaker: the speaker that the layout names; an empty text where it names none.
    :param unused: further texts of the same recording, which are not read.
    :param microphone: the number of the microphone, where several recorded the same words (VCTK); 0 elsewhere.
    """

    path: Path
    speaker: str = ""
    unused: tuple[Path, ...] = ()
    microphone: int = 0

    def kind(self) -> str | None:
        """Return what the file is if it is no plain text of what is spoken; None if it is, or cannot be read."""
        try:
            with open_text(self.path, encoding_of(self.path)) as file:
                return kind_of_text(file.read(HEAD_CHARACTERS))
        except DataError:
            return None

    def read(self) -> tuple[str, str | None]:
        """Return the words, and the problem if they cannot be used.

        :raises DataError: the file cannot be read.
        """
        with open_text(self.path, encoding_of(self.path)) as file:
            text = file.read(MAX_TEXT_CHARACTERS + 1)
        if len(text) > MAX_TEXT_CHARACTERS:
            return (
                "",
                f"{self.path.name} holds more than {MAX_TEXT_CHARACTERS:,} characters, so it is no text of a recording",
            )
        if (kind := kind_of_text(text)) is not None:
            return "", f"{self.path.name} holds {kind}, which is no plain text of what is spoken"
        words = " ".join(text.split())
        return words, unfit_words(words)


def sidecar_of(recording: Path) -> Sidecar | None:
    """Return the text file of a recording: beside it, or under its name in a folder of texts; None if there is none."""
    folder, file_name = os.path.split(recording)
    stem = os.path.splitext(file_name)[0]
    base = os.path.join(folder, stem)  # strings, because a corpus has half a million recordings
    endings = (*SIDECAR_ENDINGS, os.path.splitext(file_name)[1] + ".txt")  # a.txt, or a.wav.txt
    there = [ending for ending in endings if os.path.isfile(base + ending)]
    texts = [Path(base + ending) for ending in {ending.lower(): ending for ending in reversed(there)}.values()][::-1]
    if texts:  # where a disk knows no capitals, a.TXT is a.txt
        of_reader = _LIBRITTS_NAME.fullmatch(stem)
        return Sidecar(texts[0], of_reader[1] if of_reader else "", tuple(texts[1:]))
    microphone = _MICROPHONE.search(stem)
    for text_folder in text_folders(folder):
        for name in dict.fromkeys((stem, stem[: microphone.start()] if microphone else stem)):
            for ending in (".txt", ".lab"):
                if os.path.isfile(path := os.path.join(text_folder, name + ending)):
                    number = int(microphone[1]) if microphone and name != stem else 0
                    return Sidecar(Path(path), _vctk_speaker(os.path.basename(folder), name), microphone=number)
    return None


def other_microphone(recording: Path, sidecar: Sidecar) -> Path | None:
    """Return the recording of a lower microphone that has the same words and is there; None if this one is used."""
    stem, ending = os.path.splitext(recording.name)
    for number in range(1, sidecar.microphone):
        path = recording.with_name(_MICROPHONE.sub(f"_mic{number}", stem) + ending)
        if os.path.isfile(path):
            return path
    return None


@lru_cache(maxsize=4096)
def text_folders(folder: str) -> tuple[str, ...]:
    """Return the folders of texts that belong to a folder of recordings.

    ``VCTK/wav48/p225`` has ``VCTK/txt/p225``; ``book/wavs`` has ``book/txt``.
    """
    return tuple(_parallel_folders(Path(folder)))


def _parallel_folders(folder: Path) -> Iterator[str]:
    for depth, above in enumerate((folder, *folder.parents)):
        if depth > MAX_PARALLEL_DEPTH:
            return
        if _AUDIO_FOLDER.fullmatch(above.name):
            below = folder.relative_to(above)
            for name in _TEXT_FOLDERS:
                if os.path.isdir(path := above.parent / name / below):
                    yield str(path)


def _vctk_speaker(folder: str, stem: str) -> str:
    """Return the name of a folder if it begins the recording's name, as VCTK's ``p225/p225_001`` does."""
    return folder if re.fullmatch(r"[ps]\d+", folder) and stem.startswith(f"{folder}_") else ""
