"""Rows of the text tables for pieces that were appended to the tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

TEXT_TABLES = ("text_embedding.weight", "text_head.weight", "text_head.bias")
"""Tensors of the GPT with a row for each text token, and one more at the end that no token has."""


def with_new_rows(tensors: Mapping[str, torch.Tensor], new_pieces: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
    """Return the tensors of a GPT with a row for each new piece, before the last row of each text table.

    A new row begins as the mean of the rows that wrote the piece before. ``[[5, 9]]`` on a table of 4 pieces gives it
    the row 4, the mean of the rows 5 and 9, and moves the row without a token to 5.

    :param new_pieces: for each new piece, the ids that it had before.
    """
    return {name: _grown(t, new_pieces) if name in TEXT_TABLES else t for name, t in tensors.items()}


def _grown(table: torch.Tensor, new_pieces: Sequence[Sequence[int]]) -> torch.Tensor:
    rows = torch.stack([table[list(ids)].float().mean(dim=0) for ids in new_pieces]).to(table)
    return torch.cat([table[:-1], rows, table[-1:]])
