"""Read and apply a glossary of terms with fixed readings: ``M.2: M dot two``, or one reading per language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from vtune import EngineError, RecipeError
from vtune.errors import shown
from vtune.recipe.parse import read_yaml
from vtune.runtime.untrusted import FileRefused
from vtune_indextts2.text.language import Language

Readings = str | Mapping[str, str]
Glossary = Mapping[str, Readings]


def read_glossary(path: Path) -> dict[str, Readings]:
    """Read a YAML file: term -> reading, or term -> {en: reading, zh: reading}.

    :raises EngineError: an entry is wrong; the message names the file and the entry.
    """
    try:
        entries = read_yaml(path)
    except FileRefused as error:
        raise EngineError(f"glossary {path} cannot be read: {error.reason}") from error
    except RecipeError as error:
        raise EngineError(f"glossary {path} cannot be read: {error.problems[0].removeprefix(f'{path}: ')}") from error
    if entries is None:
        return {}
    if not isinstance(entries, dict):
        raise EngineError(f"glossary {path}: expected terms and readings, found a {type(entries).__name__}")
    return {_term(term, path): _readings(term, reading, path) for term, reading in entries.items()}


def apply_glossary(text: str, glossary: Glossary, language: Language) -> str:
    """Replace the terms, longest first and in any case, by their readings.

    A term without a reading for the language stays.
    """
    for term in sorted(glossary, key=len, reverse=True):
        readings = glossary[term]
        reading = readings if isinstance(readings, str) else readings.get(language)
        if reading is not None:
            text = re.sub(re.escape(term), reading.replace("\\", r"\\"), text, flags=re.IGNORECASE)
    return text


def _term(term: Any, path: Path) -> str:
    if not isinstance(term, str) or not term.strip():
        raise EngineError(f"glossary {path}: the term {shown(term)} is no text; put it in quotes")
    return term


def _readings(term: Any, readings: Any, path: Path) -> Readings:
    if isinstance(readings, str):
        return readings
    languages = get_args(Language)
    per_language = isinstance(readings, dict) and len(readings) > 0 and readings.keys() <= set(languages)
    if per_language and all(isinstance(reading, str) for reading in readings.values()):
        return dict(readings)
    raise EngineError(
        f"glossary {path}: the reading of {shown(term)} is {shown(readings)}; expected a text, or one per language "
        f"({', '.join(languages)}); put a number in quotes"
    )
