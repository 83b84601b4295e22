"""Text and conditioning to semantic codes, one by one behind a cache; and codes to the latents of the next stage."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from vtune_indextts2.gpt.layout import lay_out
from vtune_indextts2.gpt.network import SemanticGPT
from vtune_indextts2.gpt.sampling import Rules, Sampling, pick


class Continuation:
    """A prompt and what was said after it, in one row or in several that share the prompt.

    :param conditioning: latents with emotion, float32 ``[1, 32, D]``.
    :param text: ids without start and stop.
    :param offset: of the positions of codes: 0 counts 1, 2, ... as in training; 1 counts 2, 3, ... as upstream's
        cached inference does.
    """

    def __init__(
        self, network: SemanticGPT, conditioning: torch.Tensor, text: Sequence[int], offset: int, rows: int = 1
    ) -> None:
        self._network = network
        self._next = 1 + offset
        self._cache = DynamicCache(config=network.gpt.config)
        prompt = torch.cat([network.prefix(conditioning), _embedded(network, text, [])], dim=1)  # (1, P, D)
        self._hidden = network.see(prompt, self._cache)[:, -1].expand(rows, -1)  # (R, D)
        if rows > 1:
            self._cache.batch_repeat_interleave(rows)
        self.length = prompt.shape[1]

    def logits(self) -> torch.Tensor:
        """Logits of the next code, float32 ``[R, V]``."""
        logits: torch.Tensor = self._network.mel_head(self._hidden)
        return logits.float()

    def advance(self, codes: torch.Tensor) -> None:
        """Say one code in each row, ``[R]``."""
        place = torch.tensor(self._next, device=codes.device)
        embedded = self._network.mel_embedding(codes) + self._network.mel_pos_embedding(place)
        self._hidden = self._network.see(embedded[:, None], self._cache)[:, -1]
        self._next += 1

    def reorder(self, rows: torch.Tensor) -> None:
        """Go on from these rows, ``[R]``, in the place of all."""
        self._cache.reorder_cache(rows)


def draw_codes(continuation: Continuation, sampling: Sampling, rules: Rules, seed: int) -> tuple[list[int], bool]:
    """Draw codes one after another until the stop code or the limit.

    :returns: the codes without the stop code, and whether it came.
    """
    generator = torch.Generator().manual_seed(seed)
    processors = sampling.processors(rules)
    codes: list[int] = []
    while True:
        logits = continuation.logits()
        said = torch.tensor([[*rules.history, *codes]], dtype=torch.long, device=logits.device)  # (1, H + n)
        code = pick(processors(said, logits), sampling, generator)
        if code == rules.stop:
            return codes, True
        codes.append(code)
        if len(codes) == rules.limit:
            return codes, False
        continuation.advance(torch.tensor([code], device=logits.device))


def latents(
    network: SemanticGPT, conditioning: torch.Tensor, text: Sequence[int], codes: Sequence[int]
) -> torch.Tensor:
    """Hidden states ``[1, N, D]`` from which each of ``N`` codes was said, with the positions of training."""
    hidden = network.hidden_states(conditioning, _embedded(network, text, codes))
    return hidden[:, len(text) + 2 : len(text) + 2 + len(codes)]


def _embedded(network: SemanticGPT, text: Sequence[int], codes: Sequence[int]) -> torch.Tensor:
    row = lay_out(network.settings, text, codes)
    device = network.mel_embedding.weight.device
    ids, kinds, places = (torch.from_numpy(x)[None].to(device) for x in (row.ids, row.kinds, row.places))
    return network.embed(ids, kinds, places)
