"""What stands where in a row behind the conditioning: text with its start and stop, then codes with their start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vtune_indextts2.gpt.loss import IGNORED
from vtune_indextts2.gpt.network import CODE, TEXT
from vtune_indextts2.gpt.settings import GPTSettings

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """One clip's places, int64 ``[T + 2 + N + 1]`` each: ``[start t1 .. tT stop | start c1 .. cN]``.

    Each place's label is what comes next in its own block, so each stop is learned once: the text's at ``tT``, the
    codes' at ``cN``; the text's stop itself has no successor and no label.
    """

    ids: Integers
    kinds: Integers
    places: Integers
    text_labels: Integers
    labels: Integers


def lay_out(settings: GPTSettings, text: Sequence[int], codes: Sequence[int]) -> Row:
    """Lay out text ids and codes, without starts and stops; without codes it is the prompt of synthesis."""
    spelt = np.array([settings.start_text_token, *text, settings.stop_text_token], dtype=np.int64)
    spoken = np.array([settings.start_mel_token, *codes], dtype=np.int64)
    ignored = np.full(len(spelt) + len(spoken), IGNORED, dtype=np.int64)
    text_labels, labels = ignored.copy(), ignored.copy()
    text_labels[: len(spelt) - 1] = spelt[1:]
    labels[len(spelt) :] = [*codes, settings.stop_mel_token]
    return Row(
        np.concatenate([spelt, spoken]),
        np.repeat([TEXT, CODE], [len(spelt), len(spoken)]).astype(np.int64),
        np.concatenate([np.arange(len(spelt)), np.arange(len(spoken))]),
        text_labels,
        labels,
    )
