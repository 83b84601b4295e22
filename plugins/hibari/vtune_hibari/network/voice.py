"""The whole network of a hibari voice: two text encoders, durations, prosody and decoder."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn

from vtune.toolkit.masks import length_mask
from vtune_hibari.network.decoder import Decoder, SpectralParts
from vtune_hibari.network.expansion import expand
from vtune_hibari.network.prosody import DurationPredictor, Prosody, ProsodyPredictor
from vtune_hibari.network.settings import STEP_FRAMES, HibariSettings
from vtune_hibari.network.text_encoder import TextEncoder


class Reading(NamedTuple):
    """What the text encoders make of sentences with up to L symbols; each is 0 at padding."""

    acoustic: torch.Tensor
    """For the decoder, ``[B x L x 128]``."""

    prosody: torch.Tensor
    """For durations, pitch and energy, ``[B x L x 192]``."""


class HibariNetwork(nn.Module):
    """A network that speaks sentences of symbols; each of its parts can be asked alone.

    Nothing in it draws random numbers; the noise in the sound is given to `vtune_hibari.network.sound.synthesise`.
    """

    accepts_loss_kwargs = True  # forward takes num_items_in_batch

    def __init__(self, settings: HibariSettings) -> None:
        super().__init__()
        self.settings = settings
        self.acoustic_encoder = TextEncoder(settings.symbols, settings.acoustic_encoder)
        self.prosody_encoder = TextEncoder(settings.symbols, settings.prosody_encoder)
        self.duration_predictor = DurationPredictor(settings.prosody_encoder.width, settings.duration_kernel)
        self.prosody_predictor = ProsodyPredictor(settings.prosody_encoder.width, settings.prosody)
        self.decoder = Decoder(settings.acoustic_encoder.width, settings.decoder, settings.decoder_input_kernel)

    def forward(self, **batch: Any) -> dict[str, Any]:
        """Return the loss and the metrics of a batch of `vtune_hibari.rows.collate`."""
        from vtune_hibari.training.objective import training_loss

        loss: dict[str, Any] = training_loss(self, batch)
        return loss

    def read(self, ids: torch.Tensor, mask: torch.Tensor) -> Reading:
        """Encode sentences of symbols.

        :param ids: int64 ``[B x L]``, with symbol 0 at both ends of each sentence.
        :param mask: bool ``[B x L]``, False at padding.
        """
        return Reading(self.acoustic_encoder(ids, mask), self.prosody_encoder(ids, mask))

    def predict_log_durations(self, reading: Reading, mask: torch.Tensor) -> torch.Tensor:
        """Return ``log(1 + steps)`` of each symbol, ``[B x L]``, 0 at padding; a step is 25 ms."""
        log_durations: torch.Tensor = self.duration_predictor(reading.prosody, mask)
        return log_durations

    def predict_prosody(self, reading: Reading, durations: torch.Tensor) -> Prosody:
        """Return pitch and energy of each frame, each ``[B x F]``, 0 at padding.

        :param durations: steps of each symbol, int64 ``[B x L]``, 0 at padding; F is twice their largest sum.
        """
        expanded = expand(reading.prosody, durations)
        prosody: Prosody = self.prosody_predictor(expanded, length_mask(durations.sum(1), expanded.shape[1]))
        return prosody

    def decode(
        self, reading: Reading, durations: torch.Tensor, f0: torch.Tensor, energy: torch.Tensor
    ) -> SpectralParts:
        """Return the parts of the spectrum of each frame, each ``[B x F x 601]``.

        :param durations: as for `predict_prosody`.
        :param f0: Hz, ``[B x F]``, predicted or measured.
        :param energy: in the network's own unit, ``[B x F]``, predicted or measured.
        """
        expanded = expand(reading.acoustic, durations * STEP_FRAMES)
        mask = length_mask(frame_counts(durations), expanded.shape[1])
        parts: SpectralParts = self.decoder(expanded, f0, energy, mask)
        return parts


def frame_counts(durations: torch.Tensor) -> torch.Tensor:
    """Return the frames of each sentence, int64 ``[B]``; durations are steps of each symbol, int64 ``[B x L]``."""
    return durations.sum(1) * STEP_FRAMES


def new_network(settings: HibariSettings, seed: int = 0) -> HibariNetwork:
    """Return a network with random weights that depend on the seed only; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return HibariNetwork(settings)
