"""The vocabulary: 128 characters, then the codes of the codec, each in a range of its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from language_model_engine.codec import SLOT_SIZES, Codes

PADDING, START_OF_SOUND, END_OF_SOUND = 0, 2, 3  # characters that no text has
CHARACTER_COUNT = 128
SLOT_COUNT = len(SLOT_SIZES)
_STARTS = [*accumulate(SLOT_SIZES, initial=CHARACTER_COUNT)]
SLOTS = tuple(range(start, end) for start, end in pairwise(_STARTS))
"""The token ids of each code of a frame."""
VOCABULARY_SIZE = _STARTS[-1]


def prompt_tokens(text: str) -> list[int]:
    """Return the tokens of a text up to the start of its sound; a character that is not ASCII becomes ``?``.

    ``prompt_tokens("Hi")`` is ``[104, 105, 2]``.
    """
    return [*text.lower().encode("ascii", "replace"), START_OF_SOUND]


def sound_tokens(codes: Codes) -> list[int]:
    """Return the tokens of codes ``[T x 6]``, frame by frame, ``[6 * T]``."""
    return [int(token) for token in (codes + np.array(_STARTS[:-1])).flat]


def frame_codes(tokens: Sequence[int]) -> list[int]:
    """Return the codes of the six tokens of one frame."""
    return [token - slot.start for token, slot in zip(tokens, SLOTS, strict=True)]


def allowed_tokens(position: int) -> Sequence[int]:
    """Return the token ids that may stand at a position of the sound; only a whole frame may be followed by the end."""
    slot = position % SLOT_COUNT
    return [*SLOTS[slot], END_OF_SOUND] if slot == 0 and position else SLOTS[slot]
