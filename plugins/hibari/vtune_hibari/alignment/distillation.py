"""Make the classifier of a base from the base's own speech, once for all voices of this base."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn import functional

import vtune
from vtune.runtime.device import pick_precision
from vtune_hibari.alignment.classifier import SymbolClassifier
from vtune_hibari.alignment.readings import Reading, lexicon_words, read_aloud
from vtune_hibari.alignment.spectra import LOWEST
from vtune_hibari.network.settings import STEP_FRAMES
from vtune_hibari.network.voice import HibariNetwork

logger = logging.getLogger(__name__)

VERSION = 2
"""To be raised when the same settings make another classifier."""

WEIGHTS_FILE = "classifier.safetensors"
SHIPPED = Path(__file__).parent / "heart.safetensors"
"""The classifier of the voice heart."""

_COUNTS = "symbol_counts"
_FINGERPRINT = "base"
_IGNORED = -100
_LABEL_SMOOTHING = 0.02
_MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True, slots=True)
class Distillation:
    """How a classifier is made.

    :param readings: kept at a time; ``new_readings`` of them are replaced by new ones every ten steps.
    :param crop_steps: length of the pieces that are learned from, in steps of 25 ms.
    """

    steps: int
    readings: int = 100
    new_readings: int = 3
    crops: int = 12
    crop_steps: int = 80
    learning_rate: float = 2e-3
    seed: int = 0


@dataclass(frozen=True, slots=True)
class HearsSymbols:
    """A classifier, and how often it has met each symbol, float32 ``[symbols]``."""

    classifier: SymbolClassifier
    counts: torch.Tensor


def find_classifier(network: HibariNetwork, fingerprint: str, distillation: Distillation) -> HearsSymbols:
    """Return the classifier of a base; it is made on first use, and kept in the user's cache.

    :param network: the untuned base.
    :param fingerprint: of the base's file.
    """
    facts = (VERSION, fingerprint, sorted(asdict(distillation).items()))
    name = f"aligner-{sha256(repr(facts).encode()).hexdigest()[:16]}"

    def build(folder: Path) -> None:
        save_classifier(distil(network, distillation), folder / WEIGHTS_FILE, fingerprint)

    return load_classifier(vtune.toolkit.build_once("hibari", name, build, WEIGHTS_FILE) / WEIGHTS_FILE)


def shipped_classifier(fingerprint: str) -> HearsSymbols | None:
    """Return the classifier of a base that comes with vtune (`tools/hibari/aligner.py`); None: there is none.

    :param fingerprint: of the base's file.
    """
    with safe_open(SHIPPED, framework="pt") as file:
        if (file.metadata() or {}).get(_FINGERPRINT) != fingerprint:
            return None
    return load_classifier(SHIPPED)


def save_classifier(hears: HearsSymbols, path: Path, fingerprint: str) -> None:
    """Write a classifier in half precision, with the fingerprint of its base's file."""
    tensors = {name: tensor.half().contiguous() for name, tensor in hears.classifier.state_dict().items()}
    save_file({**tensors, _COUNTS: hears.counts}, path, {_FINGERPRINT: fingerprint})


def load_classifier(path: Path) -> HearsSymbols:
    """Read what `save_classifier` wrote."""
    tensors = load_file(path)
    counts = tensors.pop(_COUNTS)
    classifier = SymbolClassifier(len(counts))
    classifier.load_state_dict(tensors)
    return HearsSymbols(classifier.requires_grad_(False).eval(), counts)


def distil(network: HibariNetwork, distillation: Distillation, words: Sequence[str] | None = None) -> HearsSymbols:
    """Teach a new classifier with the base's own speech; torch's random numbers stay as they are.

    :param words: phonemes of words; by default those of the package's lexicon.
    """
    words = words or lexicon_words()
    random = np.random.default_rng(distillation.seed)
    logger.info(
        "The base gets an aligner, which hears when each symbol is spoken. It is made of the base's own speech, "
        "once for all voices of this base"
    )
    readings = [read_aloud(network, random, words) for _ in range(distillation.readings)]
    counts = torch.zeros(network.settings.symbols)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(distillation.seed)
        classifier = SymbolClassifier(network.settings.symbols)
    optimizer = torch.optim.AdamW(classifier.parameters(), distillation.learning_rate, (0.9, 0.98))
    right: list[float] = []
    for step in range(distillation.steps):
        if step % 10 == 0 and step:
            for index in random.integers(len(readings), size=distillation.new_readings):
                readings[index] = read_aloud(network, random, words)
        for group in optimizer.param_groups:
            group["lr"] = distillation.learning_rate * _share_of_rate(step, distillation.steps)
        mels, symbols = _crops(readings, distillation, random)
        with torch.autocast("cpu", torch.bfloat16, enabled=pick_precision("auto", mels.device) == "bf16"):
            scores = classifier(mels)
        loss = functional.cross_entropy(
            scores.float().flatten(0, 1), symbols.flatten(), ignore_index=_IGNORED, label_smoothing=_LABEL_SMOOTHING
        )
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(classifier.parameters(), _MAX_GRADIENT_NORM)
        optimizer.step()
        known = symbols != _IGNORED
        counts += torch.bincount(symbols[known], minlength=len(counts))
        right.append(float((scores.argmax(2) == symbols)[known].float().mean()))
        if (step + 1) % max(1, distillation.steps // 5) == 0:
            share = 100 * float(np.mean(right[-20:]))
            logger.info("Aligner: step %d of %d, %.0f %% of the steps right", step + 1, distillation.steps, share)
    return HearsSymbols(classifier.requires_grad_(False).eval(), counts)


def _crops(
    readings: Sequence[Reading], distillation: Distillation, random: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mels ``[B x 64 x 2 T]`` and symbols ``[B x T]`` of random pieces; T is ``crop_steps``."""
    all_mels, all_symbols = [], []
    for index in random.integers(len(readings), size=distillation.crops):
        mels, symbols = readings[index].heard(random), readings[index].symbols
        missing = max(0, distillation.crop_steps - len(symbols))
        mels = functional.pad(mels, (0, STEP_FRAMES * missing), value=LOWEST)
        symbols = functional.pad(symbols, (0, missing), value=_IGNORED)
        start = int(random.integers(len(symbols) - distillation.crop_steps + 1))
        end = start + distillation.crop_steps
        all_mels.append(mels[:, STEP_FRAMES * start : STEP_FRAMES * end])
        all_symbols.append(symbols[start:end])
    return torch.stack(all_mels), torch.stack(all_symbols)


def _share_of_rate(step: int, steps: int) -> float:
    """Return the share of the highest learning rate: it rises for 30 steps, and falls as a cosine."""
    return min(1.0, (step + 1) / 30) * 0.5 * (1 + math.cos(math.pi * step / steps))
