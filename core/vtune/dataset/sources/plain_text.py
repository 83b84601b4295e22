"""Read text files of unknown origin: find their encoding, and open them so that reading never fails half-way."""

from __future__ import annotations

import codecs
import io
import re
import unicodedata
from pathlib import Path
from typing import TextIO

from vtune.errors import DataError

_BLOCK = 1 << 16
# Control characters, halves of surrogate pairs, and what stands for bytes that could not be read.
_UNSPEAKABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")

_MARKUP_NAMES = (
    "a|abbr|article|b|big|blockquote|body|br|code|cite|del|div|em|font|footer|h[1-6]|head|header|hr|html|i|img|ins|li|"
    "link|mark|meta|ol|p|pre|q|s|script|section|small|span|strike|strong|style|sub|sup|table|tbody|td|th|tr|tt|u|ul|"
    # SSML and its dialects
    r"speak|voice|lang|break|prosody|phoneme|say-as|emphasis|audio|w|lexeme|lexicon|desc|metadata|(?:amazon|mstts):[\w-]+|"
    "c|v|ruby|rt"  # WebVTT
)
_MARKUP = re.compile(
    rf"</?(?:{_MARKUP_NAMES})(?:\.[\w.-]{{1,40}})?(?:\s[^<>]{{0,200}})?/?>"
    r"|<[A-Za-z][\w:-]{0,40}\s[^<>=]{0,80}=[^<>]{0,200}>"  # a tag with attributes
    r"|<!--|<!doctype|<\?xml"
    r"|<\d{1,4}:\d\d(?::\d\d)?[.,]\d{3}>"  # WebVTT's time of a word
    r"|\{\\[^{}]{0,200}\}"  # ASS and SSA
    r"|&(?:amp|lt|gt|quot|apos|nbsp|#\d+|#x[0-9a-f]+);"
    r"|\[\d{1,4}:\d\d(?::\d\d)?(?:[.,]\d{1,6})?\]",  # a time
    re.IGNORECASE,
)
_MISSING_WORDS = re.compile(
    r"[\[(<](?:inaudible|unintelligible|unclear|indistinct|incomprehensible|crosstalk|unk|unverständlich|ininteligible|"
    r"incompréhensible|неразборчиво|听不清)(?:\W[^\[\]()<>]{0,80})?[\])>]",
    re.IGNORECASE,
)
# A parenthesis may be a whole sentence: "(He paused.)". Up to three words without a full stop describe a sound.
_SOUND_DESCRIPTION = re.compile(r"\[[^\[\]]{0,200}\]|[(*]\w{1,40}(?:[\s-]{1,3}\w{1,40}){0,2}[)*]|♪[^♪]*(?:♪|$)|[♩♫♬#]")


def encoding_of(path: Path) -> str:
    """Return the encoding of a file: UTF-8, UTF-16 with a mark, GB 18030 if that makes Chinese, else Windows-1252.

    :raises DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                return "utf-16"
            file.seek(0)
            try:
                decoder = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
                while decoder.read(_BLOCK):
                    pass
                return "utf-8-sig"
            except UnicodeDecodeError:
                if _mostly_utf8(path):
                    return "utf-8-sig"
                return "gb18030" if _is_chinese(path) else "cp1252"
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def open_text(path: Path, encoding: str, newline: str | None = None) -> TextIO:
    """Open a text file for reading; invalid bytes become U+FFFD, which ``unfit_words`` finds.

    :raises DataError: the file cannot be opened.
    """
    try:
        return path.open(encoding=encoding, errors="replace", newline=newline)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def first_line(path: Path) -> str:
    """Return the first line of a text file that is not blank, up to 64 KiB of it; an empty text if there is none.

    :raises DataError: the file cannot be read.
    """
    with open_text(path, encoding_of(path)) as file:
        read = 0
        while read < _BLOCK and (line := file.readline(_BLOCK)):
            if line.strip():
                return line
            read += len(line)
    return ""


def unfit_words(words: str) -> str | None:
    """Return why words cannot be trained on, or None; white space has to be single blanks.

    A text without a letter or a digit is no text, and neither is a text that only describes sounds: ``[music]``,
    ``(laughs)``. HTML, SSML, subtitle tags and notes about missing words would be read aloud. A tag that only an engine
    knows, such as ``<laugh>``, is part of the words.
    """
    if not words:
        return "no words"
    if (unspeakable := _UNSPEAKABLE.search(words)) is not None:
        if unspeakable[0] == "\ufffd":
            return "the words hold U+FFFD, which stands for a lost character; save the text as UTF-8 with the right one"
        return f"the words hold U+{ord(unspeakable[0]):04X}, which cannot be spoken; take it out"
    if not any(map(str.isalnum, words)):
        return f"no words: {words[:40]!r} has neither letters nor digits"
    if (gap := _MISSING_WORDS.search(words)) is not None:
        return f"words are missing where the text says {gap[0][:40]!r}; write them, or leave the row out"
    if (markup := _MARKUP.search(words)) is not None:
        return f"the words hold markup, {markup[0][:40]!r}; take it out"
    if not any(map(str.isalnum, _SOUND_DESCRIPTION.sub("", words))):
        return f"no words: {words[:40]!r} only describes sounds"
    return None


def spoken_form(text: str) -> str:
    """Return words without case and punctuation, so that texts that sound the same are equal.

    Example: ``spoken_form("Well, I'm here!")`` is ``"well i'm here"``.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(char if char.isalnum() or char in "'’" else " " for char in plain).split())


def _mostly_utf8(path: Path) -> bool:
    """Tell whether a file with invalid UTF-8 is mostly UTF-8: then one bad byte must not change the other rows."""
    good = bad = 0
    with open_text(path, "utf-8") as file:
        while text := file.read(_BLOCK):
            lost = text.count("\ufffd")
            bad += lost
            good += len(text) - len(text.encode("ascii", "ignore")) - lost
    return good > bad


def _is_chinese(path: Path) -> bool:
    """Tell whether the first 64 KiB of a file are Chinese text in GBK or GB 18030.

    Accents of Windows-1252 stand alone between letters; Chinese characters are pairs of bytes, and mostly common ones.
    """
    with path.open("rb") as file:
        block = file.read(_BLOCK)
    text = codecs.getincrementaldecoder("gb18030")("replace").decode(block)
    characters = [character for character in text if character > "\x7f"]
    common = sum("\u4e00" <= character <= "\u9fff" and _is_common(character) for character in characters)
    runs = re.findall("[\u4e00-\u9fff]{2}", text)
    return bool(runs) and common > 0.6 * len(characters) and "\ufffd" not in text


def _is_common(character: str) -> bool:
    """Tell whether a character is among the 3,755 of GB 2312's first level."""
    try:
        first, _ = character.encode("gb2312")
    except (UnicodeEncodeError, ValueError):
        return False
    return 0xB0 <= first <= 0xD7
