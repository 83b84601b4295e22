"""From a text to the sentences that the network reads: lexicon, phonemes or characters, written words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vtune import EngineError, SkipClip
from vtune.errors import shown
from vtune.toolkit.lexicon import TextPart, split_at_lexicon
from vtune.toolkit.sentences import Sentence, is_letter_or_digit, write_sentences
from vtune_vits.text.characters import read_characters
from vtune_vits.text.espeak import CLAUSE_MARKS, phonemize
from vtune_vits.text.words import words_of_groups

if TYPE_CHECKING:
    from vtune_vits.bases import BaseText

SENTENCE_MARKS = (".", "?", "!")

_LEADING_MARK = re.compile(r"[\"'”’)\]]*([.,:;?!])[.,:;?!]*(?=\s|[\"'”’)\]]|$)[\"'”’)\]]*")


def prepare(text: str, base_text: BaseText, language: str | None, lexicon: Mapping[str, str]) -> str:
    """Return a text as the network reads it; see ``vtune.toolkit.sentences``.

    :param language: the voice of espeak-ng; None for the base's own.
    :param lexicon: words and their readings.
    :raises SkipClip: nothing of the text can be spoken.
    :raises EngineError: the base takes no language, or a package for reading texts is missing.
    """
    if base_text.kind == "espeak":
        voice = language or base_text.language
        if not voice:
            raise EngineError("the base does not say which espeak-ng voice it reads; set engine_options.language")
        sentences = _read_phonemes(text, voice, lexicon)
    else:
        if language is not None:
            raise EngineError(
                f"engine_options.language is {shown(language)}, but this base reads characters, not phonemes; leave "
                "the option out"
            )
        sentences = read_characters(_respelled(text, lexicon), base_text)
    if not sentences:
        raise SkipClip(f"nothing of the text {shown(text)} can be spoken")
    return write_sentences(sentences)


def _respelled(text: str, lexicon: Mapping[str, str]) -> str:
    parts = split_at_lexicon(text, lexicon)
    phonemes = next((part for part in parts if part.phonemes), None)
    if phonemes is not None:
        raise EngineError(
            f"engine_options.lexicon: {shown(phonemes.text)} has phonemes, but this base reads characters; respell it"
        )
    return "".join(part.text for part in parts)


def _read_phonemes(text: str, voice: str, lexicon: Mapping[str, str]) -> list[Sentence]:
    """Read a text as Piper does; words of the lexicon stand in it with their own phonemes."""
    parts = split_at_lexicon(text, lexicon)
    lines = _phoneme_lines(parts, voice)
    phonemes_of_words = {part.text: part.phonemes for part in parts if part.phonemes}

    def read(word: str) -> str:
        bare = word.strip("\"'“”‘’()[].,:;?!…")
        known = phonemes_of_words.get(bare)
        return known if known is not None else " ".join(clause.phonemes for clause in phonemize(word, voice))

    words = [word for part in parts for word in ([part.text] if part.phonemes else part.text.split())]
    words = [word for word in words if any(map(is_letter_or_digit, word))]
    groups = [line.split() for line in lines]
    names = iter(words_of_groups(words, [group for line in groups for group in line], read))
    return [
        Sentence(line, tuple(next(names) for _ in line_groups)) for line, line_groups in zip(lines, groups, strict=True)
    ]


def _phoneme_lines(parts: list[TextPart], voice: str) -> list[str]:
    """Return the phonemes of each sentence, with the marks that end its clauses."""
    lines: list[str] = []
    line = ""
    for number, part in enumerate(parts):
        if part.phonemes:
            line += unicodedata.normalize("NFD", part.phonemes)
            continue
        text = part.text
        if line and (mark := _LEADING_MARK.match(text)):  # espeak drops a mark that stands alone
            line += mark[1] + (" " if mark[1] in CLAUSE_MARKS else "")
            text = text[mark.end() :]
            if mark[1] in SENTENCE_MARKS:
                lines.append(line)
                line = ""
        if line and text[:1].isspace() and not line.endswith(" "):
            line += " "
        clauses = phonemize(text, voice)
        for index, clause in enumerate(clauses, 1):
            line += clause.phonemes + clause.mark + (" " if clause.mark in CLAUSE_MARKS else "")
            # espeak ends a sentence where its text ends, but the text may go on with a word of the lexicon.
            goes_on = index == len(clauses) and number < len(parts) - 1 and clause.mark not in SENTENCE_MARKS
            if clause.ends_sentence and not goes_on:
                lines.append(line)
                line = ""
        if line and text[-1:].isspace() and not line.endswith(" "):
            line += " "
    lines.append(line)
    return [line for line in lines if any(map(is_letter_or_digit, line))]
