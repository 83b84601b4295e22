"""The layout of a row after the conditioning: text with start and stop, then codes with their start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtune_indextts2.gpt.loss import IGNORED_LABEL
from vtune_indextts2.gpt.network import CODE_TOKEN, TEXT_TOKEN
from vtune_indextts2.gpt.settings import GPTSettings

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class TokenRow:
    """The tokens of one clip, int64 ``[T + 2 + N + 1]`` each: ``[start t1 .. tT stop | start c1 .. cN]``.

    The label of a position is the next id in its own block, so each stop is learned once: the text's at ``tT``, the
    codes' at ``cN``. The text's stop has no successor and no label. For text ``[5, 6]`` and codes ``[8, 9]``::

        ids          start  5     6     stop  start  8   9
        kinds        1      1     1     1     2      2   2
        positions    0      1     2     3     0      1   2
        text_labels  5      6     stop  -100  -100 -100 -100
        labels       -100   -100  -100  -100  8      9   stop
    """

    ids: Integers
    kinds: Integers
    positions: Integers
    text_labels: Integers
    labels: Integers


def make_row(settings: GPTSettings, text: Sequence[int], codes: Sequence[int]) -> TokenRow:
    """Make a row from text ids and codes, both without start and stop; without codes it is the prompt of synthesis."""
    text_ids = np.array([settings.start_text_token, *text, settings.stop_text_token], dtype=np.int64)
    code_ids = np.array([settings.start_mel_token, *codes], dtype=np.int64)
    ignored = np.full(len(text_ids) + len(code_ids), IGNORED_LABEL, dtype=np.int64)
    text_labels, labels = ignored.copy(), ignored.copy()
    text_labels[: len(text_ids) - 1] = text_ids[1:]
    labels[len(text_ids) :] = [*codes, settings.stop_mel_token]
    return TokenRow(
        np.concatenate([text_ids, code_ids]),
        np.repeat([TEXT_TOKEN, CODE_TOKEN], [len(text_ids), len(code_ids)]).astype(np.int64),
        np.concatenate([np.arange(len(text_ids)), np.arange(len(code_ids))]),
        text_labels,
        labels,
    )
