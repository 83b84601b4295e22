"""The sequence that Orpheus reads and writes, in the official layout.

``human( begin-of-text words end-of-text )human ai( speech( sound )speech )ai``
"""

from __future__ import annotations

from typing import Any

from vtune_orpheus.layout import Layout


def spoken(text: str, voice: str, prefix: bool) -> str:
    """Return the words as the tokenizer sees them: ``"{voice}: {text}"``, or the text alone."""
    return f"{voice}: {text}" if prefix else text


def prompt_ids(tokenizer: Any, layout: Layout, words: str) -> list[int]:
    """Return everything before the first sound token: int64 ids ``[P]``, ending in start-of-speech."""
    # Special tokens that a text spells out are words to be read, not marks of the sequence.
    ids = tokenizer.encode(words, add_special_tokens=False, split_special_tokens=True)
    return [
        layout.start_of_human,
        layout.begin_of_text,
        *ids,
        layout.end_of_text,
        layout.end_of_human,
        layout.start_of_ai,
        layout.start_of_speech,
    ]


def end_ids(layout: Layout) -> list[int]:
    """Return what follows the last sound token."""
    return [layout.end_of_speech, layout.end_of_ai]
