"""The errors that a user sees: one line each, which says what was found and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class VtuneError(Exception):
    """A mistake or a circumstance that the user can mend; printed without a traceback, exit code 1."""


class RecipeError(VtuneError):
    """A recipe that cannot be used; ``problems`` holds every problem that was found, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class EngineError(VtuneError):
    """An engine or an extension that is not installed, is broken, or breaks the contract."""


class DataError(VtuneError):
    """A source, a table or a recording that cannot be used at all."""


class SkipClip(VtuneError):
    """Raised by ``prepare_sample`` for a clip it will not take; the reason goes into the ledger.

    The reason names the numbers: ``"2310 tokens, more than max_tokens 2048"``.
    """


class TrainingError(VtuneError):
    """A training that must not continue: a dead adapter, a wrong world size, no memory."""


class VoiceError(VtuneError):
    """A voice that is not there, is incomplete, or does not fit its base."""


class NoNumbersError(VoiceError):
    """A voice whose network computes NaN or infinity instead of the chances of what it says next."""

    def __init__(self) -> None:
        super().__init__(
            "the voice computes no numbers for this text (NaN or infinity): its weights are damaged or too large; "
            "make the voice again, with a smaller learning rate if it is your own"
        )


def shown(value: object) -> str:
    """Write what was found into a message: on one line, 60 characters at most."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def printable(text: str) -> str:
    """Escape what a terminal or a page would obey or cannot show: control characters, lone surrogates of file names,
    marks of direction."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def in_a_line(error: object) -> str:
    """Return the message of another library's error on one line, 200 characters at most, for an error of vtune."""
    return " ".join(str(error).split())[:200]


def reason(error: BaseException) -> str:
    """Return the kind and the message of an error of somebody else's code on one line, for an error of vtune."""
    return f"{type(error).__name__}: {in_a_line(error)}"


def first_problem(error: ValidationError, *under: str) -> str:
    """Write pydantic's first complaint on one line: ``s2mel.DiT.depth: Field required``.

    :param under: keys that lead to what was validated.
    """
    first = error.errors(include_url=False)[0]
    # Keys may be somebody else's: of any length, with characters that a terminal obeys.
    key = printable(".".join(map(str, (*under, *first["loc"])))[:120])
    return f"{key}: {first['msg']}" if key else str(first["msg"])


MAX_NAME_CHARACTERS = 100
"""Characters of a name that are compared with other names; longer names would cost time, and no real name is longer."""

MAX_LISTED_NAMES = 8
MAX_LISTED_CHARACTERS = 400


def listed(names: Iterable[str], near: str = "") -> str:
    """Write a few names, those most like ``near`` first, and how many more there are: ``'anna, ben and 998 more'``."""
    every = list(names)
    few = every
    if len(every) > MAX_LISTED_NAMES:
        close = difflib.get_close_matches(near[:MAX_NAME_CHARACTERS], every, n=MAX_LISTED_NAMES, cutoff=0.4)
        few = list(dict.fromkeys([*close, *every[:MAX_LISTED_NAMES]]))[:MAX_LISTED_NAMES]
    while len(few) > 1 and sum(map(len, few)) > MAX_LISTED_CHARACTERS:
        few = few[:-1]
    text = ", ".join(printable(name) for name in few)
    left = len(every) - len(few)
    return f"{text} and {left:,} more" if left else text or "none"


def choices(name: str, names: Iterable[str], what: str) -> str:
    """Write what there is instead of a name that is not there: ``"; did you mean 'anna'? (voices: anna, ben)"``."""
    every = list(names)
    return f"{nearest(name, every)} ({what}: {listed(every, name)})"


def nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """Return ``"; did you mean 'x'?"`` for the valid name nearest to ``name``, or an empty string.

    :param cutoff: the least similarity, 0 to 1.
    """
    matches = difflib.get_close_matches(name[:MAX_NAME_CHARACTERS], list(names), n=1, cutoff=cutoff)
    return f"; did you mean {matches[0]!r}?" if matches else ""
