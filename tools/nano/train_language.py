"""Train the small Llama to speak: ``python tools/nano/train_language.py CODES OUT``.

CODES is what encode.py wrote. Rows are laid out by the engine's own prompts and layout. A part of them bears a name
that nobody has, so that a voice without a training speaks in one of the known ones instead of falling silent. The
state is kept in OUT/language.pt and taken up again; weights are averaged over the last steps.
"""

from __future__ import annotations

import argparse
import json
import string
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from vtune_orpheus.layout import Layout, derive_layout
from vtune_orpheus.prompts import end_ids, prompt_ids, spoken
from vtune_orpheus.tiny import build_tokenizer

SHAPE = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
    "rope_theta": 10_000.0,
    "tie_word_embeddings": True,
}


class Rows:
    """Clips as codes, and training rows of them."""

    def __init__(self, folder: Path, codebook: int) -> None:
        self.tokenizer = build_tokenizer(codebook)
        self.vocabulary = -(-len(self.tokenizer) // 8) * 8
        config = {"vq_strides": [4, 2, 1], "codebook_size": codebook}
        self.layout: Layout = derive_layout(self.tokenizer, config, self.vocabulary, "nano")
        with np.load(folder / "codes.npz") as kept:
            self.frames = np.split(kept["frames"].astype(np.int64), kept["ends"][:-1])  # (T, 7) each
        table = json.loads((folder / "clips.json").read_text(encoding="utf-8"))
        self.texts, self.voices = table["texts"], table["voices"]

    def row(self, clip: int, voice: str) -> tuple[list[int], int]:
        """Return a row's ids, and how many of them are the prompt."""
        words = spoken(self.texts[clip], voice, prefix=True)
        prompt = prompt_ids(self.tokenizer, self.layout, words)
        offsets = self.layout.audio + np.arange(7) * self.layout.codebook
        return [*prompt, *(self.frames[clip] + offsets).reshape(-1).tolist(), *end_ids(self.layout)], len(prompt)

    def __len__(self) -> int:
        return len(self.frames)


def nobody(draw: np.random.Generator) -> str:
    """Return a name that no voice has."""
    letters = list(string.ascii_lowercase + "_")
    return "".join(draw.choice(letters, size=int(draw.integers(3, 13))))


def batches(rows: Rows, clips: np.ndarray, budget: int, unnamed: float, draw: np.random.Generator) -> Iterator[Any]:
    """Yield ids and labels ``[B, L]`` for one pass: clips of like length together, some ``budget`` tokens."""
    lengths = np.array([len(rows.frames[clip]) for clip in clips]) + draw.uniform(-3, 3, len(clips))
    order = clips[np.argsort(lengths)]
    packs: list[list[tuple[list[int], int]]] = []
    pack: list[tuple[list[int], int]] = []
    for clip in order:
        voice = nobody(draw) if draw.random() < unnamed else rows.voices[clip]
        pack.append(rows.row(int(clip), voice))
        if max(len(ids) for ids, _ in pack) * len(pack) >= budget:
            packs.append(pack)
            pack = []
    if pack:
        packs.append(pack)
    for place in draw.permutation(len(packs)):
        yield padded(packs[place], rows.layout.pad)


def padded(pack: list[tuple[list[int], int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-pad; the prompt is not learned."""
    length = -(-max(len(ids) for ids, _ in pack) // 16) * 16
    ids = torch.full((len(pack), length), pad)
    labels = torch.full((len(pack), length), -100)
    for place, (row, prompt) in enumerate(pack):
        ids[place, : len(row)] = torch.tensor(row)
        labels[place, prompt : len(row)] = torch.tensor(row[prompt:])
    return ids, labels


def loss_of(network: nn.Module, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy at the labelled places, in float32. Causal, so padding on the right needs no mask."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = network.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        wanted = labels[:, 1:]
        kept = wanted != -100
        logits = network.lm_head(hidden[kept])
    return nn.functional.cross_entropy(logits.float(), wanted[kept])


def validation(network: nn.Module, rows: Rows, clips: np.ndarray, budget: int) -> float:
    """Mean loss over clips that are not trained on."""
    draw = np.random.default_rng(0)
    network.eval()
    with torch.no_grad():
        losses = [float(loss_of(network, *batch)) for batch in batches(rows, clips, budget, 0.0, draw)]
    network.train()
    return float(np.mean(losses))


def main() -> None:
    """Train for so many tokens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("codes", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--codebook", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--budget", type=int, default=4096, help="tokens in a batch")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--unnamed", type=float, default=0.15, help="share of rows whose name nobody has")
    parser.add_argument("--held", type=int, default=128, help="clips for validation")
    parser.add_argument("--decay", type=float, default=0.998, help="of the average of weights")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(asked.seed)
    rows = Rows(asked.codes, asked.codebook)
    order = np.random.default_rng(1).permutation(len(rows))
    held, clips = order[: asked.held], order[asked.held :]
    network = LlamaForCausalLM(LlamaConfig(vocab_size=rows.vocabulary, attn_implementation="sdpa", **SHAPE))
    average = {name: value.detach().clone() for name, value in network.named_parameters()}
    matrices = [p for p in network.parameters() if p.ndim > 1]
    rest = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=asked.rate, betas=(0.9, 0.98), fused=True)
    state, step, epoch = asked.out / "language.pt", 0, 0
    if state.exists():
        kept = torch.load(state, weights_only=True)
        network.load_state_dict(kept["network"])
        optimizer.load_state_dict(kept["optimizer"])
        average, step, epoch = kept["average"], kept["step"], kept["epoch"]
    print(f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters, {len(clips)} clips", flush=True)
    log = (asked.out / "language.jsonl").open("a", encoding="utf-8")
    began, sums, tokens = time.perf_counter(), [], 0
    while step < asked.steps:
        draw = np.random.default_rng([asked.seed, epoch])
        for ids, labels in batches(rows, clips, asked.budget, asked.unnamed, draw):
            pace = min(1.0, (step + 1) / 200) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * step / asked.steps)))
            for group in optimizer.param_groups:
                group["lr"] = float(asked.rate * pace)
            loss = loss_of(network, ids, labels)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            step += 1
            for name, value in network.named_parameters():
                average[name].lerp_(value.detach(), 1 - min(asked.decay, step / (step + 10)))
            sums.append(loss.item())
            tokens += int((labels != -100).sum())
            if step % 50 == 0:
                row = {"step": step, "epoch": epoch, "seconds": round(time.perf_counter() - began)}
                row |= {"loss": round(float(np.mean(sums)), 4), "tokens": tokens}
                if step % 250 == 0:
                    own = {name: value.detach().clone() for name, value in network.named_parameters()}
                    network.load_state_dict(average, strict=False)
                    row["validation"] = round(validation(network, rows, held, asked.budget), 4)
                    network.load_state_dict(own, strict=False)
                    kept = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "average": average}
                    torch.save(kept | {"step": step, "epoch": epoch}, state.with_suffix(".tmp"))
                    state.with_suffix(".tmp").replace(state)
                print(json.dumps(row), file=log, flush=True)
                print(row, flush=True)
                sums = []
            if step >= asked.steps:
                break
        epoch += 1


if __name__ == "__main__":
    main()
