"""Stepping a network token by token: any of transformers', or a plain Llama without what is done around its sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from peft import PeftModel
from torch import nn
from transformers import DynamicCache

from vtune_orpheus.llama import LlamaSteps, is_plain


class Steps(Protocol):
    """Utterances that a network is in the middle of, a row each."""

    @property
    def most(self) -> int:
        """Rows at once."""

    def add(self, prompt: Sequence[int]) -> None:
        """Read a prompt, as a new last row."""

    def keep(self, rows: Sequence[int]) -> None:
        """Leave out all other rows."""

    def step(self, tokens: Sequence[int]) -> None:
        """Read the next token of each row."""

    def logits(self, ids: range) -> torch.Tensor:
        """Return the logits of some ids at the next place of each row: float32 ``[B, len(ids)]``."""


class NetworkSteps:
    """Any causal language model of transformers', one utterance at a time."""

    most = 1

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._device = next(model.parameters()).device

    def add(self, prompt: Sequence[int]) -> None:
        """See ``Steps``."""
        self._cache = DynamicCache()
        self.step(prompt)

    def keep(self, rows: Sequence[int]) -> None:
        """See ``Steps``."""

    def step(self, tokens: Sequence[int]) -> None:
        """See ``Steps``."""
        ids = torch.tensor([list(tokens)], device=self._device)
        said = self._model(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        self._logits: torch.Tensor = said["logits"][:, -1]  # (1, V)

    def logits(self, ids: range) -> torch.Tensor:
        """See ``Steps``."""
        return self._logits[:, ids.start : ids.stop].float()


def steps_of(model: nn.Module) -> Steps:
    """Return the quickest way to step a network, with the adapters that are on now."""
    network = model.get_base_model() if isinstance(model, PeftModel) else model
    return LlamaSteps(network) if is_plain(network) else NetworkSteps(model)
