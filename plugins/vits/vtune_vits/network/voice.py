"""The whole network of a VITS voice.

Its parts are those of ``transformers.models.vits`` and have the names that they have there, except the vocoder and the
forward passes of the duration predictors. All convolutions are plain: weight normalisation is folded when a base is
read, because an adapter cannot be merged into a weight that is computed from two others.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.utils import parametrize
from transformers.models.vits import modeling_vits

from vtune_vits.network.dilation import give_classes_to_dilated_convolutions
from vtune_vits.network.durations import DurationPredictor, StochasticDurationPredictor, start_as_near_identity
from vtune_vits.network.noise import SpeakingNoise
from vtune_vits.network.settings import VitsSettings
from vtune_vits.network.source_filter import SourceFilterVocoder
from vtune_vits.network.speaking import Spoken, SpokenStyle, SpokenText, speak_texts
from vtune_vits.network.vocoder import Vocoder


class Reading(NamedTuple):
    """What the text encoder makes of a text with L phonemes."""

    hidden: torch.Tensor
    """``[B x H x L]``, 0 at padding."""

    means: torch.Tensor
    """Means of the prior of each phoneme's frames, ``[B x C x L]``, 0 at padding."""

    log_scales: torch.Tensor
    """Logarithms of the prior's standard deviations, ``[B x C x L]``, 0 at padding."""


class VitsNetwork(nn.Module):
    """Text encoder, duration predictor, flow, vocoder and posterior encoder of a VITS voice.

    Nothing in it draws random numbers when it speaks or learns; noise is always given.
    """

    accepts_loss_kwargs = True  # forward takes num_items_in_batch

    def __init__(self, settings: VitsSettings) -> None:
        super().__init__()
        self.settings = settings
        config = settings.config()
        self.text_encoder = modeling_vits.VitsTextEncoder(config)
        predictor = StochasticDurationPredictor if settings.stochastic_durations else DurationPredictor
        self.duration_predictor = predictor(config)
        self.flow = modeling_vits.VitsResidualCouplingBlock(config)
        self.decoder: Vocoder | SourceFilterVocoder
        if settings.source_filter is None:
            self.decoder = Vocoder(settings)
        else:
            self.decoder = SourceFilterVocoder(settings)
        self.posterior_encoder = modeling_vits.VitsPosteriorEncoder(config)
        if settings.speakers > 1:
            self.embed_speaker = nn.Embedding(settings.speakers, settings.speaker_size)
        if settings.stochastic_durations:
            start_as_near_identity(self.duration_predictor)
        _fold_weight_normalisation(self)
        give_classes_to_dilated_convolutions(self)

    def forward(
        self,
        input_ids: torch.Tensor,
        text_lengths: torch.Tensor,
        samples: torch.Tensor,
        frames: torch.Tensor,
        lots: torch.Tensor,
        **further: Any,
    ) -> dict[str, Any]:
        """Return the loss and the metrics of a batch; see `vtune_vits.training.objective`.

        :param input_ids: int64 ``[B x L]``, padded with 0.
        :param text_lengths: phonemes of each clip, int64 ``[B]``.
        :param samples: float32 ``[B x N]`` from -1 to 1, padded with 0.
        :param frames: frames of each clip, int64 ``[B]``.
        :param lots: where the noise of each clip comes from, float64 ``[B]``.
        :param further: ``items``, ``speakers`` (int64 ``[B]``), ``num_items_in_batch``, and for a vocoder of source and
            filters ``f0`` in Hz (float32 ``[B x T]``, without gaps) and ``voiced`` (bool ``[B x T]``).
        """
        from vtune_vits.training.objective import training_loss

        batch = {"input_ids": input_ids, "text_lengths": text_lengths, "samples": samples, "frames": frames}
        loss: dict[str, Any] = training_loss(self, {**batch, "lots": lots, **further})
        return loss

    def read(self, ids: torch.Tensor, mask: torch.Tensor) -> Reading:
        """Encode phonemes.

        :param ids: int64 ``[B x L]``.
        :param mask: bool ``[B x L]``, True at phonemes and False at padding.
        """
        encoder = self.text_encoder
        hidden = encoder.embed_tokens(ids) * math.sqrt(self.settings.hidden_size)  # [B x L x H]
        padding_mask = mask[..., None].to(hidden.dtype)
        # Additive, as the eager attention of transformers reads it: the least number where a phoneme must not look.
        attention_mask = torch.zeros_like(padding_mask[:, None].transpose(2, 3).expand(-1, -1, ids.shape[1], -1))
        attention_mask = attention_mask.masked_fill(~mask[:, None, None], torch.finfo(hidden.dtype).min)
        hidden = hidden * padding_mask
        for layer in encoder.encoder.layers:
            hidden = layer(hidden, padding_mask, attention_mask)[0]
        hidden = (hidden * padding_mask).transpose(1, 2)  # [B x H x L]
        statistics = encoder.project(hidden) * padding_mask.transpose(1, 2)
        means, log_scales = statistics.chunk(2, dim=1)
        return Reading(hidden, means, log_scales)

    def embed(self, speakers: torch.Tensor | None) -> torch.Tensor | None:
        """Return the embeddings ``[B x G x 1]`` of speakers, int64 ``[B]``; None for a voice of one speaker.

        :raises ValueError: the voice has several speakers and none is given.
        """
        if self.settings.speakers == 1:
            return None
        if speakers is None:
            raise ValueError(
                f"a voice of {self.settings.speakers} speakers needs the number of a speaker for each text"
            )
        embedding: torch.Tensor = self.embed_speaker(speakers)[..., None]
        return embedding

    def predict_log_durations(
        self, hidden: torch.Tensor, mask: torch.Tensor, speaker: torch.Tensor | None, noise: torch.Tensor
    ) -> torch.Tensor:
        """Return log durations in frames, ``[B x L]``, 0 at padding.

        :param hidden: `Reading.hidden`, ``[B x H x L]``.
        :param mask: bool ``[B x L]``.
        :param speaker: from `embed`.
        :param noise: normal noise that is already scaled, ``[B x 2 x L]``; a predictor that draws nothing ignores it.
        """
        float_mask = mask[:, None].to(hidden.dtype)
        log_durations: torch.Tensor = self.duration_predictor(hidden, float_mask, speaker, noise)
        return (log_durations * float_mask)[:, 0]

    def duration_loss(
        self,
        hidden: torch.Tensor,
        mask: torch.Tensor,
        durations: torch.Tensor,
        speaker: torch.Tensor | None,
        noise: torch.Tensor,
    ) -> torch.Tensor:
        """Return the loss of durations, summed over the phonemes of each clip, float32 ``[B]``.

        A stochastic predictor's loss is the negative log-likelihood (its upper bound), another's the squared error of
        log durations.

        :param durations: frames of each phoneme, ``[B x L]``, 0 at padding.
        :param noise: standard normal noise ``[B x 2 x L]``.
        """
        float_mask = mask[:, None].to(hidden.dtype)
        frames = durations[:, None].to(hidden.dtype)
        loss: torch.Tensor = self.duration_predictor.loss(hidden, float_mask, frames, speaker, noise.to(hidden.dtype))
        return loss.float()

    def to_prior(self, latents: torch.Tensor, mask: torch.Tensor, speaker: torch.Tensor | None) -> torch.Tensor:
        """Return latents as the text encoder's prior describes them, ``[B x C x T]``: the flow forwards.

        :param mask: bool ``[B x T]``.
        """
        result: torch.Tensor = self.flow(latents, mask[:, None].to(latents.dtype), speaker)
        return result

    def from_prior(self, latents: torch.Tensor, mask: torch.Tensor, speaker: torch.Tensor | None) -> torch.Tensor:
        """Return latents as the vocoder reads them, ``[B x C x T]``: the flow backwards, the inverse of `to_prior`."""
        float_mask = mask[:, None].to(latents.dtype)
        result: torch.Tensor = self.flow(latents, float_mask, speaker, reverse=True)
        return result * float_mask

    def posterior(
        self, spectrogram: torch.Tensor, mask: torch.Tensor, speaker: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return means and log standard deviations of the latents of recordings, each ``[B x C x T]``, 0 at padding.

        :param spectrogram: linear magnitudes ``[B x bins x T]``.
        :param mask: bool ``[B x T]``.
        """
        encoder = self.posterior_encoder
        float_mask = mask[:, None].to(spectrogram.dtype)
        hidden = encoder.wavenet(encoder.conv_pre(spectrogram) * float_mask, float_mask, speaker)
        means, log_scales = (encoder.conv_proj(hidden) * float_mask).chunk(2, dim=1)
        return means, log_scales

    def decode(self, latents: torch.Tensor, speaker: torch.Tensor | None, contrast: float = 1.0) -> torch.Tensor:
        """Return samples from -1 to 1, ``[B x T * hop]``, of latents ``[B x C x T]``.

        :param contrast: see `SpokenStyle`; only a vocoder of source and filters has it.
        """
        if isinstance(self.decoder, SourceFilterVocoder):
            waveform: torch.Tensor = self.decoder(latents, speaker, contrast=contrast)
        else:
            waveform = self.decoder(latents, speaker)
        return waveform[:, 0]

    def speak(
        self,
        ids: torch.Tensor,
        style: SpokenStyle,
        speaker_id: int,
        noises: SpeakingNoise,
        durations: torch.Tensor | None = None,
    ) -> Spoken:
        """Speak one text.

        :param ids: the phonemes of the text, int64 ``[L]``, on the network's device.
        :param speaker_id: number of the speaker; ignored for a voice of one speaker.
        :param durations: frames of each phoneme, int64 ``[L]``, in place of predicted ones.
        """
        return speak_texts(self, [SpokenText(ids, noises, durations)], style, speaker_id)[0]


def new_network(settings: VitsSettings, seed: int = 0) -> VitsNetwork:
    """Return a network with random weights that depend on the seed only; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VitsNetwork(settings)


def _fold_weight_normalisation(network: nn.Module) -> None:
    with torch.enable_grad():  # without gradients, torch would leave a buffer in place of the parameter
        for module in network.modules():
            if parametrize.is_parametrized(module, "weight"):
                parametrize.remove_parametrizations(module, "weight")
