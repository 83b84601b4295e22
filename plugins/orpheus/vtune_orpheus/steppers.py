"""Run a network token by token: any causal network of transformers, or a plain Llama with less overhead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from peft import PeftModel
from torch import nn
from transformers import DynamicCache

from vtune_orpheus.llama_stepper import LlamaStepper, can_step


class TokenStepper(Protocol):
    """A network in the middle of several sequences, one row each, with their KV caches."""

    @property
    def max_rows(self) -> int:
        """The largest number of rows."""

    def add(self, prompt: Sequence[int]) -> None:
        """Read a prompt as a new last row."""

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order, and drop all others."""

    def step(self, tokens: Sequence[int]) -> None:
        """Read the next token of each row."""

    def logits(self, ids: range) -> torch.Tensor:
        """Return the logits of some token ids at the next position of each row: float32 ``[B x len(ids)]``."""


class TransformersStepper:
    """Steps any causal language model of transformers, one sequence at a time."""

    max_rows = 1

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._device = next(model.parameters()).device

    def add(self, prompt: Sequence[int]) -> None:
        """Read a prompt; see ``TokenStepper``."""
        self._cache = DynamicCache()
        self.step(prompt)

    def keep(self, rows: Sequence[int]) -> None:
        """Do nothing: a batch without rows drops the stepper; see ``TokenStepper``."""

    def step(self, tokens: Sequence[int]) -> None:
        """Read the next token, or several of a prompt; see ``TokenStepper``."""
        ids = torch.tensor([list(tokens)], device=self._device)  # [1 x N]
        output = self._model(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        self._logits: torch.Tensor = output["logits"][:, -1]  # [1 x V]

    def logits(self, ids: range) -> torch.Tensor:
        """Return the logits of some token ids, float32 ``[1 x len(ids)]``; see ``TokenStepper``."""
        return self._logits[:, ids.start : ids.stop].float()


def make_stepper(model: nn.Module) -> TokenStepper:
    """Return the fastest stepper for a network, with the adapters that are active now."""
    network = model.get_base_model() if isinstance(model, PeftModel) else model
    return LlamaStepper(network) if can_step(network) else TransformersStepper(model)
