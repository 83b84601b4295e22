"""The GPT of IndexTTS2 on transformers' GPT-2 blocks: text and conditioning in, semantic codes out.

A row is ``[latents | rate | text | codes]``, text and codes each with positions of their own that begin at 0. A batch
comes padded; before the first block its clips are laid one behind the other, so no work is done on padding, and none
sees another: a clip gets the same hidden states in any batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import Cache, GPT2Config, GPT2Model, PretrainedConfig, PreTrainedModel

from vtune.toolkit import packed_attention as attention
from vtune_indextts2.gpt.loss import IGNORED, score
from vtune_indextts2.gpt.settings import GPTSettings

TEXT, CODE = 1, 2
"""What a place of a row holds; 0 is padding."""

TEXT_WEIGHT = 0.2
"""Share of the text loss in the loss; the codes have the rest."""


class SemanticGPTConfig(PretrainedConfig):  # type: ignore[misc] # transformers is not typed for us
    """``GPTSettings`` in the form that transformers carries about, with the dropout of training."""

    model_type = "indextts2-gpt"

    def __init__(self, settings: dict[str, Any] | None = None, dropout: float = 0.1, **others: Any) -> None:
        self.settings = settings or {}
        self.dropout = dropout
        super().__init__(**others)


class Positions(nn.Module):
    """A learned table of positions."""

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(places, width)

    def forward(self, places: torch.Tensor) -> torch.Tensor:
        """Look up ``[...]`` to ``[..., D]``."""
        looked_up: torch.Tensor = self.emb(places)
        return looked_up


class NoPositions(nn.Module):
    """In the place of GPT-2's own table: here positions are part of the embeddings."""

    def forward(self, places: torch.Tensor) -> torch.Tensor:
        """Add nothing, to any shape."""
        return torch.zeros((), device=places.device)


class SemanticGPT(PreTrainedModel):  # type: ignore[misc]
    """What LoRA adapts: embeddings, blocks, final norm and the two heads.

    Its names are the checkpoint's, without those of the conditioning encoders.
    """

    config_class = SemanticGPTConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _no_split_modules = ("GPT2Block",)

    def __init__(self, config: SemanticGPTConfig) -> None:
        super().__init__(config)
        self.settings = settings = GPTSettings.model_validate(config.settings)
        width = settings.model_dim
        self.text_embedding = nn.Embedding(settings.text_rows, width)
        self.mel_embedding = nn.Embedding(settings.number_mel_codes, width)
        self.text_pos_embedding = Positions(settings.text_positions, width)
        self.mel_pos_embedding = Positions(settings.mel_positions, width)
        self.speed_emb = nn.Embedding(2, width)
        self.gpt = GPT2Model(_gpt2_config(settings, config))
        self.gpt.wte = None  # the two embeddings above take its place
        self.gpt.wpe = NoPositions()
        self.final_norm = nn.LayerNorm(width)
        self.text_head = nn.Linear(width, settings.text_rows)
        self.mel_head = nn.Linear(width, settings.number_mel_codes)

    def get_input_embeddings(self) -> nn.Module:
        """PEFT and checkpointing hook here to let gradients through a frozen network."""
        embedding: nn.Module = self.mel_embedding
        return embedding

    def forward(
        self,
        conditioning: torch.Tensor,
        input_ids: torch.Tensor,
        kinds: torch.Tensor,
        places: torch.Tensor,
        attention_mask: torch.Tensor,
        text_labels: torch.Tensor,
        labels: torch.Tensor,
        num_items_in_batch: dict[str, torch.Tensor] | None = None,
    ) -> dict[str, Any]:
        """Loss ``0.2 text + 0.8 codes``, each a mean over its labels, and what is measured on the way.

        :param conditioning: latents with the emotion vector added, float32 ``[B, 32, D]``.
        :param input_ids: text ids and codes as they follow each other, ``[B, L]``, padded on the right.
        :param kinds: ``TEXT``, ``CODE`` or 0 for padding, ``[B, L]``; ``places`` their positions.
        :param attention_mask: 1 where there is something, ``[B, L]``.
        :param text_labels: the next text id ``[B, L]``, -100 elsewhere; ``labels`` likewise the next code.
        :param num_items_in_batch: labels by name over all that one optimizer step sees; default: of this batch.
        :returns: ``loss``; ``logits`` of the codes ``[labels, V]``; ``metrics``: sums and counts, float32 ``[2]``.
        """
        real = indices(attention_mask != 0)
        ids, kinds, places, text_labels, labels = (
            tensor.flatten()[real] for tensor in (input_ids, kinds, places, text_labels, labels)
        )
        hidden = self.hidden_of_clips(conditioning, self.embed(ids, kinds, places), lengths(attention_mask))
        spelt, spoken = indices(text_labels != IGNORED), indices(labels != IGNORED)
        logits = self.mel_head(hidden[spoken])
        text = score(self.text_head(hidden[spelt]), text_labels[spelt])
        semantic = score(logits, labels[spoken])
        counts = num_items_in_batch or {"text_labels": text.count, "labels": semantic.count}
        loss = TEXT_WEIGHT * text.loss / counts["text_labels"] + (1 - TEXT_WEIGHT) * semantic.loss / counts["labels"]
        metrics = {
            "text_loss": text.mean_loss(), "semantic_loss": semantic.mean_loss(), "semantic_top1": semantic.top1(),
        }  # fmt: skip
        return {"loss": loss, "logits": logits, "metrics": metrics}

    def embed(self, ids: torch.Tensor, kinds: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Embed text ids and codes side by side, ``[...]`` to ``[..., D]``; padding gets what a code 0 would."""
        text = (kinds == TEXT)[..., None]
        as_text = self.text_embedding(ids.masked_fill(kinds != TEXT, 0)) + self.text_pos_embedding(
            places.masked_fill(kinds != TEXT, 0)
        )
        as_code = self.mel_embedding(ids.masked_fill(kinds != CODE, 0)) + self.mel_pos_embedding(
            places.masked_fill(kinds != CODE, 0)
        )
        return torch.where(text, as_text, as_code)

    def prefix(self, conditioning: torch.Tensor) -> torch.Tensor:
        """Append the two vectors of the speaking rate, rows 1 and 0: ``[B, 32, D]`` to ``[B, 34, D]``."""
        rates = self.speed_emb.weight.flip(0).expand(len(conditioning), -1, -1)
        return torch.cat([conditioning.to(rates), rates], dim=1)

    def hidden_states(self, conditioning: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
        """Normed hidden states ``[B, L, D]`` of what follows the prefix."""
        prefix = self.prefix(conditioning)
        return self.see(torch.cat([prefix, embedded], dim=1))[:, prefix.shape[1] :]

    def hidden_of_clips(
        self, conditioning: torch.Tensor, embedded: torch.Tensor, counts: Sequence[int]
    ) -> torch.Tensor:
        """Normed hidden states ``[T, D]`` of clips one behind the other, ``counts`` places each beside the prefix."""
        prefixes = self.prefix(conditioning)
        clips = [part for pair in zip(prefixes, torch.split(embedded, list(counts)), strict=True) for part in pair]
        sizes = [len(part) for part in clips]
        whole = [before + own for before, own in zip(sizes[::2], sizes[1::2], strict=True)]
        seen = self.see(torch.cat(clips)[None], clip_lengths=whole)[0]
        return torch.cat(torch.split(seen, sizes)[1::2])

    def see(
        self, embedded: torch.Tensor, cache: Cache | None = None, clip_lengths: Sequence[int] | None = None
    ) -> torch.Tensor:
        """Put embeddings ``[B, L, D]`` through the blocks; normed hidden states.

        :param cache: holds what comes before.
        :param clip_lengths: of clips that lie one behind the other in a single row.
        """
        clips = {} if clip_lengths is None else {"clip_lengths": clip_lengths}
        seen = self.gpt(
            inputs_embeds=embedded, past_key_values=cache, use_cache=cache is not None, **clips
        ).last_hidden_state
        normed: torch.Tensor = self.final_norm(seen)
        return normed

    def _init_weights(self, module: nn.Module) -> None:
        # A network that is built to be filled from a file needs no random start.
        pass


def indices(mask: torch.Tensor) -> torch.Tensor:
    """Where a mask of any shape holds, in it laid flat: ``[N]``."""
    return mask.flatten().nonzero().squeeze(1)


def lengths(mask: torch.Tensor) -> list[int]:
    """How many places of each row hold something."""
    counts: list[int] = mask.sum(1).tolist()
    return counts


def _gpt2_config(settings: GPTSettings, config: SemanticGPTConfig) -> GPT2Config:
    return GPT2Config(
        vocab_size=1,
        n_positions=1,
        n_embd=settings.model_dim,
        n_layer=settings.layers,
        n_head=settings.heads,
        resid_pdrop=config.dropout,
        embd_pdrop=config.dropout,
        attn_pdrop=config.dropout,
        # GPT-2's tanh GELU as one operation: backward keeps two tensors of it, of the one written out in steps six.
        activation_function="gelu_pytorch_tanh",
        attn_implementation=attention.NAME,
        # Nothing is generated by transformers' own loop, and it would warn of these.
        bos_token_id=None,
        eos_token_id=None,
    )
