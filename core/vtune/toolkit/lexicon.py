"""Read a lexicon, and find its words in a text.

A lexicon says how words are read: ``Kathleen: kath leen`` respells a word, ``Piper: /pˈaɪpɚ/`` gives its phonemes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from vtune.errors import DataError, RecipeError, shown
from vtune.recipe.parse import read_yaml
from vtune.runtime.untrusted import FileRefused, read_text, why

MAX_ENTRIES = 5_000
MAX_WORD_CHARACTERS = 100
MAX_READING_CHARACTERS = 500
MAX_FILE_BYTES = 1_000_000

_PHONEMES = re.compile(r"/([^/]+)/")


@dataclass(frozen=True, slots=True)
class TextPart:
    """A part of a text: ordinary words, or one word of the lexicon with its phonemes.

    :param text: as it is written; of a respelled word, what is read instead of it.
    :param phonemes: of a word that the lexicon gives phonemes for, otherwise empty.
    """

    text: str
    phonemes: str = ""


def read_lexicon(path: Path) -> dict[str, str]:
    """Read a lexicon from a YAML mapping, or from a table of lines ``word<tab>reading`` (``.tsv``, ``.txt``).

    :raises DataError: the file cannot be read, or an entry is wrong; the message names the file and the entry.
    """
    origin = f"lexicon {path}"
    try:
        entries = _table(path) if path.suffix.lower() in (".tsv", ".txt") else read_yaml(path)
    except FileRefused as error:
        raise DataError(f"{origin} cannot be read: {error.reason}") from error
    except RecipeError as error:
        raise DataError(f"{origin} cannot be read: {error.problems[0].removeprefix(f'{path}: ')}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{origin} cannot be read: {why(error)}") from error
    return check_entries({} if entries is None else entries, origin)


def check_entries(entries: Any, origin: str) -> dict[str, str]:
    """Return the entries of a lexicon, without blanks around words and readings.

    :param origin: begins the error: ``lexicon names.yaml``.
    :raises DataError: names the first entry that is wrong.
    """
    if not isinstance(entries, dict):
        raise DataError(f"{origin}: expected words and their readings, found a {type(entries).__name__}")
    if len(entries) > MAX_ENTRIES:
        raise DataError(f"{origin}: {len(entries):,} words; a lexicon may have {MAX_ENTRIES:,}")
    return {_word(word, origin): _reading(word, reading, origin) for word, reading in entries.items()}


def _content(value: dict[str, str] | str) -> dict[str, str]:
    """Return the words of an option, which may name a file: the words are kept, so that a voice needs no file."""
    try:
        return read_lexicon(Path(value).expanduser()) if isinstance(value, str) else check_entries(value, "lexicon")
    except DataError as error:
        raise PydanticCustomError("lexicon", "{reason}", {"reason": str(error)}) from error


LexiconOption = Annotated[dict[str, str] | str, AfterValidator(_content)]
"""The type of an engine's option: words and their readings, or the path of a file that has them."""


def split_at_lexicon(text: str, lexicon: Mapping[str, str]) -> list[TextPart]:
    """Split a text at the words of a lexicon that have phonemes, and put in what is read for respelled words.

    Upper and lower case are one, the longest word wins, and only whole words are found:
    ``split_at_lexicon("Ask Piper.", {"piper": "/pˈaɪpɚ/"})`` is
    ``[TextPart("Ask "), TextPart("Piper", "pˈaɪpɚ"), TextPart(".")]``.
    """
    if not lexicon:
        return [TextPart(text)]
    readings = {word.casefold(): reading for word, reading in lexicon.items()}
    words = sorted(lexicon, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)
    parts: list[TextPart] = []
    for part in _parts(text, pattern, readings):
        if parts and not parts[-1].phonemes and not part.phonemes:
            parts[-1] = TextPart(parts[-1].text + part.text)
        elif part.text:
            parts.append(part)
    return parts


def _parts(text: str, pattern: re.Pattern[str], readings: Mapping[str, str]) -> Iterator[TextPart]:
    end = 0
    for match in pattern.finditer(text):
        reading = readings.get(match[0].casefold())
        if reading is None:  # a letter whose lower case differs from its folded case
            continue
        phonemes = _PHONEMES.fullmatch(reading)
        yield TextPart(text[end : match.start()])
        yield TextPart(match[0], phonemes[1]) if phonemes else TextPart(reading)
        end = match.end()
    yield TextPart(text[end:])


def _table(path: Path) -> dict[str, str]:
    entries: dict[str, str] = {}
    for number, line in enumerate(read_text(path, MAX_FILE_BYTES).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        word, separator, reading = line.partition("\t")
        if not separator:
            raise DataError(f"lexicon {path}: line {number} has no tab between a word and its reading")
        entries[word] = reading
    return entries


def _word(word: Any, origin: str) -> str:
    if not isinstance(word, str) or not word.strip() or len(word) > MAX_WORD_CHARACTERS:
        raise DataError(
            f"{origin}: the word {shown(word)} must be a text of 1 to {MAX_WORD_CHARACTERS} characters; put a number "
            "in quotes"
        )
    return word.strip()


def _reading(word: Any, reading: Any, origin: str) -> str:
    if not isinstance(reading, str) or not reading.strip() or len(reading) > MAX_READING_CHARACTERS:
        raise DataError(
            f"{origin}: the reading of {shown(word)} is {shown(reading)}; write words, or phonemes between slashes, of "
            f"at most {MAX_READING_CHARACTERS} characters"
        )
    return reading.strip()
