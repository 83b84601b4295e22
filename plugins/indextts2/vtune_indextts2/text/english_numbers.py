"""Write English numbers in words: cardinals with "and", ordinals, years, decades, decimals, single digits."""

from __future__ import annotations

_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"))
_IRREGULAR = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
MAX_CARDINAL_DIGITS = 15
"""A longer number is read digit by digit."""


def cardinal(number: int) -> str:
    """Return ``one thousand two hundred and five``; at most 15 digits."""
    for scale, name in _SCALES:
        if number >= scale:
            more, rest = divmod(number, scale)
            link = " and " if 0 < rest < 100 else " "
            return f"{cardinal(more)} {name}" + (f"{link}{cardinal(rest)}" if rest else "")
    if number >= 100:
        more, rest = divmod(number, 100)
        return f"{_SMALL[more]} hundred" + (f" and {cardinal(rest)}" if rest else "")
    if number >= 20:
        return _TENS[number // 10] + (f" {_SMALL[number % 10]}" if number % 10 else "")
    return _SMALL[number]


def ordinal(number: int) -> str:
    """Return ``twenty second``."""
    *front, last = cardinal(number).split(" ")
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif last.endswith("y"):
        last = f"{last[:-1]}ieth"
    else:
        last = f"{last}th"
    return " ".join([*front, last])


def year(number: int) -> str:
    """Return ``nineteen oh five``, ``two thousand and nine``, ``twenty twenty four``."""
    century, rest = divmod(number, 100)
    if not 1000 <= number <= 9999 or (century % 10 == 0 and rest < 10):
        return cardinal(number)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def decade(number: int) -> str:
    """Return ``nineteen nineties`` for 1990, ``nineties`` for 90."""
    words = year(number) if number >= 1000 else cardinal(number)
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


def digits(text: str) -> str:
    """Read a text digit by digit; all other characters are left out."""
    return " ".join(_SMALL[int(digit)] for digit in text if digit.isdecimal())


def whole(text: str) -> str:
    """Read ``1,250`` or ``12``; digit by digit what begins with a zero, or is a number of ten digits and not round."""
    bare = text.replace(",", "")
    coded = len(bare) > 1 and bare.startswith("0")
    coded = coded or (len(bare) > 9 and "," not in text and not bare.endswith("000"))
    return digits(bare) if coded or len(bare) > MAX_CARDINAL_DIGITS else cardinal(int(bare))


def number(text: str) -> str:
    """Read ``1,250.75``."""
    front, point, behind = text.partition(".")
    words = whole(front) if front.lstrip("0") or not point else "zero" if front else ""
    return f"{words} point {digits(behind)}".strip() if point else words
