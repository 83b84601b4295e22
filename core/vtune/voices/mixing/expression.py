"""Parse the text of a mix: ``0.7*anna + 0.3*ben`` to weights and names, and back.

    mix     term { "+" term }
    term    [ weight "*" ] name             without a weight it is 1
    weight  0 to 100: digits, at most one point, at most one exponent (1e-3)
    name    of a voice, or the path of its folder; in quotes where it holds + * " or '

Blanks around each of these are ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from vtune.errors import VoiceError, shown

_WEIGHT = re.compile(r"(\d+\.?\d*|\.\d+)(e-?\d+)?", re.ASCII | re.IGNORECASE)
_TOKEN = re.compile(r""""[^"]*"|'[^']*'|[+*"']|[^+*"'\s](?:[^+*"']*[^+*"'\s])?""")

MAX_MIX_WEIGHT = 100
"""Largest weight of a voice in a mix; any voice is noise at far smaller weights."""


@dataclass(frozen=True, slots=True)
class MixTerm:
    """A voice of a mix, and its weight.

    :param weight: 0 to 100.
    :param place: position of the name in the text, in characters, counted from 1.
    """

    weight: float
    name: str
    place: int = field(default=0, compare=False)


def looks_like_mix(text: str) -> bool:
    """Return whether a text that names no voice can only be a mix: it has a + or a *."""
    return "+" in text or "*" in text


def parse_mix(text: str) -> tuple[MixTerm, ...]:
    """Parse a mix: ``0.7*anna+ben`` is ``MixTerm(0.7, "anna")`` and ``MixTerm(1.0, "ben")``.

    :raises VoiceError: the text is not a mix; one line names the character where the mistake is.
    """
    pieces = _Tokens(text)
    terms = [_term(pieces)]
    while pieces.now:
        if pieces.now != "+":
            raise pieces.error(f"'+' is missing before {shown(pieces.now)}")
        pieces.step()
        terms.append(_term(pieces))
    return tuple(terms)


def mix_text(terms: Iterable[MixTerm]) -> str:
    """Write terms as a text that ``parse_mix`` reads back to the same terms."""
    return "+".join(f"{repr(term.weight).replace('e+', 'e')}*{_quoted(term.name)}" for term in terms)


def mix_error(text: str, position: int, why: object) -> VoiceError:
    """Return the error of a mix: one line with the text, the character and the reason."""
    return VoiceError(f"mix {shown(text)}, character {position}: {why}")


def _term(pieces: _Tokens) -> MixTerm:
    weight = 1.0
    first, position = pieces.take_name("a name is missing")
    if pieces.now == "*":
        weight = _weight(first, pieces, position)
        pieces.step()
        first, position = pieces.take_name("a name is missing after '*'")
    name = first[1:-1] if first[0] in "\"'" else first
    if not name:
        raise mix_error(pieces.text, position, "a name is missing between the quotes")
    return MixTerm(weight, name, position)


def _weight(written: str, pieces: _Tokens, position: int) -> float:
    if written[0] == "-" and _WEIGHT.fullmatch(written[1:].lstrip()):
        raise mix_error(
            pieces.text, position, f"the weight {shown(written)} is negative; a mix lies between its voices"
        )
    weight = float(written) if _WEIGHT.fullmatch(written) else math.nan
    if math.isnan(weight):
        raise mix_error(pieces.text, position, f"{shown(written)} before '*' is not a number such as 0.7")
    if weight > MAX_MIX_WEIGHT:
        raise mix_error(pieces.text, position, f"the weight {shown(written)} is above {MAX_MIX_WEIGHT}")
    return weight


class _Tokens:
    """The names, signs and weights of a mix, in order; ``now`` is the current one, empty at the end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._left = list(_TOKEN.finditer(text))[::-1]

    @property
    def now(self) -> str:
        return self._left[-1][0] if self._left else ""

    def step(self) -> None:
        self._left.pop()

    def error(self, why: str) -> VoiceError:
        return mix_error(self.text, self._left[-1].start() + 1 if self._left else len(self.text) + 1, why)

    def take_name(self, otherwise: str) -> tuple[str, int]:
        """Return a name or a weight with its position, and step to the next piece."""
        if self.now in ("", "+", "*"):
            raise self.error(otherwise)
        if self.now in ("'", '"'):
            raise self.error(f"the quote {self.now} is never closed")
        piece = self._left.pop()
        return piece[0], piece.start() + 1


def _quoted(name: str) -> str:
    if name.strip() == name and not re.search(r"""[+*"']""", name):
        return name
    return f'"{name}"' if '"' not in name else f"'{name}'"
