"""Engines that read out numbers, dates and abbreviations: wetext where it is installed, else the built-in one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal, Protocol

from vtune import EngineError
from vtune_indextts2.text.basic import BasicEngine
from vtune_indextts2.text.language import Language

EngineName = Literal["auto", "wetext", "basic"]

# wetext's memory grows with the length of a text: 250 MB at 10 000 characters of plain words.
_BLOCK = 1000
_BLOCKS = re.compile(
    rf".{{1,{_BLOCK}}}\Z|.{{{_BLOCK // 2},{_BLOCK}}}(?<=[.!?。！？])(?: |(?<=[。！？]))|.{{1,{_BLOCK - 1}}} |.{{{_BLOCK}}}"
)
_BARE_MARKS = str.maketrans({**dict.fromkeys('"“”[]【】', "'"), "\\": " "})


class TextEngine(Protocol):
    """Something that writes out what is not words."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def identity(self) -> str:
        """What a voice records: two engines of one identity give the same texts."""
        ...

    def normalise(self, text: str, language: Language) -> str:
        """Return the text with numbers as words; never raises; ``<H>``, ``<pinyin_a>`` and ``<n_a>`` stay as they are."""
        ...


class WetextEngine:
    """The finite-state grammars of wetext.

    :param exact: hand the text over as it is, as the original does. wetext raises on doubled blanks and on a mark such
        as ``]`` or ``/`` behind a number, whereupon English stays as it was and Chinese is lost; and it sets
        backslashes before straight quotes. Otherwise blanks are collapsed, quotes and brackets mapped as the
        punctuation map does it later anyway, and a block that wetext refuses goes to :class:`BasicEngine`.
    :raises EngineError: wetext is not installed, or cannot be imported.
    """

    name = "wetext"

    def __init__(self, exact: bool = False) -> None:
        try:
            from wetext import Normalizer

            self.version = version("wetext")
        except (ImportError, PackageNotFoundError) as error:
            if find_spec("wetext") is None:
                raise EngineError(
                    "the text engine 'wetext' is not installed: install vtune-tts with the extra 'indextts2'"
                ) from error
            raise EngineError(f"the text engine 'wetext' cannot be imported: {error}") from error
        self.exact = exact
        self._grammar = Normalizer(operator="tn", remove_erhua=False)
        self._fallback = BasicEngine()

    @property
    def identity(self) -> str:
        return f"{self.name} {self.version}{' exact' if self.exact else ''}"

    def normalise(self, text: str, language: Language) -> str:
        """Return the text with numbers as words."""
        if self.exact:
            return self._read(text, language, otherwise=text if language == "en" else "")
        text = " ".join(text.translate(_BARE_MARKS).split())
        return "".join(self._read_blocks(text, language)).strip()

    def _read_blocks(self, text: str, language: Language) -> Iterator[str]:
        for block in _BLOCKS.findall(text):
            yield self._read(block, language, otherwise=self._fallback.normalise(block, language))
            yield " " if block.endswith(" ") else ""

    def _read(self, text: str, language: Language, otherwise: str) -> str:
        try:
            spoken: str = self._grammar.normalize(text, lang=language)
        except Exception:  # wetext raises whatever comes up, mostly a bare AssertionError
            return otherwise
        return spoken


def choose_engine(name: EngineName) -> TextEngine:
    """Return an engine by name; ``auto`` is wetext where it is installed, else the built-in one.

    :raises EngineError: wetext is asked for and not installed.
    """
    if name == "wetext" or (name == "auto" and find_spec("wetext") is not None):
        return WetextEngine()
    return BasicEngine()
