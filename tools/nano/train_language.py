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
from typing import NamedTuple

import numpy as np
import torch
from guide import Guidance, Guide, guidance
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from vtune_orpheus.layout import Layout, derive_layout
from vtune_orpheus.prompts import end_ids, prompt_ids, prompt_text
from vtune_orpheus.tiny_checkpoint import build_tokenizer

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


CODE_WEIGHTS = torch.tensor([2.2, 1.3, 0.6, 0.6, 1.3, 0.6, 0.6])
"""Weights of a frame's seven codes in the loss: the coarse codes carry the words, the fine ones most of the loss."""


class PackRow(NamedTuple):
    """Token ids, the length of the prompt, the start and end of the text, and the guidance of each code."""

    ids: list[int]
    prompt: int
    first: int
    last: int
    said: Guidance


class TrainingRows:
    """Clips as codes, and the training rows made from them."""

    def __init__(self, folder: Path, codebook: int) -> None:
        self.tokenizer = build_tokenizer(codebook)
        self.vocabulary = -(-len(self.tokenizer) // 8) * 8
        config = {"vq_strides": [4, 2, 1], "codebook_size": codebook}
        self.layout: Layout = derive_layout(self.tokenizer, config, self.vocabulary, "nano")
        with np.load(folder / "codes.npz") as kept:
            self.frames = np.split(kept["frames"].astype(np.int64), kept["ends"][:-1])  # (T, 7) each
        table = json.loads((folder / "clips.json").read_text(encoding="utf-8"))
        self.texts, self.voices = table["texts"], table["voices"]
        spoken_like = zip(self.texts, table["phones"], self.frames, strict=True)
        self.guidance = [guidance(text, phones, len(frames)) for text, phones, frames in spoken_like]

    def row(self, clip: int, voice: str) -> PackRow:
        """Return the training row of a clip, in the layout of the engine."""
        text = self.texts[clip]
        prompt = prompt_ids(self.tokenizer, self.layout, prompt_text(text, voice, prefix=True))
        offsets = self.layout.audio + np.arange(7) * self.layout.codebook
        ids = [*prompt, *(self.frames[clip] + offsets).reshape(-1).tolist(), *end_ids(self.layout)]
        first = prompt.index(self.layout.end_of_text) - len(text)  # a token a letter
        return PackRow(ids, len(prompt), first, first + len(text) - 1, self.guidance[clip])

    def __len__(self) -> int:
        return len(self.frames)


def nobody(draw: np.random.Generator) -> str:
    """Return a random name that no voice has."""
    letters = list(string.ascii_lowercase + "_")
    return "".join(draw.choice(letters, size=int(draw.integers(3, 13))))


class Batch(NamedTuple):
    """Token ids, labels, wanted letters and phones, all ``[B, L]``; start and end of the texts, ``[B]``."""

    ids: torch.Tensor
    labels: torch.Tensor
    letters: torch.Tensor
    phones: torch.Tensor
    first: torch.Tensor
    last: torch.Tensor


def batches(
    rows: TrainingRows, clips: np.ndarray, budget: int, unnamed: float, draw: np.random.Generator
) -> Iterator[Batch]:
    """Yield the batches of one pass: clips of similar length together, about ``budget`` tokens each."""
    lengths = np.array([len(rows.frames[clip]) for clip in clips]) + draw.uniform(-3, 3, len(clips))
    order = clips[np.argsort(lengths)]
    packs: list[list[PackRow]] = []
    pack: list[PackRow] = []
    for clip in order:
        voice = nobody(draw) if draw.random() < unnamed else rows.voices[clip]
        pack.append(rows.row(int(clip), voice))
        if max(len(row.ids) for row in pack) * len(pack) >= budget:
            packs.append(pack)
            pack = []
    if pack:
        packs.append(pack)
    for index in draw.permutation(len(packs)):
        yield padded(packs[index], rows.layout.pad)


def blurred(batch: Batch, layout: Layout, share: float, draw: np.random.Generator) -> Batch:
    """Replace some input codes by others of the same slot, so that the network has to read the text."""
    codes = (batch.ids >= layout.audio) & torch.from_numpy(draw.random(batch.ids.shape) < share)
    within = torch.from_numpy(draw.integers(layout.codebook, size=batch.ids.shape))
    slots = (batch.ids - layout.audio) // layout.codebook
    return batch._replace(ids=torch.where(codes, layout.audio + slots * layout.codebook + within, batch.ids))


def padded(pack: list[PackRow], pad: int) -> Batch:
    """Pad rows on the right; the prompt has no labels. Each position is led to the letter of the next code."""
    length = -(-max(len(row.ids) for row in pack) // 16) * 16
    ids = torch.full((len(pack), length), pad)
    labels = torch.full((len(pack), length), -100)
    letters = torch.full((len(pack), length), torch.nan)
    phones = torch.full((len(pack), length), -100)
    for index, row in enumerate(pack):
        ids[index, : len(row.ids)] = torch.tensor(row.ids)
        labels[index, row.prompt : len(row.ids)] = torch.tensor(row.ids[row.prompt :])
        codes = slice(row.prompt - 1, row.prompt - 1 + len(row.said.letters))
        letters[index, codes] = torch.from_numpy(row.first + row.said.letters)
        phones[index, codes] = torch.from_numpy(row.said.phones)
    return Batch(
        ids, labels, letters, phones, *(torch.tensor(ends) for ends in zip(*(row[2:4] for row in pack), strict=True))
    )


def loss_of(network: nn.Module, batch: Batch, weights: torch.Tensor) -> torch.Tensor:
    """Return the weighted mean cross entropy at the labels, in float32; causal, so right padding needs no mask.

    :param weights: of each token of the vocabulary, ``[V]``.
    """
    with torch.autocast("cpu", torch.bfloat16):
        hidden = network.model(input_ids=batch.ids, use_cache=False).last_hidden_state[:, :-1]
        targets = batch.labels[:, 1:]
        kept = targets != -100
        logits = network.lm_head(hidden[kept])
    losses = nn.functional.cross_entropy(logits.float(), targets[kept], reduction="none")
    of_each = weights[targets[kept]]
    return (losses * of_each).sum() / of_each.sum()


def weights_of(layout: Layout, vocabulary: int) -> torch.Tensor:
    """Return the weights of the vocabulary, ``[V]``: codes by their slot, everything else 1."""
    weights = torch.ones(vocabulary)
    weights[layout.audio : layout.audio_end] = CODE_WEIGHTS.repeat_interleave(layout.codebook)
    return weights


def validation(network: nn.Module, rows: TrainingRows, clips: np.ndarray, budget: int) -> float:
    """Return the mean loss over clips that are not trained on."""
    draw = np.random.default_rng(0)
    network.eval()
    with torch.no_grad():
        alike = torch.ones(rows.vocabulary)
        losses = [float(loss_of(network, batch, alike)) for batch in batches(rows, clips, budget, 0.0, draw)]
    network.train()
    return float(np.mean(losses))


def main() -> None:
    """Train until a number of tokens has been read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("codes", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--codebook", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--budget", type=int, default=4096, help="number of tokens in a batch")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument(
        "--lead", type=float, default=0.3, help="weight of the losses that guide the attention to letters and phones"
    )
    parser.add_argument(
        "--blur",
        type=float,
        default=0.2,
        help="share of the input codes that are replaced by other codes, at the beginning",
    )
    parser.add_argument("--unnamed", type=float, default=0.15, help="share of rows with a name that no voice has")
    parser.add_argument("--held", type=int, default=128, help="number of clips for validation")
    parser.add_argument("--decay", type=float, default=0.998, help="decay of the moving average of the weights")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(asked.seed)
    rows = TrainingRows(asked.codes, asked.codebook)
    order = np.random.default_rng(1).permutation(len(rows))
    held, clips = order[: asked.held], order[asked.held :]
    network = LlamaForCausalLM(LlamaConfig(vocab_size=rows.vocabulary, attn_implementation="sdpa", **SHAPE))
    guide, weights = Guide(network), weights_of(rows.layout, rows.vocabulary)
    average = {name: value.detach().clone() for name, value in network.named_parameters()}
    matrices = [p for p in network.parameters() if p.ndim > 1]
    rest = [p for p in network.parameters() if p.ndim <= 1] + list(guide.parameters())
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=asked.rate, betas=(0.9, 0.98), fused=True)
    state, step, epoch = asked.out / "language.pt", 0, 0
    if state.exists():
        kept = torch.load(state, weights_only=True)
        network.load_state_dict(kept["network"])
        guide.load_state_dict(kept["guide"])
        optimizer.load_state_dict(kept["optimizer"])
        average, step, epoch = kept["average"], kept["step"], kept["epoch"]
    print(f"{sum(p.numel() for p in network.parameters()) / 1e6:.2f} M parameters, {len(clips)} clips", flush=True)
    log = (asked.out / "language.jsonl").open("a", encoding="utf-8")
    began, sums, tokens = time.perf_counter(), [], 0
    while step < asked.steps:
        draw = np.random.default_rng([asked.seed, step])  # taken up again, a pass has another order: none comes twice
        for batch in batches(rows, clips, asked.budget, asked.unnamed, draw):
            pace = min(1.0, (step + 1) / 200) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * step / asked.steps)))
            for group in optimizer.param_groups:
                group["lr"] = float(asked.rate * pace)
            blur = asked.blur * (1 - step / asked.steps)
            loss = loss_of(network, blurred(batch, rows.layout, blur, draw), weights)
            astray, unsaid = guide.astray(batch.letters, batch.first, batch.last), guide.unsaid(batch.phones)
            optimizer.zero_grad()
            (loss + asked.lead * (astray + unsaid)).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            step += 1
            for name, value in network.named_parameters():
                average[name].lerp_(value.detach(), 1 - min(asked.decay, step / (step + 10)))
            sums.append((loss.item(), astray.item(), unsaid.item()))
            tokens += int((batch.labels != -100).sum())
            if step % 50 == 0:
                row = {"step": step, "epoch": epoch, "seconds": round(time.perf_counter() - began)}
                row |= dict(zip(("loss", "astray", "unsaid"), np.mean(sums, axis=0).round(4).tolist(), strict=True))
                row["tokens"] = tokens
                if step % 250 == 0 or step == asked.steps:
                    own = {name: value.detach().clone() for name, value in network.named_parameters()}
                    network.load_state_dict(average, strict=False)
                    row["validation"] = round(validation(network, rows, held, asked.budget), 4)
                    network.load_state_dict(own, strict=False)
                    kept = {
                        "network": network.state_dict(),
                        "guide": guide.state_dict(),
                        "optimizer": optimizer.state_dict(),
                        "average": average,
                    }
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
