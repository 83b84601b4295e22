"""Speech of the base whose durations are known exactly: random words, spoken in many ways.

The classifier is to understand other people, so pitch, vocal tract, pace, colour and noise are varied.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from vtune_hibari.alignment.spectra import MEL_BANDS, log_mels, normalise
from vtune_hibari.bases.package import package_file
from vtune_hibari.network.decoder import SpectralParts
from vtune_hibari.network.settings import BINS
from vtune_hibari.network.sound import complex_noise, synthesise
from vtune_hibari.network.voice import HibariNetwork, frame_counts
from vtune_hibari.text.symbols import EDGE, SYMBOLS, encode_symbols

PAUSES = frozenset({EDGE, *(SYMBOLS[symbol] for symbol in ' ;:,.!?—…"')})
"""Symbols during which a speaker may be silent."""

PITCH_FACTORS = (0.5, 1.5)
TRACT_FACTORS = (0.82, 1.22)
"""Formants are moved by these factors: from a large man to a child, seen from a woman."""

PACES = (0.7, 1.4)
DURATION_SPREAD = 0.25
"""Standard deviation of the logarithm of each symbol's own pace."""

NOISE_DB = (15.0, 60.0)
"""How far noise lies below the speech."""

COLOUR_STEP = 0.15
"""Standard deviation of the step from one mel band to the next of a random microphone, in natural logarithms."""

_WORDS = (5, 12)
_COMMA_SHARE = 0.12
_LONG_PAUSE_SHARE, _LONG_PAUSE = 0.3, (1.0, 4.0)
_MAX_EDGE_STEPS = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """One sentence that the base has spoken.

    :param samples: float32 ``[F * 300]``.
    :param symbols: the symbol that is spoken in each step, int64 ``[F / 2]``.
    """

    samples: torch.Tensor
    symbols: torch.Tensor

    def heard(self, random: np.random.Generator) -> torch.Tensor:
        """Return normalised log mels ``[64 x F]`` of the reading in new noise and through a new microphone."""
        level = float(self.samples.std()) * 10 ** (-random.uniform(*NOISE_DB) / 20)
        noise = torch.from_numpy(random.standard_normal(len(self.samples), dtype=np.float32))
        colour = random.normal(0, COLOUR_STEP, MEL_BANDS).cumsum()
        mels = log_mels(self.samples + level * noise) + torch.from_numpy(colour.astype(np.float32))[:, None]
        return normalise(mels)


@torch.no_grad()
def read_aloud(network: HibariNetwork, random: np.random.Generator, words: Sequence[str]) -> Reading:
    """Let the base speak a sentence of random words in a random way.

    :param words: phonemes of words to draw from.
    """
    ids = torch.tensor([encode_symbols(_sentence(random, words))])
    mask = torch.ones_like(ids, dtype=torch.bool)
    encoded = network.read(ids, mask)
    durations = _vary(network.predict_log_durations(encoded, mask)[0], ids[0], random)[None]
    prosody = network.predict_prosody(encoded, durations)
    f0 = prosody.f0 * _log_uniform(random, *PITCH_FACTORS)
    parts = network.decode(encoded, durations, f0, prosody.energy)
    noise = complex_noise(torch.from_numpy(random.standard_normal((1, f0.shape[1], 2 * BINS), dtype=np.float32)))
    moved = _move_formants(parts, _log_uniform(random, *TRACT_FACTORS))
    samples = synthesise(moved, f0, noise, frame_counts(durations))[0]
    return Reading(samples, ids[0].repeat_interleave(durations[0]))


@cache
def lexicon_words() -> tuple[str, ...]:
    """Return the phonemes of the words of up to nine letters in the package's American lexicon, in its order."""
    with gzip.open(package_file("lexicon_us_gold.json.gz"), "rt", encoding="utf-8") as file:
        lexicon = json.load(file)
    return tuple(
        phonemes
        for word, phonemes in lexicon.items()
        if isinstance(phonemes, str) and 2 <= len(word) <= 9 and word.isalpha() and set(phonemes) <= SYMBOLS.keys()
    )


def _sentence(random: np.random.Generator, words: Sequence[str]) -> str:
    chosen = [words[index] for index in random.integers(len(words), size=random.integers(*_WORDS, endpoint=True))]
    spaced = [word + ("," if random.random() < _COMMA_SHARE else "") for word in chosen[:-1]]
    return " ".join([*spaced, chosen[-1]]) + str(random.choice(list(".?!")))


def _vary(log_durations: torch.Tensor, ids: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """Return varied steps of each symbol, int64 ``[L]``."""
    steps = (log_durations.double().exp() - 1).numpy() / _log_uniform(random, *PACES)
    steps *= np.exp(random.normal(0, DURATION_SPREAD, len(steps)))
    pauses = np.array([id_ in PAUSES for id_ in ids.tolist()])
    longer = pauses & (random.random(len(steps)) < _LONG_PAUSE_SHARE)
    steps[longer] *= random.uniform(*_LONG_PAUSE, longer.sum())
    edges = (ids == EDGE).numpy()
    steps[edges] = random.uniform(1, _MAX_EDGE_STEPS, edges.sum())
    return torch.from_numpy(steps.round().clip(1)).long()


def _move_formants(parts: SpectralParts, factor: float) -> SpectralParts:
    """Stretch the levels along frequency; phases stay where they are."""
    places = (torch.arange(BINS) / factor).clamp(max=BINS - 1.001)
    below = places.long()
    share = places - below

    def stretched(level: torch.Tensor) -> torch.Tensor:
        return level[..., below] * (1 - share) + level[..., below + 1] * share

    return parts._replace(
        harmonic_level=stretched(parts.harmonic_level),
        noise_level=stretched(parts.noise_level),
        residual_level=stretched(parts.residual_level),
    )


def _log_uniform(random: np.random.Generator, low: float, high: float) -> float:
    return math.exp(random.uniform(math.log(low), math.log(high)))
