"""Write English abbreviations in words."""

from __future__ import annotations

import re

# In front of a name, where the dot belongs to the abbreviation alone.
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
# Anywhere; their dot may end the sentence as well.
_WORDS = {
    "approx": "approximately",
    "assoc": "association",
    "ave": "avenue",
    "blvd": "boulevard",
    "cf": "compare",
    "co": "company",
    "corp": "corporation",
    "dept": "department",
    "dr": "doctor",
    "etc": "et cetera",
    "govt": "government",
    "inc": "incorporated",
    "jr": "junior",
    "ltd": "limited",
    "misc": "miscellaneous",
    "mr": "mister",
    "mrs": "missus",
    "prof": "professor",
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
    "vol": "volume",
    "vols": "volumes",
}
_LATIN = {"eg": "for example", "ie": "that is"}
# "Main St. The" is a street and the beginning of a sentence, "Visit St. John" a saint.
_BEGINNING = re.compile(
    "A|An|And|At|But|He|How|I|If|In|It|No|On|She|That|The|Then|There|They|This|We|What|When|Where|Who|Yes|You"
)


def _any(words: dict[str, str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_END = r"""(?P<end>(?=['")\]]*(?:$|\ [A-Z"'])))?"""  # the sentence ends here, as far as can be seen
_EG = re.compile(r"\b([eEiI])\. ?([eg])\.")
_NOON = re.compile(rf"(?<![^\W\d_])([aApP])\. ?[mM]\.{_END}")
_DEGREE = re.compile(r"\bPh\.? ?D\b\.?")
_BEFORE_NUMBER = re.compile(rf"\b({_any(_BEFORE_NUMBERS)})\.(?= ?\d)", re.IGNORECASE)
_STREET = re.compile(r"(?<!\w)(?P<before>\w++ )?St\b(?P<dot>\.?)(?=(?P<blank> ?)(?P<after>[A-Z][a-z]*)?)")
_TITLE = re.compile(rf"\b({_any(_TITLES)})(?:\.(?= ?[A-Z])|(?<=[DM]r|rs)(?= [A-Z]))")
_WORD = re.compile(rf"\b((?i:{_any(_WORDS)}))\.{_END}")
_INITIALS = re.compile(r"(?<![\w.])(?:[A-Z]\.){2,}")


def write_out(text: str) -> str:
    """Return the text with abbreviations as words; those of months stay, for the dates."""
    text = _EG.sub(_latin, text)
    text = _NOON.sub(lambda match: f"{match[1].upper()} M{_dot(match)}", text)
    text = _DEGREE.sub("P H D", text)
    text = _BEFORE_NUMBER.sub(lambda match: _like(match[1], _BEFORE_NUMBERS), text)
    text = _STREET.sub(_street_or_saint, text)
    text = _TITLE.sub(lambda match: _TITLES[match[1]], text)
    text = _WORD.sub(lambda match: f"{_like(match[1], _WORDS)}{_dot(match)}", text)
    return _INITIALS.sub(_spelt, text)


def _dot(match: re.Match[str]) -> str:
    return "" if match["end"] is None else "."


def _like(abbreviation: str, words: dict[str, str]) -> str:
    word = words[abbreviation.lower()]
    return word.capitalize() if abbreviation[0].isupper() else word


def _latin(match: re.Match[str]) -> str:
    pair = match[1].lower() + match[2]
    return _LATIN.get(pair, match[0])


def _street_or_saint(match: re.Match[str]) -> str:
    before, dot, blank, after = match["before"] or "", match["dot"], match["blank"], match["after"]
    if not dot and not (blank and after):
        return match[0]
    named = before[:1].isupper()
    if after and not (named and (_BEGINNING.fullmatch(after) or not dot)):
        return f"{before}Saint{'' if blank else ' '}"
    ends = dot and (after or match.end() == len(match.string))
    return f"{before}Street{'.' if ends else ''}"


def _spelt(match: re.Match[str]) -> str:
    letters = " ".join(match.group().replace(".", ""))
    return f"{letters}." if match.end() == len(match.string) else letters
