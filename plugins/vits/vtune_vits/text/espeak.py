"""Turn texts into phonemes with espeak-ng, as Piper does, through the library that the package piper-tts brings.

piper-tts is under the GPL, version 3 or later, so it is an extra of vtune and nothing of it is copied here. Phonemes of
another build of espeak-ng differ in single words, and a voice would read symbols that it has not learned.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vtune import EngineError
from vtune.errors import nearest, shown

EXTRA_HINT = "install vtune-tts with the extra 'vits', which brings piper-tts (GPL-3.0-or-later)"

CLAUSE_MARKS = (",", ":", ";")
"""Marks that end a clause and no sentence; a space follows them."""

_LANGUAGE_SWITCH = re.compile(r"\([^)]+\)")
"""espeak marks words that it reads by the rules of another language: ``(en)smaɪl(de)``."""

_LOCK = threading.Lock()
"""espeak-ng has one state in a process, and two bases may be used by two threads."""


@dataclass(frozen=True, slots=True)
class Clause:
    """The phonemes of one clause.

    :param phonemes: IPA with a space between words, decomposed (NFD).
    :param mark: what ends the clause: ``. , : ; ? !`` or nothing.
    """

    phonemes: str
    mark: str
    ends_sentence: bool


def phonemize(text: str, voice: str) -> list[Clause]:
    """Read a text with a voice of espeak-ng.

    ``phonemize("Hello, world.", "en-us")`` is ``[Clause("həlˈoʊ", ",", False), Clause("wˈɜːld", ".", True)]``.

    :param voice: name of an espeak-ng voice: ``en-us``, ``de``, ``nl``.
    :raises EngineError: piper-tts is not installed, or espeak-ng has no such voice.
    """
    bridge = _bridge()
    with _LOCK:
        try:
            bridge.set_voice(voice)
        except RuntimeError as error:
            raise EngineError(
                f"engine_options.language: espeak-ng has no voice {shown(voice)}{nearest(voice, _voice_names())}"
            ) from error
        clauses = bridge.get_phonemes(text)
    return [
        Clause(unicodedata.normalize("NFD", _LANGUAGE_SWITCH.sub("", phonemes)), mark, ends)
        for phonemes, mark, ends in clauses
    ]


@cache
def _bridge() -> Any:
    try:
        import piper
        from piper import espeakbridge
    except ImportError as error:
        raise EngineError(f"this base reads phonemes of espeak-ng: {EXTRA_HINT}") from error
    espeakbridge.initialize(str(_data_folder(piper)))
    return espeakbridge


def _data_folder(package: Any) -> Path:
    return Path(str(package.__file__)).parent / "espeak-ng-data"


def _voice_names() -> list[str]:
    """Return the names of the voices by the file names of their languages."""
    import piper

    return sorted(set(_language_files(_data_folder(piper) / "lang")))


def _language_files(folder: Path) -> Iterator[str]:
    return (path.name.lower() for path in folder.rglob("*") if path.is_file())
