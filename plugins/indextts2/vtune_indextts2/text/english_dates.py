"""Write English dates, years, decades and times of day in words."""

from __future__ import annotations

import re

from vtune_indextts2.text.english_numbers import cardinal, decade, ordinal, year

_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_NAMES = {name[:3]: name for name in _MONTHS}
_MONTH = r"\b(?P<month>May|Sept\.?|(?:{})\.?|{})(?![a-z])".format(
    "|".join(name for name in _NAMES if name != "May"), "|".join(_MONTHS)
)
_DAY = r"(?P<day>3[01]|[12]\d|0?[1-9])"
_YEAR = r"(?P<year>[12]\d{3})"

_ISO = re.compile(rf"(?<![\w/.-]){_YEAR}([-/.])(?P<month>1[0-2]|0?[1-9])\2{_DAY}(?![\w/-])")
_SLASHED = re.compile(rf"(?<![\w/.-])(?P<first>\d\d?)([-/.])(?P<second>\d\d?)\2{_YEAR}(?![\w/-])")
_MONTH_FIRST = re.compile(rf"{_MONTH} {_DAY}(?:st|nd|rd|th)?(?![\w:]|[.,]\d)(?:,? {_YEAR}\b(?![.,]\d))?")
_DAY_FIRST = re.compile(rf"(?:\bthe )?(?<![\w.,/:-]){_DAY}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? {_YEAR}\b)?")
_MONTH_YEAR = re.compile(rf"{_MONTH},? {_YEAR}\b(?![.,]\d)")
_DECADE = re.compile(r"(?<![\w.,])(?:[12]\d\d0|['’]?[2-9]0)['’]?s\b")

_YEAR_RANGE = re.compile(r"(?<![\w.,/-])([12]\d{3}) ?[-–—] ?([12]\d{3}|\d\d)(?![\w/-]|[.,]\d)")
_NOUN = r" (?:[a-z]+s|people|men|women|children)\b"
_YEAR_WORDS = "in|since|by|during|year|early|late|mid|spring|summer|autumn|fall|winter"
_MAYBE_YEAR_WORDS = "from|until|till|before|after|between|of|to|and|around"
_NAMED_YEAR = re.compile(
    rf"\b(?:(?P<sure>(?i:{_YEAR_WORDS}) )|(?P<before>(?i:{_MAYBE_YEAR_WORDS}) ))"
    rf"(?P<year>[12]\d{{3}})\b(?![.,]\d|[-/:])(?P<noun>{_NOUN})?"
)
_LONE_YEAR = re.compile(rf"(?<![\w.,$£€#+/:-])(?P<year>1[5-9]\d\d|20\d\d)\b(?![.,]\d|[-/:])(?P<noun>{_NOUN})?")
_NO_PLURAL = frozenset(
    ["as", "has", "his", "is", "its", "this", "thus", "us", "was", "plus", "versus", "always", "perhaps", "yes"]
)

_CLOCK = r"(?:[01]?\d|2[0-4]):[0-5]\d"
_TIME_RANGE = re.compile(rf"(?<![\w:.])({_CLOCK}(?: ?[AaPp] ?[Mm])?) ?[-–—] ?(?={_CLOCK}(?![\d:]))")
_TIME = re.compile(
    r"(?<![\w:.,])(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?(?!\d|:\d)"
    r"(?: ?(?P<half>[AaPp]) ?[Mm]\b)?"
)
_HOUR_RANGE = re.compile(r"(?<![\w:.,])(\d\d?(?: ?[AaPp] ?[Mm])?) ?[-–—] ?(?=\d\d? ?[AaPp] ?[Mm]\b)")
_HOUR = re.compile(r"(?<![\w:.,])(?P<hour>1[0-2]|0?\d) ?(?P<half>[AaPp]) ?[Mm]\b")


def read_dates(text: str) -> str:
    """Write out dates with a month, and decades.

    ``4/7/2019`` is the seventh of April, ``13/7/2019`` the thirteenth of July.
    """
    text = _ISO.sub(lambda match: _date(int(match["day"]), _MONTHS[int(match["month"]) - 1], match["year"]), text)
    text = _SLASHED.sub(_slashed, text)
    text = _DAY_FIRST.sub(lambda match: _date(int(match["day"]), _month(match), match["year"]), text)
    text = _MONTH_FIRST.sub(_month_first, text)
    text = _MONTH_YEAR.sub(lambda match: f"{_month(match)} {year(int(match['year']))}", text)
    return read_decades(text)


def read_decades(text: str) -> str:
    """Write out ``1990s`` and ``'90s``."""
    return _DECADE.sub(lambda match: decade(int(match.group().strip("'’s"))), text)


def read_year_ranges(text: str) -> str:
    """Write out ``1914-1918`` and ``2019-20``."""
    return _YEAR_RANGE.sub(_year_range, text)


def read_years(text: str) -> str:
    """Write out years: four digits after a word such as "in", or four digits alone from 1500 to 2099."""
    text = _NAMED_YEAR.sub(_year_or_count, text)
    return _LONE_YEAR.sub(_year_or_count, text)


def read_times(text: str) -> str:
    """Write out times of day."""
    text = _TIME_RANGE.sub(r"\1 to ", text)
    text = _HOUR_RANGE.sub(r"\1 to ", text)
    text = _TIME.sub(_time, text)
    return _HOUR.sub(lambda match: f"{cardinal(int(match['hour']))} {match['half'].upper()} M", text)


def _date(day: int, month: str, in_year: str | None) -> str:
    behind = f" {year(int(in_year))}" if in_year else ""
    return f"the {ordinal(day)} of {month}{behind}"


def _month(match: re.Match[str]) -> str:
    return _NAMES[match["month"][:3]]


def _month_first(match: re.Match[str]) -> str:
    behind = f", {year(int(match['year']))}" if match["year"] else ""
    return f"{_month(match)} {ordinal(int(match['day']))}{behind}"


def _slashed(match: re.Match[str]) -> str:
    first, second = int(match["first"]), int(match["second"])
    dotted = match[2] == "."
    month, day = (second, first) if dotted or first > 12 else (first, second)
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    return _date(day, _MONTHS[month - 1], match["year"])


def _year_range(match: re.Match[str]) -> str:
    first, last = int(match[1]), int(match[2])
    if (len(match[2]) == 2 and last <= first % 100) or (len(match[2]) == 4 and last < first):
        return match[0]
    return f"{year(first)} to {year(last)}"


def _year_or_count(match: re.Match[str]) -> str:
    groups = match.groupdict(default="")
    number, noun = int(groups["year"]), groups["noun"]
    recent = bool(groups.get("sure")) and number >= 1900  # "in 2019 sales fell", but "in 1200 cases"
    if noun and noun.strip() not in _NO_PLURAL and not recent:
        return match[0]
    return f"{groups.get('sure', '')}{groups.get('before', '')}{year(number)}{noun}"


def _time(match: re.Match[str]) -> str:
    hour, minute = int(match["hour"]), int(match["minute"])
    words = [cardinal(hour)]
    if minute or match["second"]:
        words += ["oh"] * (minute < 10) + [cardinal(minute)]
    elif not match["half"]:
        words.append("o'clock")
    if match["second"]:
        words += ["and", cardinal(int(match["second"])), "seconds"]
    if match["half"]:
        words += [match["half"].upper(), "M"]
    return " ".join(words)
