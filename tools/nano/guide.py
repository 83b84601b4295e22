"""Find the letter that each code speaks, and compute losses that lead the network's attention there.

A network this small, with a few hours of speech, learns to speak sentences of the right kind long before it learns to
read the text in its prompt (after 2,000 steps: fluent, ended by itself, and none of the words right). So one attention
head in each of two layers is led to the letter that is being spoken, and the output of these layers must predict the
phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from corpus import PHONES
from torch import nn
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

LED_LAYERS = (2, 3)
"""Layers whose first attention head is led."""

NEAR_DEVIATION_LETTERS = 2.0
"""Standard deviation, in letters, of the positions that count as near."""

FRAME_SECONDS = 2048 / 24_000
"""Length of a frame in seconds."""

CODE_MIDDLES_FRAMES = np.array([4, 2, 1, 3, 6, 5, 7]) / 8
"""Middle of the sound that each of the seven codes of a frame stands for, in frames."""

VOWELS = frozenset("aeiouy")
LETTERS_OF_PHONES = {
    "k": "kcqx", "s": "scxz", "z": "sz", "f": "fp", "jh": "gj", "ng": "ng", "sh": "sctp", "zh": "sgz", "ch": "ct",
    "th": "t", "dh": "t", "hh": "h", "w": "wuo", "y": "yu", "er": "r", "t": "td", "v": "vf",
}  # fmt: skip
"""Letters that a phone may stand for, if there are others than its first letter."""


class Guidance(NamedTuple):
    """Letter and phone of each code: float32 ``[7 * T]`` (nan: unknown) and int64 ``[7 * T]`` (-100: unknown)."""

    letters: np.ndarray
    phones: np.ndarray


def guidance(text: str, phones: Sequence[tuple[str, float]] | None, frames: int) -> Guidance:
    """Align phones with letters, and codes with phones.

    Takes the cheapest monotonous path through phones and letters; a letter that can stand for the phone costs nothing.

    :param phones: names of the phones and the seconds at which they end; None if unknown.
    """
    if phones is None:
        return Guidance(np.full(7 * frames, np.nan, np.float32), np.full(7 * frames, -100))
    names, ends = zip(*phones, strict=True)
    letters = [index for index, letter in enumerate(text.lower()) if letter.isalpha()]
    spoken = [index for index, name in enumerate(names) if name != "pau"]
    cost = np.array([[_cost(names[phone], text[letter].lower()) for letter in letters] for phone in spoken])
    way = _way(cost)
    starts = np.concatenate([[0.0], ends[:-1]])
    times = [(starts[phone] + ends[phone]) / 2 for phone in spoken]
    where = [
        float(np.mean([letters[letter] for phone, letter in way if phone == index])) for index in range(len(spoken))
    ]
    middles = ((np.arange(frames)[:, None] + CODE_MIDDLES_FRAMES) * FRAME_SECONDS).reshape(-1)
    spoken_index = np.minimum(np.searchsorted(ends, middles), len(names) - 1)
    return Guidance(
        np.interp(middles, times, where).astype(np.float32),
        np.array([PHONES.index(name) for name in names])[spoken_index],
    )


def _cost(phone: str, letter: str) -> float:
    if phone[0] in "aeiou":
        return 0.0 if letter in VOWELS or (phone == "er" and letter == "r") else 1.0
    return 0.0 if letter in LETTERS_OF_PHONES.get(phone, phone[0]) else 1.0


def _way(cost: np.ndarray) -> list[tuple[int, int]]:
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    for row in range(rows):
        for column in range(columns):
            before = min(total[row, column], total[row, column + 1] + 0.2, total[row + 1, column] + 0.2)
            total[row + 1, column + 1] = cost[row, column] + before
    row, column, way = rows, columns, []
    while row and column:
        way.append((row - 1, column - 1))
        steps = (total[row - 1, column - 1], total[row - 1, column] + 0.2, total[row, column - 1] + 0.2)
        step = int(np.argmin(steps))
        row, column = row - (step != 2), column - (step != 1)
    return way


class Guide(nn.Module):
    """Reads the attention of the led heads in a forward pass, and compares it with the letters and phones."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.phone = nn.Linear(network.config.hidden_size, len(PHONES))
        self._network = [network]  # in a list: it is no part of this
        self._seen: dict[tuple[int, str], torch.Tensor] = {}
        for layer in LED_LAYERS:
            attention = network.model.layers[layer].self_attn
            for name in ("q_proj", "k_proj"):
                getattr(attention, name).register_forward_hook(self._note(layer, name))
        network.model.layers[max(LED_LAYERS)].register_forward_hook(self._note(max(LED_LAYERS), "hidden"))

    def _note(self, layer: int, name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
            self._seen[layer, name] = output

        return hook

    def unsaid(self, phones: torch.Tensor) -> torch.Tensor:
        """Return the cross entropy of the next phones, int64 ``[B, L]``; -100 marks positions without a phone."""
        hidden = self._seen[max(LED_LAYERS), "hidden"]
        known = phones != -100
        return nn.functional.cross_entropy(self.phone(hidden[known].float()), phones[known])

    def astray(self, targets: torch.Tensor, first: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """Return the mean of ``-log`` of the attention near the wanted letters.

        :param wanted: position in the row of the letter that each position should attend to, float ``[B, L]``;
            nan: none.
        :param first: position of the first letter, int ``[B]``; ``last`` is that of the last letter.
        """
        (network,) = self._network
        size = network.config.head_dim
        length = targets.shape[1]
        positions = torch.arange(length)
        cosines, sines = network.model.rotary_emb(torch.zeros(1, 1), positions[None])
        asked = ~targets.isnan()
        away = positions - targets.nan_to_num()[..., None]  # (B, L, L); a nan here would spoil gradients everywhere
        near = torch.exp(-(away**2) / (2 * NEAR_DEVIATION_LETTERS**2))
        letters = (positions >= first[:, None]) & (positions <= last[:, None])
        near = torch.where(letters[:, None], near, 0.0)
        losses = []
        for layer in LED_LAYERS:
            queries, keys = (self._seen[layer, name][:, None, :, :size].float() for name in ("q_proj", "k_proj"))
            queries, keys = apply_rotary_pos_emb(queries, keys, cosines, sines)
            scores = (queries @ keys.transpose(-1, -2))[:, 0] * size**-0.5
            scores = scores.masked_fill(positions[None, :] > positions[:, None], -torch.inf)
            share = (scores.softmax(-1) * near)[asked].sum(-1)
            losses.append(-(share + 1e-4).log().mean())
        return torch.stack(losses).mean()
