"""A stand-in for the fork of index-tts: its network from plain parts, its LoRA by PEFT, its files by torch.save.

Written from the published layout, with nothing of vtune's network: the blocks are transformers' GPT-2, padded rows,
one clip at a time. Only the conditioning encoders are vtune's own, which have the checkpoint's names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import GPT2Config, GPT2Model

from vtune_indextts2.gpt.conditioning import ConditioningEncoder
from vtune_indextts2.gpt.settings import GPTSettings

FORK_TARGETS = (
    "c_attn", "c_proj", "c_fc", "w_1", "w_2", "linear_q", "linear_k", "linear_v", "linear_out",
    "text_head", "mel_head", "emovec_layer", "emo_layer",
)  # fmt: skip
"""The fork's own list; most of these names are of the conditioning encoders."""


class Table(nn.Module):
    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(rows, width)


class UnifiedVoice(nn.Module):
    """The GPT with its encoders, by the names of ``gpt.pth``."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        gpt = self.settings = config["gpt"]
        width = gpt["model_dim"]
        for name, module in ConditioningEncoder(GPTSettings.model_validate(gpt)).named_children():
            setattr(self, name, module)
        self.text_embedding = nn.Embedding(gpt["number_text_tokens"] + 1, width)
        self.mel_embedding = nn.Embedding(gpt["number_mel_codes"], width)
        self.text_pos_embedding = Table(gpt["max_text_tokens"] + 2, width)
        self.mel_pos_embedding = Table(gpt["max_mel_tokens"] + 3, width)
        self.speed_emb = nn.Embedding(2, width)
        self.gpt = GPT2Model(
            GPT2Config(vocab_size=256, n_positions=4096, n_embd=width, n_layer=gpt["layers"], n_head=gpt["heads"])
        )
        del self.gpt.wte
        self.gpt.wpe = nn.Embedding(4096, width)
        nn.init.zeros_(self.gpt.wpe.weight)
        self.final_norm = nn.LayerNorm(width)
        self.text_head = nn.Linear(width, gpt["number_text_tokens"] + 1)
        self.mel_head = nn.Linear(width, gpt["number_mel_codes"])

    def conditioning(self, spk: torch.Tensor, emo: torch.Tensor) -> torch.Tensor:
        latents = self.perceiver_encoder(self.conditioning_encoder(spk))
        drawn = self.emo_perceiver_encoder(self.emo_conditioning_encoder(emo))[:, 0]
        rates = self.speed_emb(torch.tensor([[1, 0]]))
        return torch.cat([latents + self.emo_layer(self.emovec_layer(drawn))[:, None], rates], dim=1)

    def code_logits(self, prefix: torch.Tensor, text: Sequence[int], codes: Sequence[int]) -> torch.Tensor:
        """Return the logits of each code and of the stop: ``[N + 1 x V]``."""
        words = torch.tensor([[self.settings["start_text_token"], *text, self.settings["stop_text_token"]]])
        sounds = torch.tensor([[self.settings["start_mel_token"], *codes]])
        row = torch.cat(
            [
                prefix,
                self.text_embedding(words) + self.text_pos_embedding.emb(torch.arange(words.shape[1])),
                self.mel_embedding(sounds) + self.mel_pos_embedding.emb(torch.arange(sounds.shape[1])),
            ],
            dim=1,
        )
        hidden = self.final_norm(self.gpt(inputs_embeds=row).last_hidden_state)
        return self.mel_head(hidden[0, -sounds.shape[1] :])


def load_fork(checkpoint: Path, gpt: Path | None = None) -> UnifiedVoice:
    """Load ``gpt.pth`` as upstream does: wrapped in ``model``, not strictly; nothing of the network may be missing."""
    config = yaml.safe_load((checkpoint / "config.yaml").read_text())
    network = UnifiedVoice(config)
    content = torch.load(gpt or checkpoint / "gpt.pth", weights_only=True)
    missing, _ = network.load_state_dict(content.get("model", content), strict=False)
    assert [name for name in missing if name != "gpt.wpe.weight"] == []
    return network.eval()


def train_fork_lora(
    network: nn.Module, folder: Path, *, targets: Sequence[str] = FORK_TARGETS, learns: str = "", rank: int = 4
) -> None:
    """Save an adapter as the fork does; only modules whose name begins with ``learns`` have learned something."""
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.05, target_modules=list(targets), bias="none")
    model = get_peft_model(network, config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name and name.removeprefix("base_model.model.").startswith(learns):
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(str(folder))


def merged_fork(checkpoint: Path, adapter: Path) -> UnifiedVoice:
    """Load an adapter folder onto the base with PEFT and merge it, as the fork does before it speaks."""
    network: UnifiedVoice = PeftModel.from_pretrained(load_fork(checkpoint), str(adapter)).merge_and_unload()
    return network.eval()
