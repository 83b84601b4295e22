"""Write the numbers of a Spanish text in words with NeMo's grammar, if it is installed."""

from __future__ import annotations

import logging
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from vtune.errors import in_a_line

logger = logging.getLogger(__name__)

PACKAGE = "nemo_text_processing"
NO_GRAMMAR = "none"


def spanish_identity() -> str:
    """Return name and version of the grammar, ``none`` without one."""
    if find_spec(PACKAGE) is None:
        return NO_GRAMMAR
    try:
        return f"nemo {version(PACKAGE.replace('_', '-'))}"
    except PackageNotFoundError:
        return "nemo unknown"


def normalise_spanish(text: str) -> str:
    """Return the text with numbers in words; without the grammar, numbers stay digits, which is logged once."""
    grammar = _grammar()
    if grammar is None:
        if any(char.isdecimal() for char in text):
            _warn_once()
        return text
    try:
        spoken: str = grammar.normalize(text)
    except Exception as error:  # the grammar raises errors of any kind on texts that it does not know
        logger.warning("the Spanish grammar refuses %r (%s); its numbers stay digits", text[:40], in_a_line(error)[:80])
        return text
    return spoken


@lru_cache(maxsize=1)
def _grammar() -> Any:
    if find_spec(PACKAGE) is None:
        return None
    from nemo_text_processing.text_normalization.normalize import Normalizer

    return Normalizer(input_case="cased", lang="es")


@lru_cache(maxsize=1)
def _warn_once() -> None:
    logger.warning(
        "numbers in Spanish texts stay digits: write them in words, or install the package nemo-text-processing, with "
        "which IndexTTS-2.5 was released"
    )
