"""Generate semantic codes from text and conditioning with a KV cache, and compute the latents of codes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from vtune_indextts2.gpt.code_sampling import CodeSampling, DecodingRules, sample_code
from vtune_indextts2.gpt.network import SemanticGPT
from vtune_indextts2.gpt.row_layout import make_row


class CodeDecoder:
    """A prompt and the codes after it, in one row or in several rows with the same prompt.

    :param conditioning: speaker latents with emotion, float32 ``[1 x 32 x D]``, or what ``StyleGPT`` takes.
    :param text: token ids without start and stop.
    :param offset: the offset of the positions of codes: 0 counts 1, 2, ... as in training; 1 counts 2, 3, ... as
        upstream's cached inference does.
    :param language: the row of the text's language, for a release that embeds it.
    """

    def __init__(
        self, network: SemanticGPT, conditioning: torch.Tensor, text: Sequence[int], offset: int, rows: int = 1,
        language: int | None = None,
    ) -> None:  # fmt: skip
        self._network = network
        self._next_position = 1 + offset
        self._cache = DynamicCache(config=network.gpt.config)
        prompt = torch.cat([network.prefix(conditioning), _embedded(network, text, [], language)], dim=1)  # [1 x P x D]
        self._hidden = network.run_blocks(prompt, self._cache)[:, -1].expand(rows, -1)  # [R x D]
        if rows > 1:
            self._cache.batch_repeat_interleave(rows)
        self.length = prompt.shape[1]

    def logits(self) -> torch.Tensor:
        """Return the logits of the next code, float32 ``[R x V]``."""
        logits: torch.Tensor = self._network.mel_head(self._hidden)
        return logits.float()

    def advance(self, codes: torch.Tensor) -> None:
        """Append one code to each row; codes ``[R]``."""
        position = torch.tensor(self._next_position, device=codes.device)
        embedded = self._network.mel_embedding(codes) + self._network.mel_pos_embedding(position)
        self._hidden = self._network.run_blocks(embedded[:, None], self._cache)[:, -1]
        self._next_position += 1

    def reorder(self, rows: torch.Tensor) -> None:
        """Continue with these rows, ``[R]``, instead of all rows."""
        self._cache.reorder_cache(rows)


def sample_codes(
    decoder: CodeDecoder, sampling: CodeSampling, rules: DecodingRules, seed: int
) -> tuple[list[int], bool]:
    """Sample codes until the stop code or the limit.

    :returns: the codes without the stop code, and whether the stop code was sampled.
    """
    generator = torch.Generator().manual_seed(seed)
    processors = sampling.processors(rules)
    codes: list[int] = []
    while True:
        logits = decoder.logits()
        ids = torch.tensor([[*rules.history, *codes]], dtype=torch.long, device=logits.device)  # [1 x (H + n)]
        code = sample_code(processors(ids, logits), sampling, generator)
        if code == rules.stop:
            return codes, True
        codes.append(code)
        if len(codes) == rules.limit:
            return codes, False
        decoder.advance(torch.tensor([code], device=logits.device))


def latents(
    network: SemanticGPT, conditioning: torch.Tensor, text: Sequence[int], codes: Sequence[int],
    language: int | None = None,
) -> torch.Tensor:  # fmt: skip
    """Return the hidden states ``[1 x N x D]`` that predict each of N codes, with the positions of training."""
    hidden = network.hidden_states(conditioning, _embedded(network, text, codes, language))
    return hidden[:, len(text) + 2 : len(text) + 2 + len(codes)]


def _embedded(
    network: SemanticGPT, text: Sequence[int], codes: Sequence[int], language: int | None = None
) -> torch.Tensor:
    row = make_row(network.settings, text, codes)
    device = network.mel_embedding.weight.device
    ids, kinds, positions = (torch.from_numpy(x)[None].to(device) for x in (row.ids, row.kinds, row.positions))
    languages = None if language is None else torch.full_like(ids, language)
    return network.embed(ids, kinds, positions, languages)
