"""What learns beside the voice, and one step of a training with discriminators."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn
from torch.nn.utils import parametrize

import vtune
from vtune_vits.network.discriminators import Discriminators
from vtune_vits.network.spectrogram_discriminators import SpectrogramDiscriminators
from vtune_vits.training.losses import adversarial_loss, discriminator_loss, feature_loss
from vtune_vits.training.own_speech import Distillation
from vtune_vits.training.posterior import load_distilled
from vtune_vits.training.spectral_loss import FILTERED_STFT_WEIGHT, STFT_WEIGHT, levelled, stft_loss

if TYPE_CHECKING:
    from vtune_vits.base import VitsBase
    from vtune_vits.network.voice import VitsNetwork
    from vtune_vits.options import VitsOptions

_Module = TypeVar("_Module", bound=nn.Module)

logger = logging.getLogger(__name__)

POSTERIOR_ENCODER, DISCRIMINATOR, SPECTROGRAMS = "posterior_encoder", "discriminator", "spectrogram_discriminator"
"""Names of the parts in ``train.learning_rates``; optimizers of discriminators have the names of their parts."""

DISCRIMINATORS = (DISCRIMINATOR, SPECTROGRAMS)
WEIGHT_OF = {"stft": "stft", "adversarial": "adversarial", "features": "adversarial"}
"""The weight in ``LossWeights`` of each further loss of the voice."""

POSTERIOR_RATE = 5e-4
"""Higher than that of VITS, 2e-4, because the recordings are of another person than the base."""

NEW_DISCRIMINATOR_RATE = 1e-3
"""Of narrow discriminators from random weights: with 2e-4 they had learned next to nothing after 200 steps."""

DISCRIMINATOR_RATE = 1e-4
"""Of discriminators that a base brings, from Piper."""

BETAS, EPSILON = (0.8, 0.99), 1e-9
"""Settings of the discriminators' AdamW, from VITS."""

HALF_GRADIENT_SCALE = 1024.0
"""Factor of the discriminators' share of the loss while fp16 computes its gradient.

The features' losses are means over a million numbers, and a gradient of a millionth is nearly zero in fp16. The scaler
of the voice's loss comes later.
"""

_DISCRIMINATOR_SEED = 0


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the losses beside the loss of the model.

    :param adversarial: of the adversarial and the feature loss.
    :param stft: of the spectral differences.
    """

    adversarial: float
    stft: float


def loss_weights(options: VitsOptions) -> LossWeights:
    """Return the weights that a recipe states, and those of the vocoder where it states none."""
    own = FILTERED_STFT_WEIGHT if options.filters_source else STFT_WEIGHT
    return LossWeights(options.adversarial_weight, own if options.stft_weight is None else options.stft_weight)


def training_parts(base: VitsBase, model: nn.Module) -> dict[str, vtune.TrainingPart]:
    """Return the posterior encoder, which is made first if the base has none, and the discriminators.

    :param model: from the hook ``build_lora_model``, or the network.
    """
    network = network_of(model)
    if not base.files.has_posterior:
        load_distilled(network, base.teacher(), Distillation(steps=base.options.posterior_steps))
    parts = {POSTERIOR_ENCODER: vtune.TrainingPart(network.posterior_encoder, POSTERIOR_RATE)}
    if base.options.adversarial_weight:
        chosen = base.options.chosen_discriminators(base.files.read_discriminators is not None)
        if "waveform" in chosen:
            parts[DISCRIMINATOR] = discriminators(base)
        if "spectrogram" in chosen:
            parts[SPECTROGRAMS] = vtune.TrainingPart(_from_seed(SpectrogramDiscriminators), NEW_DISCRIMINATOR_RATE)
    return parts


def optimizers(parts: Mapping[str, nn.Module], learning_rates: Mapping[str, float]) -> dict[str, torch.optim.Optimizer]:
    """Return the optimizer of the discriminators, if there are any; everything else learns with the recipe's."""
    return {
        name: torch.optim.AdamW(parts[name].parameters(), learning_rates[name], BETAS, EPSILON, fused=True)
        for name in DISCRIMINATORS
        if name in parts
    }


def training_step(
    model: nn.Module, batch: vtune.Batch, step: vtune.TrainingStep, weights: LossWeights
) -> dict[str, torch.Tensor]:
    """Learn from one batch; both the voice and the discriminators learn from what the other was before the step.

    The gradient of the further losses is computed up to the made sound, and handed to the voice from there. So the
    discriminators, which are nearly all of a step's time, see each sound once, and none of it reaches their weights.

    :returns: the losses by name: ``loss`` of the model alone, as Piper has it, and the further losses that are used.
    """
    output = model(**batch)
    loss: torch.Tensor = output["loss"]
    numbers = {"loss": loss.detach()}
    numbers |= {name: total / count for name, (total, count) in output["metrics"].items()}
    made = output["made"].detach().requires_grad_()
    recorded, amplified = levelled(output["recorded"], made)
    shares, verdicts = _further_losses(step.parts, recorded, amplified, weights)
    if shares:
        further = torch.stack([getattr(weights, WEIGHT_OF[name]) * share for name, share in shares.items()]).sum()
        scale = _gradient_scale(made.device.type)
        (gradient,) = torch.autograd.grad(scale * further, made, retain_graph=bool(verdicts))
        loss = loss + (output["made"] * (gradient / scale)).sum()
    for name, verdict in verdicts.items():
        step.optimize(verdict, name)
    step.optimize(loss)
    return numbers | {name: share.detach() for name, share in (shares | verdicts).items()}


def _further_losses(
    parts: Mapping[str, nn.Module], recorded: torch.Tensor, made: torch.Tensor, weights: LossWeights
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Compute the losses of the voice by name, without weights, and those of the discriminators by part.

    :param recorded: ``[B, samples]``.
    :param made: ``[K, B, samples]``; discriminators judge the first of the K.
    """
    shares: dict[str, torch.Tensor] = {}
    verdicts: dict[str, torch.Tensor] = {}
    if weights.stft:
        shares["stft"] = stft_loss(recorded, made)
    judges = [name for name in DISCRIMINATORS if name in parts]
    for name in judges:
        with parametrize.cached():  # each weight is computed from its norm and direction once
            real, fake = parts[name](recorded), parts[name](made[0])
        own = {"adversarial": adversarial_loss(fake), "features": feature_loss(real, fake)}
        shares |= {key: shares.get(key, 0.0) + value for key, value in own.items()}
        verdicts[name] = discriminator_loss(real, fake)
    return shares, verdicts


def discriminators(base: VitsBase) -> vtune.TrainingPart:
    """Return the base's own discriminators, or narrow ones with random weights from a fixed seed.

    Those of a base that have other shapes than Piper's are not used, which is logged: a training can do without them.
    """
    read = base.files.read_discriminators
    if read is not None:
        own = _from_seed(Discriminators)
        try:
            own.load_folded(read(), base.files.source)
        except vtune.EngineError as error:
            logger.warning("%s; the training begins with new discriminators", error)
        else:
            return vtune.TrainingPart(own, DISCRIMINATOR_RATE)
    new = _from_seed(lambda: Discriminators(base.options.discriminator_narrowing))
    return vtune.TrainingPart(new, NEW_DISCRIMINATOR_RATE)


def _gradient_scale(device_type: str) -> float:
    is_half = torch.is_autocast_enabled(device_type) and torch.get_autocast_dtype(device_type) == torch.float16
    return HALF_GRADIENT_SCALE if is_half else 1.0


def _from_seed(make: Callable[[], _Module]) -> _Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_DISCRIMINATOR_SEED)
        return make()


def network_of(model: nn.Module) -> VitsNetwork:
    """Return the network of a model, which may be inside an adapter."""
    wrapped: Any = model
    network: VitsNetwork = wrapped.get_base_model() if hasattr(model, "get_base_model") else wrapped
    return network
