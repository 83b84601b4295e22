"""Find pinyin syllables with a tone (``zhong4``), which fix a reading, and spell them for the tokenizer."""

from __future__ import annotations

import re

INITIALS = "b|p|m|f|d|t|n|l|g|k|h|j|q|x|z|c|s|r|y|w|zh|ch|sh"
FINALS = (
    "a|e|i|o|u|ü|v|ai|ei|ua|ui|uo|ao|ou|ia|ie|iu|ue|ve|üe|uan|van|üan|uang|vang|üang|uai"
    "|an|en|in|un|vn|ang|eng|ing|ong|ian|iao|iang|iong"
)

SYLLABLE = re.compile(rf"(?<![a-z])(?:(?:{INITIALS})?(?:{FINALS})|ng|er)[1-5]", re.IGNORECASE)
_ROUNDED = re.compile(r"(?<=^[jqx])[uü](?=(?:n|e|an)?[1-5]$)", re.IGNORECASE)


def spelt(syllable: str) -> str:
    """Return a syllable as the tokenizer knows it: ``ju3`` is ``JV3``, because u after j, q and x is always ü."""
    if syllable[0] not in "jqxJQX":
        return syllable
    return _ROUNDED.sub("v", syllable).upper()
