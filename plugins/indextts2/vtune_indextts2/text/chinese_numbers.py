"""Write Chinese numbers in words: cardinals, decimals, single digits."""

from __future__ import annotations

_DIGITS = "零一二三四五六七八九"
_PLACES = ("", "十", "百", "千")
_GROUPS = ("", "万", "亿", "万亿")
MAX_CARDINAL_DIGITS = 16
"""A longer number is read digit by digit."""


def cardinal(number: int) -> str:
    """Return ``一万零五``, ``十二``, ``两千零二``; at most 16 digits."""
    words = ""
    gap = False
    for group in reversed(range(len(_GROUPS))):
        four = number // 10 ** (4 * group) % 10_000
        for power in reversed(range(len(_PLACES))):
            digit = four // 10**power % 10
            if digit:
                words += "零" * (gap and bool(words)) + _DIGITS[digit] + _PLACES[power]
            gap = not digit
        if four:
            words += _GROUPS[group]
    if words.startswith("一十"):
        return words[1:]
    if len(words) > 1 and words[0] == "二" and words[1] in "百千万亿":
        return f"两{words[1:]}"
    return words or "零"


def digits(text: str, digit_one: str = "一") -> str:
    """Read a text digit by digit; all other characters are left out.

    :param one: ``幺`` in telephone numbers.
    """
    return "".join(_DIGITS[int(digit)] for digit in text if digit.isdecimal()).replace("一", digit_one)


def number(text: str) -> str:
    """Read ``1,250.75``; a number that begins with a zero or is too long is read digit by digit."""
    front, point, behind = text.replace(",", "").partition(".")
    coded = len(front) > MAX_CARDINAL_DIGITS or (front.startswith("0") and len(front) > 1)
    words = digits(front) if coded else cardinal(int(front or 0))
    return f"{words}点{digits(behind)}" if point else words
