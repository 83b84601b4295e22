"""Utterances that one network draws side by side, a row each: those of one evaluation, and those of whoever speaks
with the same weights at the same time, though nobody told them of each other.

A step costs little more with eight rows than with one, because weights are read once for all of them.
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
from vtune_orpheus.sampling import Sampling
from vtune_orpheus.steps import Steps, steps_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """An utterance to be drawn: ``most`` tokens at most, whole frames."""

    prompt: list[int]
    most: int
    seed: int
    sampling: Sampling


@dataclass(slots=True, eq=False)
class Part:
    """An utterance that is being drawn, and the frames of it that nobody took yet."""

    wanted: Wanted
    generator: torch.Generator
    frames: deque[list[int]] = field(default_factory=deque)
    spoken: int = 0
    error: BaseException | None = None


class Chorus:
    """Rows of a network, each drawn from a generator of its own, as it would be alone.

    They are at the same slot of a frame, always: each begins with the first and ends behind the last. One that has
    ended makes room at once, and the next one begins with the next frame.
    """

    def __init__(self, steps: Steps, layout: Layout) -> None:
        self._steps, self._layout = steps, layout
        self._parts: list[Part] = []
        self._unread: list[int] = []  # what each row drew last: read when it is needed, for its frame can go out before
        # Whether a token stands in the prompt, or was drawn: (B, V).
        self._heard = torch.zeros(0, max(layout.audio_end, layout.end_of_speech + 1), dtype=torch.bool)

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def room(self) -> int:
        """How many more it takes."""
        return self._steps.most - len(self._parts)

    def add(self, wanted: Wanted) -> Part:
        """Read a prompt; where there is ``room``."""
        with self._all_end_together():
            self._read()
            self._steps.add(wanted.prompt)
        part = Part(wanted, torch.Generator().manual_seed(wanted.seed))
        known = torch.zeros(1, self._heard.shape[1], dtype=torch.bool)
        known[0, [token for token in wanted.prompt if token < known.shape[1]]] = True
        self._heard = torch.cat([self._heard, known])
        self._parts.append(part)
        return part

    def has_ended(self, part: Part) -> bool:
        """Whether no more of it comes."""
        return part not in self._parts

    def take(self, part: Part) -> list[int]:
        """Return the next frame of a part, whose last token may be the end of speech; nothing where it has ended.

        What the others have drawn meanwhile waits for them.
        """
        while not part.frames and not self.has_ended(part):
            self.draw()
        if part.error is not None:
            raise part.error
        return part.frames.popleft() if part.frames else []

    def leave(self, part: Part) -> None:
        """Draw no more of a part."""
        if not self.has_ended(part):
            self._keep([number for number, other in enumerate(self._parts) if other is not part])

    def draw(self) -> None:
        """Draw a frame of each part. What goes wrong ends them all."""
        drawn = {part: list[int]() for part in self._parts}
        with self._all_end_together():
            for slot in range(SLOTS):
                self._draw(slot, drawn)
                if not self._parts:
                    break
        for part, tokens in drawn.items():
            part.frames.append(tokens)

    @contextmanager
    def _all_end_together(self) -> Iterator[None]:
        """What goes wrong in the middle of a step leaves rows of which nobody knows what they have read."""
        parts = list(self._parts)
        try:
            yield
        except BaseException as error:
            for part in parts:
                part.error = error
            self._parts.clear()
            raise

    def _read(self) -> None:
        if self._unread:
            self._steps.step(self._unread)
            self._unread = []

    def _draw(self, slot: int, drawn: dict[Part, list[int]]) -> None:
        self._read()
        tokens, stop = self._next(slot), self._layout.end_of_speech
        for part, token in zip(self._parts, tokens, strict=True):
            part.spoken += 1
            drawn[part].append(token)
        going = [
            number
            for number, (part, token) in enumerate(zip(self._parts, tokens, strict=True))
            if token != stop and part.spoken < part.wanted.most
        ]
        self._heard[range(len(tokens)), tokens] = True
        self._unread = tokens
        if len(going) < len(tokens):
            self._keep(going)

    def _keep(self, rows: Sequence[int]) -> None:
        self._steps.keep(rows)
        self._heard = self._heard[list(rows)]
        self._parts = [self._parts[row] for row in rows]
        self._unread = [self._unread[row] for row in rows if self._unread]

    def _next(self, slot: int) -> list[int]:
        """Draw the next token of each row: of the slot's codes, or the end of speech where frames are whole."""
        codes, stop = range(*self._layout.slot_range(slot)), self._layout.end_of_speech
        logits, before = self._steps.logits(codes), self._heard[:, codes.start : codes.stop]
        if slot == 0:
            end = self._steps.logits(range(stop, stop + 1))
            end[[not self._layout.allowed(part.spoken)[1] for part in self._parts]] = float("-inf")
            logits, before = torch.cat([logits, end], 1), torch.cat([before, self._heard[:, stop : stop + 1]], 1)
        before = before.to(logits.device)
        tokens = [stop] * len(self._parts)
        for sampling in dict.fromkeys(part.wanted.sampling for part in self._parts):
            rows = [number for number, part in enumerate(self._parts) if part.wanted.sampling == sampling]
            scores = sampling.scores(logits[rows], before[rows])
            picked = sampling.pick(scores, [self._parts[row].generator for row in rows])
            for row, one in zip(rows, picked, strict=True):
                tokens[row] = codes[one] if one < len(codes) else stop
        return tokens


def draw_all(chorus: Chorus, wanted: Sequence[Wanted]) -> Generator[tuple[int, list[int]], None, None]:
    """Draw utterances, as many side by side as there is room for; one that ends makes room for the next.

    :returns: the place of an utterance in ``wanted`` with all of its tokens, as they end.
    """
    waiting, parts = deque(enumerate(wanted)), dict[int, Part]()
    while waiting or parts:
        while waiting and chorus.room:
            place, one = waiting.popleft()
            parts[place] = chorus.add(one)
        chorus.draw()
        for place in [place for place, part in parts.items() if chorus.has_ended(part)]:
            yield place, [token for frame in parts.pop(place).frames for token in frame]


_SINGING: WeakKeyDictionary[nn.Module, list[tuple[Hashable, Chorus]]] = WeakKeyDictionary()


def network_tokens(
    model: nn.Module, layout: Layout, prompt: list[int], sampling: Sampling, most: int, seed: int
) -> Generator[int, None, None]:
    """Draw tokens from a network of this process, beside all that it draws at the time; see ``sampling.Tokens``."""
    chorus = _with_room(model, layout)
    try:
        part = chorus.add(Wanted(prompt, most, seed, sampling))
        try:
            while frame := chorus.take(part):
                yield from frame
        finally:
            chorus.leave(part)
    finally:
        _SINGING[model] = [one for one in _SINGING.get(model, []) if len(one[1])]


def _with_room(model: nn.Module, layout: Layout) -> Chorus:
    """Return a chorus that sings with the weights that are on now, or a new one."""
    choruses, now = _SINGING.setdefault(model, []), _state(model)
    found = next((chorus for state, chorus in choruses if state == now and chorus.room), None)
    if found is None:
        found = Chorus(steps_of(model), layout)
        choruses.append((now, found))
    return found


def _state(model: nn.Module) -> Hashable:
    """Tell apart which adapters are on, and weights that were changed since."""
    network: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    tuners = [module for module in network.modules() if isinstance(module, BaseTunerLayer)]
    on = [(tuner.disable_adapters, tuple(tuner.active_adapters)) for tuner in tuners]
    weights = [(id(one), 0 if one.is_inference() else one._version) for one in network.parameters()]
    return tuple(on), tuple(weights)
