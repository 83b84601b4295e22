"""Decode several utterances with one network at the same time, one row each.

The rows may belong to one evaluation, or to several callers who speak with the same weights at the same time without
knowing of each other. A step costs little more with eight rows than with one, because the weights are read once for all
rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from vtune_orpheus.layout import SLOTS, Layout
from vtune_orpheus.sampling import OrpheusSampling
from vtune_orpheus.steppers import TokenStepper, make_stepper


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """An utterance that is to be decoded.

    :param max_tokens: whole frames, so a multiple of 7.
    """

    prompt: list[int]
    max_tokens: int
    seed: int
    sampling: OrpheusSampling


@dataclass(slots=True, eq=False)
class DecodeRow:
    """The state of one utterance in a batch.

    :param frames: decoded frames that the caller has not read yet.
    :param token_count: tokens that were sampled so far.
    :param error: what ended the row, if it did not end by itself.
    """

    request: DecodeRequest
    generator: torch.Generator
    frames: deque[list[int]] = field(default_factory=deque)
    token_count: int = 0
    error: BaseException | None = None


class DecodeBatch:
    """Rows that are decoded together, each with its own random generator, so each gives the tokens it would give alone.

    All rows are always at the same slot of a frame: each row begins with slot 0 and ends after a whole frame or with
    the end of speech. A row that has ended frees its place at once, and a new row begins with the next frame.
    """

    def __init__(self, stepper: TokenStepper, layout: Layout) -> None:
        self._stepper, self._layout = stepper, layout
        self._rows: list[DecodeRow] = []
        # The last token of each row. The network reads it only before the next step, so that a frame can leave first.
        self._unread: list[int] = []
        # Whether a token is in the prompt or was sampled: [B x V].
        self._seen = torch.zeros(0, max(layout.audio_end, layout.end_of_speech + 1), dtype=torch.bool)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def free_rows(self) -> int:
        """How many more rows the batch can take."""
        return self._stepper.max_rows - len(self._rows)

    def add(self, request: DecodeRequest) -> DecodeRow:
        """Read a prompt as a new row; the batch must have a free row."""
        with self._all_rows_fail_together():
            self._read_last_tokens()
            self._stepper.add(request.prompt)
        row = DecodeRow(request, torch.Generator().manual_seed(request.seed))
        seen = torch.zeros(1, self._seen.shape[1], dtype=torch.bool)
        seen[0, [token for token in request.prompt if token < seen.shape[1]]] = True
        self._seen = torch.cat([self._seen, seen])
        self._rows.append(row)
        return row

    def has_ended(self, row: DecodeRow) -> bool:
        """Whether a row decodes no more frames; it may still hold frames that were not read."""
        return row not in self._rows

    def next_frame(self, row: DecodeRow) -> list[int]:
        """Return the next frame of a row, whose last token may be the end of speech; empty if the row has ended.

        Frames that the other rows decode meanwhile stay in those rows until their callers read them.
        """
        while not row.frames and not self.has_ended(row):
            self.decode_frame()
        if row.error is not None:
            raise row.error
        return row.frames.popleft() if row.frames else []

    def remove(self, row: DecodeRow) -> None:
        """Stop decoding a row."""
        if not self.has_ended(row):
            self._keep([number for number, kept_row in enumerate(self._rows) if kept_row is not row])

    def decode_frame(self) -> None:
        """Decode one frame of every row. An error ends all rows."""
        frames = {row: list[int]() for row in self._rows}
        with self._all_rows_fail_together():
            for slot in range(SLOTS):
                self._decode_slot(slot, frames)
                if not self._rows:
                    break
        for row, tokens in frames.items():
            row.frames.append(tokens)

    @contextmanager
    def _all_rows_fail_together(self) -> Iterator[None]:
        """End every row if a step fails: nobody knows which tokens the network has read by then."""
        rows = list(self._rows)
        try:
            yield
        except BaseException as error:
            for row in rows:
                row.error = error
            self._rows.clear()
            raise

    def _read_last_tokens(self) -> None:
        if self._unread:
            self._stepper.step(self._unread)
            self._unread = []

    def _decode_slot(self, slot: int, frames: dict[DecodeRow, list[int]]) -> None:
        self._read_last_tokens()
        tokens, end_of_speech = self._sample(slot), self._layout.end_of_speech
        for row, token in zip(self._rows, tokens, strict=True):
            row.token_count += 1
            frames[row].append(token)
        continuing = [
            number
            for number, (row, token) in enumerate(zip(self._rows, tokens, strict=True))
            if token != end_of_speech and row.token_count < row.request.max_tokens
        ]
        self._seen[range(len(tokens)), tokens] = True
        self._unread = tokens
        if len(continuing) < len(tokens):
            self._keep(continuing)

    def _keep(self, numbers: Sequence[int]) -> None:
        self._stepper.keep(numbers)
        self._seen = self._seen[list(numbers)]
        self._rows = [self._rows[number] for number in numbers]
        self._unread = [self._unread[number] for number in numbers if self._unread]

    def _sample(self, slot: int) -> list[int]:
        """Sample the next token of each row: one of the slot's codes, or the end of speech after a whole frame."""
        # 1. Logits of the slot's codes, and which of them were seen before: [B x codebook].
        codes, end_of_speech = range(*self._layout.slot_range(slot)), self._layout.end_of_speech
        logits, seen = self._stepper.logits(codes), self._seen[:, codes.start : codes.stop]
        # 2. At slot 0 one more column for the end of speech: [B x (codebook + 1)].
        if slot == 0:
            end_logits = self._stepper.logits(range(end_of_speech, end_of_speech + 1))
            end_logits[[not self._layout.allowed(row.token_count)[1] for row in self._rows]] = float("-inf")
            logits = torch.cat([logits, end_logits], 1)
            seen = torch.cat([seen, self._seen[:, end_of_speech : end_of_speech + 1]], 1)
        seen = seen.to(logits.device)
        # 3. Rows with the same settings are sampled together.
        tokens = [end_of_speech] * len(self._rows)
        for sampling in dict.fromkeys(row.request.sampling for row in self._rows):
            numbers = [number for number, row in enumerate(self._rows) if row.request.sampling == sampling]
            scores = sampling.scores(logits[numbers], seen[numbers])
            columns = sampling.pick(scores, [self._rows[number].generator for number in numbers])
            for number, column in zip(numbers, columns, strict=True):
                tokens[number] = codes[column] if column < len(codes) else end_of_speech
        return tokens


def decode_all(batch: DecodeBatch, requests: Sequence[DecodeRequest]) -> Generator[tuple[int, list[int]], None, None]:
    """Decode requests, as many at the same time as there are rows; a waiting request takes the row of an ended one.

    :returns: the index of a request in ``requests`` and all of its tokens, in the order in which requests end.
    """
    waiting, rows = deque(enumerate(requests)), dict[int, DecodeRow]()
    while waiting or rows:
        while waiting and batch.free_rows:
            index, request = waiting.popleft()
            rows[index] = batch.add(request)
        batch.decode_frame()
        for index in [index for index, row in rows.items() if batch.has_ended(row)]:
            yield index, [token for frame in rows.pop(index).frames for token in frame]


_ACTIVE_BATCHES: WeakKeyDictionary[nn.Module, list[tuple[Hashable, DecodeBatch]]] = WeakKeyDictionary()
"""The batches of each network, each with the state of the weights that it decodes with."""


def sample_from_network(
    model: nn.Module, layout: Layout, prompt: list[int], sampling: OrpheusSampling, max_tokens: int, seed: int
) -> Generator[int, None, None]:
    """Yield tokens of a network in this process, in a batch with its other utterances; see ``sampling.SoundTokens``."""
    batch = _batch_with_free_row(model, layout)
    try:
        row = batch.add(DecodeRequest(prompt, max_tokens, seed, sampling))
        try:
            while frame := batch.next_frame(row):
                yield from frame
        finally:
            batch.remove(row)
    finally:
        _ACTIVE_BATCHES[model] = [entry for entry in _ACTIVE_BATCHES.get(model, []) if len(entry[1])]


def _batch_with_free_row(model: nn.Module, layout: Layout) -> DecodeBatch:
    """Return a batch that decodes with the weights as they are now, or make one."""
    batches, state = _ACTIVE_BATCHES.setdefault(model, []), _weights_state(model)
    for batch_state, batch in batches:
        if batch_state == state and batch.free_rows:
            return batch
    batch = DecodeBatch(make_stepper(model), layout)
    batches.append((state, batch))
    return batch


def _weights_state(model: nn.Module) -> Hashable:
    """Return a value that changes when other adapters are switched on, or when weights change."""
    network: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    tuners = [module for module in network.modules() if isinstance(module, BaseTunerLayer)]
    adapters = [(tuner.disable_adapters, tuple(tuner.active_adapters)) for tuner in tuners]
    weights = [(id(weight), 0 if weight.is_inference() else weight._version) for weight in network.parameters()]
    return tuple(adapters), tuple(weights)
