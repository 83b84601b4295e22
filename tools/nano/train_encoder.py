"""Train SNAC's encoder and quantisers on spectra and phones: ``python tools/nano/train_encoder.py CORPUS OUT``.

Waveforms are what a codec is slow to learn. So the encoder learns first, through a small head that reads log-mel
spectra off the quantised latents: after it the codes stand, and the language model can be trained on them while the
decoder (train_decoder.py) learns to sound. Quantisation sets in after a warm-up, from k-means over the latents; unused
codes are taken to places where there are latents. The state is kept in OUT/encoder.pt and taken up again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compiled import fast
from corpus import PHONES, SAMPLES_PER_LATENT, Corpus
from snac import SNAC
from spectra import MIN_MAGNITUDE, log_mel, magnitudes
from torch import nn
from torch.nn import functional as F

CODEC = {
    "sampling_rate": 24_000,
    "encoder_dim": 16,
    "encoder_rates": [8, 4, 4, 4],
    "decoder_dim": 256,
    "decoder_rates": [4, 4, 4, 8],
    "attn_window_size": None,
    "codebook_size": 1024,
    "codebook_dim": 8,
    "vq_strides": [4, 2, 1],
    "noise": False,
    "depthwise": False,
}
PER_LATENT = 4
"""Frames of the mel spectrum per latent of 512 samples."""
FINE_BANDS, COARSE_BANDS = 80, 64
"""Bands of the spectrum that shows harmonics (window of 43 ms), and of the spectrum that shows formants (16 ms)."""
LOW_BINS = 96
"""Linear bins of a long window, up to 1,125 Hz: the harmonics that show a voice's pitch."""
LOSS_WEIGHTS = {"fine": 0.5, "coarse": 1.0, "low": 0.1, "phone": 0.6}
"""Weights of the losses. A codec learns harmonics by itself; formants make the words; see README.md."""


class SpectrumHead(nn.Module):
    """Predicts from latents ``[B, C, T]``: spectra ``[B, bands, 4 * T]``, low harmonics, and phones."""

    def __init__(self, channels: int, width: int = 384) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(channels, width, 5, padding=2),
            nn.GELU(),
            nn.Conv1d(width, width, 5, padding=2),
            nn.GELU(),
        )
        self.fine = nn.Conv1d(width, FINE_BANDS * PER_LATENT, 1)
        self.coarse = nn.Conv1d(width, COARSE_BANDS * PER_LATENT, 1)
        self.low = nn.Conv1d(width, LOW_BINS, 1)
        # From the latents themselves and their neighbours: what is said shall stand in the codes of its own place.
        self.phone = nn.Sequential(nn.Conv1d(channels, 128, 3, padding=1), nn.GELU(), nn.Conv1d(128, len(PHONES), 1))

    def forward(self, latents: torch.Tensor) -> dict[str, torch.Tensor]:
        """Predict spectra, harmonics and phones."""
        hidden = self.body(latents)
        return {
            "fine": _spread(self.fine(hidden), FINE_BANDS),
            "coarse": _spread(self.coarse(hidden), COARSE_BANDS),
            "low": self.low(hidden),
            "phone": self.phone(latents),
        }


def _spread(frames: torch.Tensor, bands: int) -> torch.Tensor:
    """Reshape ``[B, bands * 4, T]`` to ``[B, bands, 4 * T]``, in the order of time."""
    batch, _, length = frames.shape
    return frames.reshape(batch, bands, PER_LATENT, length).transpose(2, 3).reshape(batch, bands, -1)


def targets(sound: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the spectra that the head should predict; each frame is centred in its part of the sound."""
    step = SAMPLES_PER_LATENT // PER_LATENT
    length = sound.shape[-1]
    shifted = F.pad(sound[:, step // 2 :], (0, step // 2))
    middle = F.pad(sound[:, SAMPLES_PER_LATENT // 2 :], (0, SAMPLES_PER_LATENT // 2))
    return {
        "fine": log_mel(shifted, 1024, step, FINE_BANDS)[..., : length // step],
        "coarse": log_mel(shifted, 384, step, COARSE_BANDS)[..., : length // step],
        "low": torch.log(
            magnitudes(middle, 2048, SAMPLES_PER_LATENT)[:, :LOW_BINS, : length // SAMPLES_PER_LATENT] + MIN_MAGNITUDE
        ),
    }


def losses_of(
    predicted: dict[str, torch.Tensor], targets: dict[str, torch.Tensor], phones: torch.Tensor
) -> dict[str, Any]:
    """Return the mean absolute differences of the spectra, and the cross entropy of the known phones."""
    losses: dict[str, Any] = {name: (predicted[name] - targets[name]).abs().mean() for name in targets}
    known = phones != -100
    losses["phone"] = F.cross_entropy(predicted["phone"].transpose(1, 2)[known], phones[known])
    return losses


class Quantisers:
    """Learns the codebooks of SNAC's quantisers by moving averages; gradients pass straight through."""

    def __init__(self, codec: SNAC, decay: float = 0.98) -> None:
        self.books = codec.quantizer.quantizers
        self.decay = decay
        self.counts = [torch.ones(book.codebook_size) for book in self.books]
        self.sums = [book.codebook.weight.detach().clone() for book in self.books]

    def initialise(self, latents: torch.Tensor, draw: torch.Generator) -> None:
        """Initialise projections to the principal axes of the residuals ``[B, C, T]``, and codes to their means."""
        residual = latents
        for level, book in enumerate(self.books):
            pooled = F.avg_pool1d(residual, book.stride, book.stride) if book.stride > 1 else residual
            flat = pooled.transpose(1, 2).reshape(-1, pooled.shape[1])  # (N, C)
            mean = flat.mean(0)
            _, _, axes = torch.linalg.svd(flat - mean, full_matrices=False)
            axes = axes[: book.codebook_dim]  # (D, C)
            scale = ((flat - mean) @ axes.T).std()
            _set(book.in_proj, axes / scale, -(axes / scale) @ mean)
            _set(book.out_proj, axes.T * scale, mean)
            points = (flat - mean) @ axes.T / scale
            book.codebook.weight.data.copy_(_means(points, book.codebook_size, draw))
            self.counts[level].fill_(1.0)
            self.sums[level] = book.codebook.weight.detach().clone()
            quantised, _ = book(residual)
            residual = residual - quantised

    def __call__(self, latents: torch.Tensor, learn: bool) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        """Quantise latents ``[B, C, T]``; return the result, the commitment loss, and the codes of each level."""
        total, residual, commitment = torch.zeros(()), latents, torch.zeros(())
        codes = []
        for level, book in enumerate(self.books):
            pooled = F.avg_pool1d(residual, book.stride, book.stride) if book.stride > 1 else residual
            inner = book.in_proj(pooled)
            chosen, index = book.decode_latents(inner)
            commitment = commitment + F.mse_loss(inner, chosen.detach())
            if learn:
                self._learn(level, inner.detach(), index)
            passed = book.out_proj(inner + (chosen - inner).detach())
            if book.stride > 1:
                passed = passed.repeat_interleave(book.stride, dim=-1)
            total, residual = total + passed, residual - passed
            codes.append(index)
        return total, commitment, codes

    def _learn(self, level: int, inner: torch.Tensor, index: torch.Tensor) -> None:
        points = inner.transpose(1, 2).reshape(-1, inner.shape[1])
        chosen = F.one_hot(index.reshape(-1), self.books[level].codebook_size).float()  # (N, K)
        self.counts[level].mul_(self.decay).add_(chosen.sum(0), alpha=1 - self.decay)
        self.sums[level].mul_(self.decay).add_(chosen.T @ points, alpha=1 - self.decay)
        dead = self.counts[level] < 0.02 * self.counts[level].mean()
        if dead.any():
            taken = points[torch.randint(len(points), (int(dead.sum()),))]
            self.sums[level][dead] = taken * 0.3 * self.counts[level].mean()
            self.counts[level][dead] = 0.3 * self.counts[level].mean()
        self.books[level].codebook.weight.data.copy_(self.sums[level] / self.counts[level][:, None])


def _set(projection: nn.Module, weight: torch.Tensor, bias: torch.Tensor) -> None:
    projection.weight = weight[..., None]  # weight norm splits it
    projection.bias.data.copy_(bias)


def _means(points: torch.Tensor, count: int, draw: torch.Generator, rounds: int = 12) -> torch.Tensor:
    """k-means by angle, as SNAC looks codes up; a mean keeps its own length."""
    means = points[torch.randperm(len(points), generator=draw)[:count]].clone()
    for _ in range(rounds):
        near = (F.normalize(points) @ F.normalize(means).T).argmax(1)
        sums = torch.zeros_like(means).index_add_(0, near, points)
        counts = torch.zeros(count).index_add_(0, near, torch.ones(len(points)))
        empty = counts == 0
        means = sums / counts.clamp(min=1)[:, None]
        means[empty] = points[torch.randint(len(points), (int(empty.sum()),), generator=draw)]
    return means


def awaken(stack: nn.Module, gain: float) -> None:
    """Scale fresh convolutions so that activations keep a spread of about one, where Snake bends.

    torch's own initial weights shrink what passes by 0.58 a layer, and speech comes in at 0.1: the stack would be
    linear, and a linear stack hears no spectrum.
    """
    convolutions = [m for m in stack.modules() if isinstance(m, nn.Conv1d | nn.ConvTranspose1d)]
    for index, convolution in enumerate(convolutions):
        ends_residual = convolution.kernel_size == (1,)
        convolution.weight = convolution.weight.detach() * (gain if index == 0 else 0.5 if ends_residual else 1.5)


def main() -> None:
    """Train until the hour is over or the steps are done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, help="folder with a folder for each voice")
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--more", type=Path, nargs="*", default=[], help="further folders of clips, which are brought to one level"
    )
    parser.add_argument("--crops", type=int, default=4, help="number of crops of a batch that come from --more")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--warmup", type=int, default=400, help="number of steps before the quantisers are used")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--samples", type=int, default=32_768)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--start", type=Path, help="encoder of an earlier training, from which this training starts")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(asked.seed)
    draw = np.random.default_rng(asked.seed)
    corpus = Corpus(sorted(path for path in asked.corpus.iterdir() if path.is_dir()))
    more = Corpus(asked.more, level=True)
    print(f"{corpus.seconds / 60:.0f} and {more.seconds / 60:.0f} minutes", flush=True)
    codec = SNAC(**CODEC)
    head = SpectrumHead(codec.latent_dim)
    quantise = Quantisers(codec)
    awaken(codec.encoder, 12.0)
    encode = fast(codec.encoder)
    quantisers = [value for name, value in codec.quantizer.named_parameters() if not name.endswith("codebook.weight")]
    parameters = [*codec.encoder.parameters(), *quantisers, *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=asked.rate, betas=(0.9, 0.98), weight_decay=1e-4)
    state, first = asked.out / "encoder.pt", 0
    if asked.start is not None:
        before = torch.load(asked.start, weights_only=True)["codec"]
        ours = {name: value for name, value in before.items() if name.startswith("encoder.")}
        codec.load_state_dict(ours, strict=False)
    if state.exists():
        kept = torch.load(state, weights_only=True)
        codec.load_state_dict(kept["codec"])
        head.load_state_dict(kept["head"])
        optimizer.load_state_dict(kept["optimizer"])
        quantise.counts, quantise.sums, first = kept["counts"], kept["sums"], kept["step"]
    log = (asked.out / "encoder.jsonl").open("a", encoding="utf-8")
    began, sums = time.perf_counter(), np.zeros(5)
    for step in range(first, asked.steps):
        pace = min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * step / asked.steps)))
        for group in optimizer.param_groups:
            group["lr"] = float(asked.rate * pace)
        crops = corpus.crops(asked.batch - asked.crops, asked.samples, draw, 0.3, 0.3)
        further_crops = more.crops(asked.crops, asked.samples, draw, 0.3, 0.5)
        sound, phones = (torch.cat(pair) for pair in zip(crops, further_crops, strict=True))
        latents = encode(sound[:, None])
        if step == asked.warmup:
            with torch.no_grad():
                crops = [corpus.crops(8, asked.samples, draw, 0.3)[0] for _ in range(16)]
                many = torch.cat([codec.encoder(crop[:, None]) for crop in crops])
                quantise.initialise(many, torch.Generator().manual_seed(asked.seed))
        commitment, codes = torch.zeros(()), []
        if step >= asked.warmup:
            latents, commitment, codes = quantise(latents, learn=True)
        losses = losses_of(head(latents), targets(sound), phones)
        loss = sum(weight * losses[name] for name, weight in LOSS_WEIGHTS.items()) + 0.1 * commitment
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        sums += [*(losses[name].item() for name in LOSS_WEIGHTS), float(commitment)]
        if (step + 1) % 50 == 0:
            used = [len(level.unique()) for level in codes]
            row = {"step": step + 1, "seconds": round(time.perf_counter() - began)}
            row |= dict(zip((*LOSS_WEIGHTS, "commitment"), (sums / 50).round(4).tolist(), strict=True)) | {
                "codes": used
            }
            print(json.dumps(row), file=log, flush=True)
            print(row, flush=True)
            sums[:] = 0
        if (step + 1) % 500 == 0 or step + 1 == asked.steps:
            kept = {"codec": codec.state_dict(), "head": head.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(kept | {"counts": quantise.counts, "sums": quantise.sums, "step": step + 1}, state)


if __name__ == "__main__":
    main()
