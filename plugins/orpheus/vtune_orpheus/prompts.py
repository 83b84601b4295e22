"""The token sequence of a prompt, in the official layout.

``human( begin-of-text words end-of-text )human ai( speech( sound )speech )ai``
"""

from __future__ import annotations

from typing import Any

from vtune_orpheus.layout import Layout


def prompt_text(text: str, voice: str, prefix: bool) -> str:
    """Return the text that the tokenizer gets: ``"{voice}: {text}"``, or the text alone."""
    return f"{voice}: {text}" if prefix else text


def prompt_ids(tokenizer: Any, layout: Layout, words: str) -> list[int]:
    """Return the P token ids before the first sound token; the last one is start-of-speech."""
    # Special tokens that a text spells out are words to read aloud, not marks of the sequence.
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
    """Return the two token ids after the last sound token."""
    return [layout.end_of_speech, layout.end_of_ai]
