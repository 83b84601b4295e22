"""Read English with the package hibari-tts: normaliser, tagger, lexicon, and a network for words in no lexicon."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

from vtune import EngineError
from vtune_hibari.bases.base_files import Accent
from vtune_hibari.bases.package import DISTRIBUTION, EXTRA_HINT

_LOCK = threading.Lock()
"""A reader is loaded once in a process, and two bases may be used by two threads."""


@dataclass(frozen=True, slots=True)
class ReadGroup:
    """What is written without a space, and its phonemes.

    :param text: as the normaliser has left it: ``January`` for ``Jan.``.
    :param phonemes: with the marks; may hold spaces, and is empty for what cannot be read.
    """

    text: str
    phonemes: str


def split_sentences(text: str) -> list[str]:
    """Split a text as the package does: at line breaks, and behind ``. ! ? …`` unless it is an abbreviation.

    :raises EngineError: the package is not installed.
    """
    sentences: list[str] = _package().Hibari.split_sentences(text)
    return sentences


def read_groups(sentence: str, accent: Accent) -> list[ReadGroup]:
    """Return the groups of a sentence; joined by spaces, their phonemes are what the package itself reads.

    ``read_groups("Hello there.", "american")`` is ``[ReadGroup("Hello", "həlˈO"), ReadGroup("there.", "ðˈɛɹ.")]``.

    :param sentence: may hold words with their phonemes: ``[Piper](/pˈIpəɹ/)``.
    :raises EngineError: the package is not installed.
    """
    package = _package()
    with _LOCK:
        reader = _reader(accent)
        tokens = reader.phonemize_tokens(reader.tokenize(package.g2p.normalize(sentence)))
    groups, text, phonemes = [], "", ""
    for token in tokens:
        text, phonemes = text + token.text, phonemes + (token.phonemes or "")
        if token.whitespace:
            groups.append(ReadGroup(text, phonemes))
            text = phonemes = ""
    return [*groups, ReadGroup(text, phonemes)] if text else groups


def reader_version() -> str:
    """Return the version of the package, empty if it is not installed."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return ""


@cache
def _reader(accent: Accent) -> Any:
    return _package().g2p.G2P(british=accent == "british")


@cache
def _package() -> Any:
    try:
        import hibari
        import hibari.g2p
    except ImportError as error:
        raise EngineError(f"texts are read by the package {DISTRIBUTION}: {EXTRA_HINT} ({error})") from error
    return hibari
