"""English abbreviations in words."""

from __future__ import annotations

import re

# In front of a name the dot belongs to the abbreviation alone.
_TITLES = {
    "Capt": "Captain",
    "Col": "Colonel",
    "Dr": "Doctor",
    "Ft": "Fort",
    "Gen": "General",
    "Gov": "Governor",
    "Hon": "Honourable",
    "Lt": "Lieutenant",
    "Maj": "Major",
    "Messrs": "Messieurs",
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Ms",
    "Mt": "Mount",
    "Prof": "Professor",
    "Rep": "Representative",
    "Rev": "Reverend",
    "Sen": "Senator",
    "Sgt": "Sergeant",
}
# Anywhere; the dot may end the sentence too.
_WORDS = {
    "approx": "approximately",
    "assoc": "association",
    "ave": "avenue",
    "blvd": "boulevard",
    "cf": "compare",
    "co": "company",
    "corp": "corporation",
    "dept": "department",
    "est": "established",
    "etc": "et cetera",
    "govt": "government",
    "inc": "incorporated",
    "jr": "junior",
    "ltd": "limited",
    "max": "maximum",
    "misc": "miscellaneous",
    "mrs": "missus",
    "rd": "road",
    "sq": "square",
    "sr": "senior",
    "vs": "versus",
}
_BEFORE_NUMBERS = {
    "ch": "chapter",
    "fig": "figure",
    "figs": "figures",
    "no": "number",
    "nos": "numbers",
    "p": "page",
    "pp": "pages",
    "sec": "section",
    "vol": "volume",
    "vols": "volumes",
}
# A street before these, which begin a sentence, and a saint before any other name.
_BEGINNINGS = "A|An|And|At|But|He|How|I|If|In|It|No|On|She|That|The|Then|There|They|This|We|What|When|Where|Who|Yes|You"


def _any(words: dict[str, str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_ENDS = r"(?=$|['\")\]]*(?:$| [A-Z\"']))"  # a sentence ends here, as far as can be seen
_TITLE = re.compile(rf"\b({_any(_TITLES)})\.(?= ?[A-Z])")
_DOCTOR = re.compile(r"\b(Dr|Mr|Mrs)\b\.?(?= )")
_WORD = re.compile(rf"\b({_any(_WORDS)})\.({_ENDS})?", re.IGNORECASE)
_BEFORE_NUMBER = re.compile(rf"\b({_any(_BEFORE_NUMBERS)})\.(?= ?\d)", re.IGNORECASE)
_STREET = re.compile(rf"(?<=[a-z]) St\.(?= (?:{_BEGINNINGS})\b)")
_SAINT = re.compile(r"\bSt\.? ?(?=[A-Z][a-z])")
_OTHER_STREET = re.compile(rf"(?<=[a-z\d]) St\.({_ENDS})?")
_LATIN = {"e": "for example", "i": "that is"}
_EG = re.compile(r"\b([ei])\. ?([eg])\.", re.IGNORECASE)
_NOON = re.compile(rf"(?<![^\W\d_])([ap])\. ?m\.({_ENDS})?", re.IGNORECASE)
_DEGREE = re.compile(r"\bPh\.? ?D\b\.?")
_INITIALS = re.compile(r"(?<![\w.])(?:[A-Z]\.){2,}")


def write_out(text: str) -> str:
    """Return the text with abbreviations as words; those of months stay, for the dates."""
    text = _EG.sub(_latin, text)
    text = _NOON.sub(lambda match: f"{match[1].upper()} M{_dot(match[2])}", text)
    text = _DEGREE.sub("P H D", text)
    text = _BEFORE_NUMBER.sub(lambda match: _like(match[1], _BEFORE_NUMBERS), text)
    text = _STREET.sub(" Street.", text)
    text = _SAINT.sub("Saint ", text)
    text = _OTHER_STREET.sub(lambda match: f" Street{_dot(match[1])}", text)
    text = _TITLE.sub(lambda match: _TITLES[match[1]], text)
    text = _DOCTOR.sub(lambda match: _TITLES[match[1]], text)
    text = _WORD.sub(lambda match: f"{_like(match[1], _WORDS)}{_dot(match[2])}", text)
    return _INITIALS.sub(_spelt, text)


def _latin(match: re.Match[str]) -> str:
    pair = (match[1] + match[2]).lower()
    return {"eg": "for example", "ie": "that is"}.get(pair, match[0])


def _dot(end: str | None) -> str:
    return "." if end is not None else ""


def _like(abbreviation: str, words: dict[str, str]) -> str:
    word = words[abbreviation.lower()]
    return word.capitalize() if abbreviation[0].isupper() else word


def _spelt(match: re.Match[str]) -> str:
    letters = " ".join(match.group().replace(".", ""))
    return f"{letters}." if match.end() == len(match.string) else letters
