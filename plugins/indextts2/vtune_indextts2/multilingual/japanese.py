"""Divide a Japanese text into words by blanks, as IndexTTS-2.5 was trained; fugashi has the words."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from vtune import EngineError
from vtune.errors import in_a_line
from vtune_indextts2.multilingual.annotations import KANA_CLOSE, KANA_OPEN, PROTECTED, SPECIAL

WordSplitter = Callable[[str], str]
"""Puts blanks between the words of a text."""

_BLANKS = re.compile(r"(\s+)")
_KEPT = re.compile(
    rf"({PROTECTED.pattern}|{SPECIAL.pattern.replace('(', '(?:')}|{KANA_OPEN}.*?{KANA_CLOSE})", re.DOTALL
)


def split_words(text: str) -> str:
    """Put blanks between words; existing blanks stay. :raises EngineError: fugashi or its dictionary is missing."""
    tagger = _tagger()
    parts = _BLANKS.split(text)
    return "".join(part if index % 2 else " ".join(map(str, tagger(part))) for index, part in enumerate(parts))


def split_around_readings(text: str, split: WordSplitter) -> str:
    """Put blanks between words, and leave special tokens, what a pair of them holds, and readings in kana whole."""
    parts = _KEPT.split(text)
    spoken = [
        part.strip(KANA_OPEN + KANA_CLOSE) if index % 2 else split(part).strip() for index, part in enumerate(parts)
    ]
    return " ".join(part for part in spoken if part)


def word_splitter_identity() -> str:
    """Return name and version of what divides words. :raises EngineError: it is not installed."""
    _tagger()
    return f"fugashi {_version('fugashi')} unidic-lite {_version('unidic-lite')}"


@lru_cache(maxsize=1)
def _tagger() -> Any:
    try:
        import unidic_lite
        from fugashi import Tagger

        return Tagger(f'-d "{unidic_lite.DICDIR}"')
    except (ImportError, OSError, RuntimeError) as error:
        raise EngineError(
            f"the language 'ja' needs the packages fugashi and unidic-lite ({in_a_line(error)[:80]}): install "
            "vtune-tts with the extra 'indextts2-ja'"
        ) from error


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
