"""The stochastic duration predictor against independent computations: Jacobians by autograd, and Piper's own code."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small_voice import small_network, small_settings

from vtune_vits.network import durations as durations_module
from vtune_vits.network.splines import spline

BINS, BOUND = 10, 5.0


def _parameters(*shape: int) -> torch.Tensor:
    return 2 * torch.randn(*shape, 3 * BINS - 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("inverse", [False, True])
def test_the_logarithm_of_a_spline_is_that_of_its_derivative(inverse: bool) -> None:
    inputs = torch.linspace(-7, 7, 141, dtype=torch.float64)[None].requires_grad_()
    outputs, log_derivative = spline(inputs, _parameters(1, 1).expand(1, 141, -1), BINS, BOUND, inverse=inverse)
    (gradient,) = torch.autograd.grad(outputs.sum(), inputs)
    torch.testing.assert_close(log_derivative, gradient.log(), atol=1e-9, rtol=1e-9)
    assert (outputs.diff() > 0).all()
    outside = inputs.detach().abs() > BOUND
    assert torch.equal(outputs[outside], inputs[outside])
    assert (outputs[~outside] - inputs[~outside]).abs().max() > 0.1


def test_the_inverse_of_a_spline_undoes_it() -> None:
    inputs = 3 * torch.randn(50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    parameters = _parameters(50)
    outputs, forwards = spline(inputs, parameters, BINS, BOUND, inverse=False)
    back, backwards = spline(outputs, parameters, BINS, BOUND, inverse=True)
    torch.testing.assert_close(back, inputs, atol=1e-9, rtol=0)
    torch.testing.assert_close(forwards, -backwards, atol=1e-8, rtol=0)


def test_the_spline_of_transformers_gives_the_same() -> None:
    from transformers.models.vits.modeling_vits import _unconstrained_rational_quadratic_spline

    inputs = 3 * torch.randn(50, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    parameters = _parameters(50)
    for inverse in (False, True):
        expected = _unconstrained_rational_quadratic_spline(
            inputs, *parameters.split([BINS, BINS, BINS - 1], -1), reverse=inverse, tail_bound=BOUND
        )
        outputs = spline(inputs, parameters, BINS, BOUND, inverse=inverse)
        torch.testing.assert_close(outputs, expected, atol=1e-5, rtol=0)


def test_values_at_and_beyond_the_bounds_have_finite_gradients() -> None:
    inputs = torch.tensor([-1e30, -5.0, 5.0, 1e30], requires_grad=True)
    parameters = _parameters(4).float().requires_grad_()
    for inverse in (False, True):
        outputs, log_derivative = spline(inputs, parameters, BINS, BOUND, inverse=inverse)
        gradients = torch.autograd.grad(outputs.sum() + log_derivative.sum(), [inputs, parameters])
        assert all(gradient.isfinite().all() for gradient in gradients)
        torch.testing.assert_close(outputs.detach(), inputs.detach())


def test_the_likelihood_of_a_duration_is_that_of_the_change_of_variables() -> None:
    """For one phoneme both flows are maps of the plane, and their determinants come from autograd."""
    predictor = small_network(small_settings()).duration_predictor.double()
    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(1, 16, 1, generator=generator, dtype=torch.float64)
    noise = torch.randn(1, 2, 1, generator=generator, dtype=torch.float64)
    mask, duration = torch.ones(1, 1, 1, dtype=torch.float64), 4.0
    condition = predictor._condition(hidden, mask, None)
    encoded = predictor.post_conv_proj(predictor.post_conv_dds(predictor.post_conv_pre(duration * mask), mask))

    def dequantise(point: torch.Tensor) -> torch.Tensor:
        """Return the continuous duration and the auxiliary value of a point of noise."""
        latents, _ = durations_module._apply_all(predictor.post_flows, point.view(1, 2, 1), mask, condition + encoded)
        part, auxiliary = latents.flatten()
        return torch.stack([duration - part.sigmoid(), auxiliary])

    def normalise(point: torch.Tensor) -> torch.Tensor:
        latents = torch.stack([point[0].log(), point[1]]).view(1, 2, 1)
        return durations_module._apply_all(predictor.flows, latents, mask, condition)[0].flatten()

    def normal_log_density(point: torch.Tensor) -> torch.Tensor:
        return -0.5 * point.square().sum() - math.log(2 * math.pi)

    def log_determinant(function: Any, point: torch.Tensor) -> torch.Tensor:
        return torch.autograd.functional.jacobian(function, point).det().abs().log()

    start = noise.flatten()
    continuous = dequantise(start)
    log_posterior = normal_log_density(start) - log_determinant(dequantise, start)
    log_likelihood = normal_log_density(normalise(continuous)) + log_determinant(normalise, continuous)
    loss = predictor.loss(hidden, mask, duration * mask, None, noise)
    torch.testing.assert_close(loss[0], log_posterior - log_likelihood, atol=1e-8, rtol=1e-8)


@torch.no_grad()
def test_predicted_durations_are_the_inverse_of_the_flow_that_learns() -> None:
    predictor = small_network(small_settings()).duration_predictor.double()
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(2, 16, 6, generator=generator, dtype=torch.float64)
    latents = torch.randn(2, 2, 6, generator=generator, dtype=torch.float64)
    mask = torch.ones(2, 1, 6, dtype=torch.float64)
    noise, _ = durations_module._apply_all(predictor.flows, latents, mask, predictor._condition(hidden, mask, None))
    torch.testing.assert_close(predictor(hidden, mask, None, noise), latents[:, :1], atol=1e-8, rtol=0)


def test_the_loss_of_a_plain_predictor_is_the_squared_error_of_log_durations() -> None:
    network = small_network(small_settings(stochastic_durations=False))
    hidden = torch.randn(1, 16, 3, generator=torch.Generator().manual_seed(3))
    mask, noise = torch.tensor([[True, True, False]]), torch.zeros(1, 2, 3)
    predicted = network.predict_log_durations(hidden, mask, None, noise)[0]
    loss = network.duration_loss(hidden, mask, torch.tensor([[3, 7, 0]]), None, noise)
    expected = (predicted[0] - math.log(3)) ** 2 + (predicted[1] - math.log(7)) ** 2
    torch.testing.assert_close(loss[0], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("speaker_size", [0, 5])
def test_pipers_own_code_gives_the_same_losses_and_durations(
    monkeypatch: pytest.MonkeyPatch, speaker_size: int
) -> None:
    models = pytest.importorskip("piper.train.vits.models")
    from vtune_vits.bases.base_files import load_strictly
    from vtune_vits.bases.names import piper_name
    from vtune_vits.network.voice import new_network

    torch.manual_seed(0)
    theirs = models.StochasticDurationPredictor(16, 16, 3, 0.5, 4, gin_channels=speaker_size).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    network = new_network(small_settings(speakers=2 if speaker_size else 1, speaker_size=speaker_size))
    others = tuple(f"{part}." for part, _ in network.named_children() if part != "duration_predictor")
    weights = {f"dp.{name}": tensor for name, tensor in theirs.state_dict().items()}
    load_strictly(network, weights, "Piper's predictor", piper_name, others)
    hidden, noise = torch.randn(2, 16, 9), torch.randn(2, 2, 9)
    mask = torch.arange(9) < torch.tensor([9, 5])[:, None]
    frames = torch.randint(1, 12, (2, 9)) * mask
    speaker = torch.randn(2, speaker_size, 1) if speaker_size else None
    monkeypatch.setattr(models.torch, "randn", lambda *shape: noise.clone())
    float_mask = mask[:, None].float()
    with torch.no_grad():
        expected = theirs(hidden, float_mask, w=frames[:, None].float(), g=speaker)
        loss = network.duration_loss(hidden, mask, frames, speaker, noise)
        drawn = theirs(hidden, float_mask, g=speaker, reverse=True, noise_scale=0.8)[:, 0]
        predicted = network.predict_log_durations(hidden, mask, speaker, 0.8 * noise)
    torch.testing.assert_close(loss, expected, atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(predicted, drawn * mask, atol=1e-5, rtol=1e-5)
