"""Train SNAC's decoder on frozen codes: ``python tools/nano/train_decoder.py CORPUS OUT``; OUT holds encoder.pt.

Crops go through the frozen encoder and quantisers, some of them bent to other speakers, and the decoder is held to
their spectra at four resolutions. After ``--adversary`` steps small networks that look at spectra join, and tell real
from decoded: they take away the buzz that mean spectra leave. The state is kept in OUT/decoder.pt and taken up again;
its average of weights is what is shipped.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from compiled import fast
from corpus import Corpus
from snac import SNAC
from spectra import distance, window_of
from torch import nn
from torch.nn import functional as F
from train_encoder import CODEC, awaken


class SpectrumDiscriminator(nn.Module):
    """Discriminator on the compressed complex spectrum of one resolution: ``[B, samples]`` to scores and features."""

    def __init__(self, size: int, width: int = 16) -> None:
        super().__init__()
        self.size = size
        strides = ((1, 1), (2, 1), (2, 2), (2, 1))
        channels = (2, width, width, 2 * width, 2 * width)
        self.layers = nn.ModuleList(
            nn.utils.parametrizations.weight_norm(nn.Conv2d(a, b, (5, 3), stride=stride, padding=(2, 1)))
            for a, b, stride in zip(channels, channels[1:], strides, strict=False)
        )
        self.last = nn.Conv2d(channels[-1], 1, (3, 3), padding=1)

    def forward(self, sound: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the scores and the inner features."""
        spectrum = torch.stft(
            sound, self.size, self.size // 4, window=window_of(self.size), pad_mode="constant", return_complex=True
        )
        parts = torch.stack([spectrum.real, spectrum.imag], dim=1)[:, :, 1:]  # (B, 2, size / 2, T)
        loud = parts.square().sum(1, keepdim=True).add(1e-6).sqrt()
        x = parts * loud.pow(-0.6)
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.1)
            features.append(x)
        return self.last(x), features


class Judges(nn.Module):
    """Discriminators at two resolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.each = nn.ModuleList([SpectrumDiscriminator(1024), SpectrumDiscriminator(256)])

    def against(self, real: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        """Return the least-squares loss of the discriminators."""
        losses = [(1 - judge(real)[0]).square().mean() + judge(made)[0].square().mean() for judge in self.each]
        return torch.stack(losses).mean()

    def of_decoder(self, real: torch.Tensor, made: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the adversarial loss and the feature-matching loss of the decoder."""
        fooled, alike = torch.zeros(()), torch.zeros(())
        for judge in self.each:
            score, ours = judge(made)
            with torch.no_grad():
                theirs = judge(real)[1]
            fooled = fooled + (1 - score).square().mean()
            for a, b in zip(ours, theirs, strict=True):
                alike = alike + (a - b).abs().mean() / b.abs().mean().clamp(min=1e-3)
        return fooled / len(self.each), alike / (4 * len(self.each))


def main() -> None:
    """Train the decoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--more", type=Path, nargs="*", default=[])
    parser.add_argument("--crops", type=int, default=2, help="number of crops of a batch that come from --more")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--adversary", type=int, default=10**9, help="step from which the discriminators are used")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--samples", type=int, default=32_768)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--decay", type=float, default=0.998)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    torch.manual_seed(asked.seed)
    corpus = Corpus(sorted(path for path in asked.corpus.iterdir() if path.is_dir()))
    more = Corpus(asked.more, level=True)
    codec = SNAC(**CODEC)
    codec.load_state_dict(torch.load(asked.out / "encoder.pt", weights_only=True)["codec"])
    codec.encoder.requires_grad_(False)
    codec.quantizer.requires_grad_(False)
    state, step = asked.out / "decoder.pt", 0
    awaken(codec.decoder, 1.0)
    judges = Judges()
    encode, decode = fast(codec.encoder), fast(codec.decoder)
    optimizer = torch.optim.AdamW(codec.decoder.parameters(), lr=asked.rate, betas=(0.8, 0.98), weight_decay=1e-4)
    against = torch.optim.AdamW(judges.parameters(), lr=asked.rate, betas=(0.8, 0.98))
    if state.exists():
        kept = torch.load(state, weights_only=True)
        codec.decoder.load_state_dict(kept["decoder"])
        judges.load_state_dict(kept["judges"])
        optimizer.load_state_dict(kept["optimizer"])
        against.load_state_dict(kept["against"])
        step = kept["step"]
    average = {name: value.detach().clone() for name, value in codec.decoder.named_parameters()}
    if state.exists():
        average = kept["average"]
    log = (asked.out / "decoder.jsonl").open("a", encoding="utf-8")
    began, sums = time.perf_counter(), np.zeros(5)
    while step < asked.steps:
        draw = np.random.default_rng([asked.seed, step])
        pace = min(1.0, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * step / asked.steps)))
        for group in [*optimizer.param_groups, *against.param_groups]:
            group["lr"] = float(asked.rate * pace)
        some, _ = corpus.crops(asked.batch - asked.crops, asked.samples, draw, 0.3)
        other, _ = more.crops(asked.crops, asked.samples, draw, 0.3)
        sound = torch.cat([some, other])
        with torch.no_grad():
            latents, _ = codec.quantizer(encode(sound[:, None]))
        made = decode(latents)[:, 0]
        mel, spectral = distance(made, sound)
        loss = mel + 0.3 * spectral
        values = [mel.item(), spectral.item(), 0.0, 0.0, 0.0]
        if step >= asked.adversary:
            judged = judges.against(sound, made.detach())
            against.zero_grad()
            judged.backward()
            against.step()
            fooled, alike = judges.of_decoder(sound, made)
            share = min(1.0, (step - asked.adversary) / 300)
            loss = loss + share * (0.1 * fooled + 0.3 * alike)
            values[2:] = [judged.item(), fooled.item(), alike.item()]
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(codec.decoder.parameters(), 1.0)
        optimizer.step()
        step += 1
        for name, value in codec.decoder.named_parameters():
            average[name].lerp_(value.detach(), 1 - min(asked.decay, step / (step + 10)))
        sums += values
        if step % 50 == 0:
            names = ("mel", "spectral", "judged", "fooled", "alike")
            row = {"step": step, "seconds": round(time.perf_counter() - began)}
            row |= dict(zip(names, (sums / 50).round(4).tolist(), strict=True))
            print(json.dumps(row), file=log, flush=True)
            print(row, flush=True)
            sums[:] = 0
        if step % 250 == 0 or step == asked.steps:
            kept = {"decoder": codec.decoder.state_dict(), "judges": judges.state_dict(), "average": average}
            kept |= {"optimizer": optimizer.state_dict(), "against": against.state_dict(), "step": step}
            torch.save(kept, state.with_suffix(".tmp"))
            state.with_suffix(".tmp").replace(state)


if __name__ == "__main__":
    main()
