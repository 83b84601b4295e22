"""The GPT of IndexTTS2 on transformers' GPT-2 blocks: text and conditioning in, semantic codes out.

A row is ``[latents | rate | text | codes]``; text and codes each have their own positions, which begin at 0. A batch is
padded. Before the first block its clips are packed into one row, so no work is done on padding, and no clip attends to
another: a clip gets the same hidden states in any batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import Cache, GPT2Config, GPT2Model, PretrainedConfig, PreTrainedModel

from vtune.toolkit import packed_attention
from vtune_indextts2.gpt.loss import IGNORED_LABEL, score
from vtune_indextts2.gpt.settings import GPTSettings

TEXT_TOKEN, CODE_TOKEN = 1, 2
"""The kinds of tokens in a row; 0 is padding."""

LOSS_WEIGHTS = (0.2, 0.8)
"""How much the losses of text and of codes count in the loss, as public trainers of the model have it."""


class SemanticGPTConfig(PretrainedConfig):  # type: ignore[misc] # transformers is not typed for us
    """``GPTSettings`` as a configuration of transformers, with the dropout of training."""

    model_type = "indextts2-gpt"

    def __init__(self, settings: dict[str, Any] | None = None, dropout: float = 0.1, **others: Any) -> None:
        self.settings = settings or {}
        self.dropout = dropout
        super().__init__(**others)


class LearnedPositions(nn.Module):
    """A learned table of positions."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(count, width)

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """Look up positions ``[...]``: ``[... x D]``."""
        looked_up: torch.Tensor = self.emb(positions)
        return looked_up


class NoPositions(nn.Module):
    """Replaces GPT-2's own table, because here positions are part of the embeddings."""

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """Return 0, which adds nothing to any shape."""
        return torch.zeros((), device=positions.device)


class SemanticGPT(PreTrainedModel):  # type: ignore[misc]
    """The network that LoRA adapts: embeddings, blocks, final norm and the two heads.

    The names of its tensors are those of the checkpoint, without the conditioning encoders.
    """

    config_class = SemanticGPTConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _no_split_modules = ("GPT2Block",)
    loss_weights: tuple[float, float] = LOSS_WEIGHTS

    def __init__(self, config: SemanticGPTConfig) -> None:
        super().__init__(config)
        self.settings = settings = GPTSettings.model_validate(config.settings)
        width = settings.model_dim
        self.text_embedding = nn.Embedding(settings.text_rows, width)
        self.mel_embedding = nn.Embedding(settings.number_mel_codes, width)
        self.text_pos_embedding = LearnedPositions(settings.text_positions, width)
        self.mel_pos_embedding = LearnedPositions(settings.mel_positions, width)
        self.add_prefix(settings)
        self.gpt = GPT2Model(_gpt2_config(settings, config))
        self.gpt.wte = None  # the two embeddings above take its place
        self.gpt.wpe = NoPositions()
        self.final_norm = nn.LayerNorm(width)
        self.text_head = nn.Linear(width, settings.text_rows)
        self.mel_head = nn.Linear(width, settings.number_mel_codes)

    def add_prefix(self, settings: GPTSettings) -> None:
        """Create what the prefix is made of: the two rows of the speaking rate."""
        self.speed_emb = nn.Embedding(2, settings.model_dim)

    def get_input_embeddings(self) -> nn.Module:
        """Return the module where PEFT and checkpointing let gradients enter a frozen network."""
        embedding: nn.Module = self.mel_embedding
        return embedding

    def forward(
        self,
        conditioning: torch.Tensor,
        input_ids: torch.Tensor,
        kinds: torch.Tensor,
        positions: torch.Tensor,
        attention_mask: torch.Tensor,
        text_labels: torch.Tensor,
        labels: torch.Tensor,
        languages: torch.Tensor | None = None,
        num_items_in_batch: dict[str, torch.Tensor] | None = None,
    ) -> dict[str, Any]:
        """Return the losses of text and codes, weighted by ``loss_weights`` and each a mean over its labels.

        With them come logits and metrics.

        :param conditioning: speaker latents plus the emotion vector, float32 ``[B x 32 x D]``; see ``StyleGPT``.
        :param input_ids: text ids, then codes, ``[B x L]``, padded on the right.
        :param kinds: ``TEXT_TOKEN``, ``CODE_TOKEN`` or 0 for padding, ``[B x L]``.
        :param positions: the position of each token in its own block, ``[B x L]``.
        :param attention_mask: 1 at tokens and 0 at padding, ``[B x L]``.
        :param text_labels: the next text id ``[B x L]``, -100 elsewhere; ``labels`` likewise the next code.
        :param languages: the row of each clip's language, int64 ``[B]``, for a release that embeds it.
        :param num_items_in_batch: the number of labels in one optimizer step, by name; default: of this batch.
        :returns: ``loss``; ``logits`` of the codes ``[labels x V]``; ``metrics``: sums and counts, float32 ``[2]``.
        """
        # 1. Pack the tokens of all clips: [T].
        real = indices(attention_mask != 0)
        ids, kinds, positions, text_labels, labels = (
            tensor.flatten()[real] for tensor in (input_ids, kinds, positions, text_labels, labels)
        )
        # 2. Hidden states [T x D] and the logits at labelled positions.
        if languages is not None:
            languages = languages.repeat_interleave(attention_mask.sum(1))
        embedded = self.embed(ids, kinds, positions, languages)
        hidden = self.packed_hidden_states(conditioning, embedded, lengths(attention_mask))
        text_index, code_index = indices(text_labels != IGNORED_LABEL), indices(labels != IGNORED_LABEL)
        logits = self.mel_head(hidden[code_index])
        text = score(self.text_head(hidden[text_index]), text_labels[text_index])
        semantic = score(logits, labels[code_index])
        # 3. The loss, each part divided by the labels of the whole optimizer step.
        counts = num_items_in_batch or {"text_labels": text.count, "labels": semantic.count}
        of_text, of_codes = self.loss_weights
        loss = of_text * text.loss / counts["text_labels"] + of_codes * semantic.loss / counts["labels"]
        metrics = {
            "text_loss": text.mean_loss(), "semantic_loss": semantic.mean_loss(), "semantic_top1": semantic.top1(),
        }  # fmt: skip
        return {"loss": loss, "logits": logits, "metrics": metrics}

    def embed(
        self, ids: torch.Tensor, kinds: torch.Tensor, positions: torch.Tensor, languages: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Embed text ids and codes, ``[...]`` to ``[... x D]``; padding is embedded as code 0."""
        text = (kinds == TEXT_TOKEN)[..., None]
        not_text, not_code = kinds != TEXT_TOKEN, kinds != CODE_TOKEN
        as_text = self.embed_text(ids.masked_fill(not_text, 0), positions.masked_fill(not_text, 0), languages)
        as_code = self.mel_embedding(ids.masked_fill(not_code, 0)) + self.mel_pos_embedding(
            positions.masked_fill(not_code, 0)
        )
        return torch.where(text, as_text, as_code)

    def embed_text(self, ids: torch.Tensor, positions: torch.Tensor, languages: torch.Tensor | None) -> torch.Tensor:
        """Embed text ids ``[...]``, start and stop included: ``[... x D]``. IndexTTS-2 has no rows of languages."""
        text: torch.Tensor = self.text_embedding(ids) + self.text_pos_embedding(positions)
        return text

    def prefix(self, conditioning: torch.Tensor) -> torch.Tensor:
        """Append the two vectors of the speaking rate, rows 1 and 0: ``[B x 32 x D]`` to ``[B x 34 x D]``."""
        rates = self.speed_emb.weight.flip(0).expand(len(conditioning), -1, -1)
        return torch.cat([conditioning.to(rates), rates], dim=1)

    def hidden_states(self, conditioning: torch.Tensor, embedded: torch.Tensor) -> torch.Tensor:
        """Return the normed hidden states ``[B x L x D]`` of the tokens after the prefix."""
        prefix = self.prefix(conditioning)
        return self.run_blocks(torch.cat([prefix, embedded], dim=1))[:, prefix.shape[1] :]

    def packed_hidden_states(
        self, conditioning: torch.Tensor, embedded: torch.Tensor, counts: Sequence[int]
    ) -> torch.Tensor:
        """Return the normed hidden states ``[T x D]`` of packed clips of ``counts`` tokens, without their prefixes."""
        prefixes = self.prefix(conditioning)
        clips = [part for pair in zip(prefixes, torch.split(embedded, list(counts)), strict=True) for part in pair]
        sizes = [len(part) for part in clips]
        lengths_ = [prefix + clip for prefix, clip in zip(sizes[::2], sizes[1::2], strict=True)]
        hidden = self.run_blocks(torch.cat(clips)[None], clip_lengths=lengths_)[0]
        return torch.cat(torch.split(hidden, sizes)[1::2])

    def run_blocks(
        self, embedded: torch.Tensor, cache: Cache | None = None, clip_lengths: Sequence[int] | None = None
    ) -> torch.Tensor:
        """Run the blocks on embeddings ``[B x L x D]``; return the normed hidden states ``[B x L x D]``.

        :param cache: the KV cache of the tokens before these.
        :param clip_lengths: lengths of the clips that are packed into a single row.
        """
        clips = {} if clip_lengths is None else {"clip_lengths": clip_lengths}
        output = self.gpt(
            inputs_embeds=embedded, past_key_values=cache, use_cache=cache is not None, **clips
        ).last_hidden_state
        normed: torch.Tensor = self.final_norm(output)
        return normed

    def _init_weights(self, module: nn.Module) -> None:
        # The weights come from a file, so no random start is needed.
        pass


def indices(mask: torch.Tensor) -> torch.Tensor:
    """Return the indices at which a flattened mask is true: ``[N]``."""
    return mask.flatten().nonzero().squeeze(1)


def lengths(mask: torch.Tensor) -> list[int]:
    """Return the number of tokens in each row."""
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
        attn_implementation=packed_attention.ATTENTION_NAME,
        # Nothing is generated by transformers' own loop, and it would warn of these.
        bos_token_id=None,
        eos_token_id=None,
    )
