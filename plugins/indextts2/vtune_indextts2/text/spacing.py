"""Write a text as the tokenizer was trained: in capitals, with spaces around each East Asian character."""

from __future__ import annotations

import re

# Unicode blocks of scripts without blanks between words: Jamo, CJK with kana and Yi, Phags-pa to Hangul, compatibility
# ideographs and forms, half-width forms, the supplementary ideographic planes.
ALONE: tuple[tuple[int, int], ...] = (
    (4352, 4607),
    (11904, 42191),
    (43072, 55215),
    (63744, 64255),
    (65072, 65103),
    (65381, 65500),
    (131072, 196607),
)
_ALONE = re.compile("([{}])".format("".join(f"{chr(first)}-{chr(last)}" for first, last in ALONE)))


def spaced(text: str) -> str:
    """Return the text in capitals, each East Asian character and each stretch between them set off by one blank."""
    chunks = (chunk.strip() for chunk in _ALONE.split(text))
    return " ".join(chunk.upper() for chunk in chunks if chunk)
