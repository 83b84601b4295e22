"""English money, units, percentages, ranges, fractions and telephone numbers in words."""

from __future__ import annotations

import re

from vtune_indextts2.text.english_numbers import cardinal, digits, number, ordinal, whole

_GUARD = r"(?<![\w])(?<!\d[.,])"  # a number begins here; not inside another one, so that the search stays linear
_NUMBER = r"(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?"

# name, plural, hundredth part, plural
_CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "US$": ("U S dollar", "U S dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "", ""),
    "￥": ("yen", "yen", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"),
}
_SCALES = {"k": "thousand", "m": "million", "mn": "million", "bn": "billion", "b": "billion"}
_SCALE = r"(?: ?(?P<scale>hundred|thousand|million|billion|trillion|mn|bn|[kKmMB])\b)?"
_MONEY = re.compile(rf"(?<![\w.,])(?P<sign>[-\u2212])?(?P<currency>US\$|[$£€¥￥₹]) ?(?P<number>{_NUMBER}){_SCALE}")
_MONEY_BEHIND = re.compile(rf"{_GUARD}(?P<sign>)(?P<number>{_NUMBER}) ?(?P<scale>)(?P<currency>[$£€¥￥₹])(?!\d)")
_MONEY_RANGE = re.compile(rf"([$£€¥￥₹])({_NUMBER})(?:-| ?[–—] ?)\1?(?=\d)")

_UNITS = {
    "km/h": ("kilometre per hour", "kilometres per hour"),
    "kph": ("kilometre per hour", "kilometres per hour"),
    "mph": ("mile per hour", "miles per hour"),
    "m/s": ("metre per second", "metres per second"),
    "km²": ("square kilometre", "square kilometres"),
    "m²": ("square metre", "square metres"),
    "cm²": ("square centimetre", "square centimetres"),
    "m³": ("cubic metre", "cubic metres"),
    "km": ("kilometre", "kilometres"),
    "m": ("metre", "metres"),
    "cm": ("centimetre", "centimetres"),
    "mm": ("millimetre", "millimetres"),
    "mi": ("mile", "miles"),
    "yd": ("yard", "yards"),
    "ft": ("foot", "feet"),
    "kg": ("kilogram", "kilograms"),
    "g": ("gram", "grams"),
    "mg": ("milligram", "milligrams"),
    "lb": ("pound", "pounds"),
    "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "l": ("litre", "litres"),
    "L": ("litre", "litres"),
    "ml": ("millilitre", "millilitres"),
    "mL": ("millilitre", "millilitres"),
    "h": ("hour", "hours"),
    "hr": ("hour", "hours"),
    "hrs": ("hour", "hours"),
    "min": ("minute", "minutes"),
    "mins": ("minute", "minutes"),
    "s": ("second", "seconds"),
    "sec": ("second", "seconds"),
    "secs": ("second", "seconds"),
    "ms": ("millisecond", "milliseconds"),
    "Hz": ("hertz", "hertz"),
    "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"),
    "KB": ("kilobyte", "kilobytes"),
    "kB": ("kilobyte", "kilobytes"),
    "MB": ("megabyte", "megabytes"),
    "GB": ("gigabyte", "gigabytes"),
    "TB": ("terabyte", "terabytes"),
    "V": ("volt", "volts"),
    "W": ("watt", "watts"),
    "kW": ("kilowatt", "kilowatts"),
    "kWh": ("kilowatt hour", "kilowatt hours"),
    "dB": ("decibel", "decibels"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "℃": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°": ("degree", "degrees"),
    "%": ("percent", "percent"),
    "¢": ("cent", "cents"),
}
_UNIT = re.compile(
    rf"{_GUARD}(?P<number>{_NUMBER})(?: ?(?P<unit>{'|'.join(sorted(_UNITS, key=len, reverse=True))})(?!\w))"
)

_FRACTION = re.compile(r"(?<![\w/.,-])(?:(?P<whole>\d{1,6}) )?(?P<upper>\d{1,3})/(?P<lower>\d{1,3})(?![\w/]|\.\d)")
_PAIRS = frozenset({"24/7", "50/50", "9/11"})
_FRACTION_SIGNS = {
    "½": "1/2",
    "⅓": "1/3",
    "⅔": "2/3",
    "¼": "1/4",
    "¾": "3/4",
    "⅛": "1/8",
    "⅜": "3/8",
    "⅝": "5/8",
    "⅞": "7/8",
}
_FRACTION_SIGN = re.compile(f"(\\d)?([{''.join(_FRACTION_SIGNS)}])")

_RATIO = re.compile(r"(?<![\w:.,])(\d{1,9}):(\d{1,9})(?![\w:])")
_RANGE = re.compile(rf"{_GUARD}({_NUMBER}[%°€£$]?)(?:[-~]| ?[–—] ?)(?={_NUMBER}(?![\d-]))")
_MINUS = re.compile(r"(?<=\d) - (?=\d)")

_TELEPHONES = (
    re.compile(r"(?<![\w-])\+?\d{1,5}(?:-\d{1,6}){2,}+(?![\w-])"),
    re.compile(r"(?<!\w)(?:\+?\d{1,3}[ -])?\(\d{2,5}\)[ -]?\d{3,4}[ -]\d{3,4}(?![\w-])"),
    re.compile(r"\+\d{1,4}(?:[ -]\d{1,5}){1,7}+(?!\w)|\+\d{7,15}\b"),
    re.compile(r"(?<![\w-])(?:\d{4} ){3}\d{4}(?![\w-])"),
)
_LOCAL = re.compile(r"(?<![\w.,-])(\d{3})-(\d{4})(?![\w-]|[.,]\d)")


def read_telephones(text: str) -> str:
    """Write out digits that are grouped like a telephone or card number, one by one."""
    for pattern in _TELEPHONES:
        text = pattern.sub(_spelt, text)
    return _LOCAL.sub(_local, text)


def read_money(text: str) -> str:
    """Write out amounts of money, pence and cents included."""
    text = _MONEY_RANGE.sub(r"\1\2 to \1", text)
    text = _MONEY.sub(_money, text)
    return _MONEY_BEHIND.sub(_money, text)


def read_fractions(text: str) -> str:
    """Write out ``3/4``, ``1 1/2`` and ``½``."""
    text = _FRACTION_SIGN.sub(lambda match: f"{match[1]} " * bool(match[1]) + _FRACTION_SIGNS[match[2]], text)
    return _FRACTION.sub(_fraction, text)


def read_ranges(text: str) -> str:
    """Put "to" between the numbers of ranges and ratios, and "minus" for a hyphen between blanks."""
    text = _RATIO.sub(r"\1 to \2", text)
    text = _MINUS.sub(" minus ", text)
    return _RANGE.sub(r"\1 to ", text)


def read_units(text: str) -> str:
    """Write out numbers with units."""
    return _UNIT.sub(_unit, text)


def _spelt(match: re.Match[str]) -> str:
    groups = re.findall(r"\d+", match.group())
    plus = "plus " if match.group().startswith("+") else ""
    return plus + ", ".join(digits(group) for group in groups)


def _local(match: re.Match[str]) -> str:
    first, second = match[1], match[2]
    if first[0] != "0" and second[0] != "0" and second.endswith("00"):
        return match[0]  # a range: 100-1000
    return _spelt(match)


def _money(match: re.Match[str]) -> str:
    name, names, part, parts = _CURRENCIES[match["currency"]]
    amount, scale = match["number"], match["scale"]
    sign = "minus " if match["sign"] else ""
    if scale:
        return f"{sign}{number(amount)} {_SCALES.get(scale.lower(), scale)} {names}"
    front, _, behind = amount.partition(".")
    if not behind or not part or len(behind) != 2:
        return f"{sign}{number(amount)} {name if amount == '1' else names}"
    words = [f"{whole(front)} {name if front == '1' else names}"] if front.strip("0") else []
    if behind != "00" or not words:
        words.append(f"{cardinal(int(behind))} {part if behind == '01' else parts}")
    return sign + " and ".join(words)


def _fraction(match: re.Match[str]) -> str:
    upper, lower = int(match["upper"]), int(match["lower"])
    front = f"{cardinal(int(match['whole']))} and " if match["whole"] else ""
    if match.group() in _PAIRS:
        return f"{cardinal(upper)} {cardinal(lower)}"
    if not 0 < upper < lower <= 100:
        return f"{match['whole'] or ''} {cardinal(upper)} over {cardinal(lower)}".strip()
    name = {2: "half", 4: "quarter"}.get(lower) or ordinal(lower)
    if front and upper == 1:
        return f"{front}a {name}"
    return f"{front}{cardinal(upper)} {name}{'s' if upper > 1 else ''}"


def _unit(match: re.Match[str]) -> str:
    singular, plural = _UNITS[match["unit"]]
    return f"{number(match['number'])} {singular if match['number'] == '1' else plural}"
