"""Write numbers, dates and abbreviations in words, with wetext if it is installed, else with the built-in engine."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal, Protocol

from vtune import EngineError
from vtune_indextts2.text.basic import BasicEngine, plain_digits
from vtune_indextts2.text.english_dates import read_decades
from vtune_indextts2.text.language import Language

EngineName = Literal["auto", "wetext", "basic"]

# wetext's memory grows with the text: a quarter of a gigabyte for ten thousand characters. Blocks end with a sentence
# where there is one, else with a word.
_BLOCK = re.compile(r".{1,1000}\Z|.{500,1000}(?:(?<=[.!?] )|(?<=[。！？]))|.{1,999} |.{1000}")
# The punctuation map does the same with quotes and brackets afterwards; backslashes come back doubled.
_MARKS = str.maketrans({**dict.fromkeys('"“”[]【】', "'"), "\\": " "})
# wetext reads every "No." as "number", and keeps the stop in front of a number. A Chinese full stop hides the word.
_NUMBER = re.compile(r"\bNo\.(?= ?\d)")
_NO = re.compile(r"\bNo\.")


class TextEngine(Protocol):
    """Writes numbers, dates and abbreviations of a text in words."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def identity(self) -> str:
        """Name and version, which a voice records: two engines of one identity return the same texts."""
        ...

    def normalise(self, text: str, language: Language) -> str:
        """Return the text with numbers in words, and ``<H>``, ``<n_a>``, ``<pinyin_a>`` as they are; never raises."""
        ...


class WetextEngine:
    """Runs the finite-state grammars of wetext, without the input that is known to break them.

    :param exact: hand texts over as they are, as the original does: wetext then raises on doubled blanks and on a sign
        such as ``]`` or ``/`` behind a number, whereupon English stays as it was and Chinese is lost, sets backslashes
        before straight quotes, and reads ``No.`` as "number" and ``1990s`` as seconds. Else none of this happens, and
        what wetext still refuses goes to :class:`BasicEngine`.
    :raises EngineError: wetext is not installed, or cannot be imported.
    """

    name = "wetext"

    def __init__(self, exact: bool = False) -> None:
        try:
            from wetext import Normalizer

            self.version = version("wetext")
        except (ImportError, PackageNotFoundError, OSError) as error:
            if find_spec("wetext") is None:
                raise EngineError(
                    "the text engine 'wetext' is not installed: install vtune-tts with the extra 'indextts2'"
                ) from error
            raise EngineError(f"the text engine 'wetext' cannot be imported: {error}") from error
        self.exact = exact
        self._grammar = Normalizer(operator="tn", remove_erhua=False)
        self._basic = BasicEngine()

    @property
    def identity(self) -> str:
        return f"{self.name} {self.version}{' exact' if self.exact else ''}"

    def normalise(self, text: str, language: Language) -> str:
        """Return the text with numbers in words."""
        if self.exact:
            spoken = self._read(text, language)
            return spoken if spoken is not None else text if language == "en" else ""
        text = " ".join(plain_digits(text).translate(_MARKS).split())
        if language == "en":
            text = _NO.sub("No。", _NUMBER.sub("Number", read_decades(text)))
        return "".join(self._block(block, language) for block in _BLOCK.findall(text)).replace("No。", "No.")

    def _block(self, block: str, language: Language) -> str:
        spoken = self._read(block, language)
        if spoken is None:
            spoken = self._basic.normalise(block, language)
        return f"{spoken} " if block.endswith(" ") else spoken

    def _read(self, text: str, language: Language) -> str | None:
        try:
            spoken: str = self._grammar.normalize(text, lang=language)
        except Exception:  # any error of wetext, mostly a bare AssertionError
            return None
        return spoken


def choose_engine(name: EngineName) -> TextEngine:
    """Return an engine by name; ``auto`` is wetext if it is installed, else the built-in engine.

    :raises EngineError: wetext is asked for and not installed.
    """
    if name == "wetext" or (name == "auto" and find_spec("wetext") is not None):
        return WetextEngine()
    return BasicEngine()
