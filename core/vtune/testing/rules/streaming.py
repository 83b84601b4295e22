"""Streaming: how much is computed before the first sound, and how the pieces join."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vtune.testing.rule import NotApplicable, require, rule
from vtune.testing.rules.sound import SILENT_PEAK, pieces_join_without_gap, sound_is_not_silent
from vtune.testing.rules.speech import speech_forgets_what_came_before
from vtune.testing.subject import LONG_TEXT, Subject, next_piece, sound_of
from vtune.types.options import sampling_names

STREAMED_TEXT = " ".join([LONG_TEXT] * 2)
"""Six sentences: an engine that speaks sentence by sentence has spoken the first long before the last."""

LARGEST_SHARE = 0.8
"""Share of the work of that text that may be done before its first sound; sentence by sentence it is about 0.2."""

MIN_SECONDS = 1.0
"""Shorter speech, as of a small base with random weights, tells nothing of streaming."""

MIN_OPERATIONS = 50
"""An engine that calls torch less often computes elsewhere; its time is measured instead."""


class _CountedOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations of torch."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True, slots=True)
class Streamed:
    """A text that was spoken, with the work that was done until its first sound and until its end.

    :param unit: what the work is counted in.
    """

    first: float
    total: float
    unit: str
    seconds: float
    pieces: int

    @property
    def share(self) -> float:
        """Share of the work before the first sound."""
        return self.first / self.total if self.total else 0.0


@rule(
    why="`vtune serve` sends sound as it comes: a listener would wait for the whole text, with an engine that says it "
    "streams.",
    change="Yield each piece as soon as it is computed (a sentence, or some frames), or leave 'streaming' out of "
    "EngineInfo.supports, which lists everything unless you set it.",
    after=(speech_forgets_what_came_before, sound_is_not_silent, pieces_join_without_gap),
)
def streaming_begins_early(subject: Subject) -> str | None:
    """An engine that supports streaming yields the first sound of a long text long before the last is computed."""
    streamed = _streamed(subject)
    if "streaming" not in subject.supports:
        if streamed.seconds >= MIN_SECONDS and streamed.share < LARGEST_SHARE / 2:
            return f"{streamed.share:.0%} of the work precede the first sound: 'streaming' could stand under supports"
        raise NotApplicable("engine_info does not list 'streaming' under supports")
    if streamed.seconds < MIN_SECONDS:
        raise NotApplicable(f"six sentences are spoken in {streamed.seconds:.2f} s, too short to tell")
    require(
        streamed.share <= LARGEST_SHARE,
        f"engine_info lists 'streaming', but {streamed.share:.0%} of the work for six sentences "
        f"({streamed.first:,.6g} of {streamed.total:,.6g} {streamed.unit}) was done before the first of "
        f"{streamed.pieces} pieces of sound.",
    )
    return None


def _streamed(subject: Subject) -> Streamed:
    """Speak as a server does, with the streaming defaults, and count the work."""
    names = sampling_names(subject.info.options)
    sampling = {name: value for name, value in subject.info.streaming_defaults.items() if name in names}
    model = subject.model()
    subject.speak(LONG_TEXT, 5, model=model, sampling=sampling)  # what is loaded at its first use is loaded now
    operations, started = _CountedOperations(), time.thread_time()
    received, first = [], None
    pieces = subject.start(STREAMED_TEXT, 5, subject.base, model, None, sampling)
    while True:
        with _counting(operations):
            piece = next_piece(model, pieces)
        if piece is None:
            break
        received.append(piece)
        if first is None and piece.waveform.size and np.abs(piece.waveform).max() > SILENT_PEAK:
            first = (operations.count, time.thread_time() - started)
    total = (operations.count, time.thread_time() - started)
    seconds = len(sound_of(received)) / subject.info.sample_rate
    which = 0 if operations.count >= MIN_OPERATIONS else 1
    unit = ("operations of torch", "seconds")[which]
    return Streamed((first or total)[which], total[which], unit, seconds, len(received))


@contextmanager
def _counting(operations: _CountedOperations) -> Iterator[None]:
    with torch.inference_mode(), operations:
        yield
