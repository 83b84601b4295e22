"""The discriminators and their losses, against Piper's own where it is installed."""

from __future__ import annotations

import pytest
import torch

from vtune import EngineError
from vtune_vits.bases.names import fold_weight_normalisation
from vtune_vits.network.discriminators import Discriminators, Judgement
from vtune_vits.training.losses import adversarial_loss, discriminator_loss, divergence, feature_loss, mel_distance


def segments(seed: int, samples: int = 2048) -> torch.Tensor:
    return torch.randn(2, samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
def test_scores_and_losses_are_pipers() -> None:
    models = pytest.importorskip("piper.train.vits.models")
    losses = pytest.importorskip("piper.train.vits.losses")
    torch.manual_seed(0)
    expected = models.MultiPeriodDiscriminator()
    own = Discriminators()
    own.load_state_dict(expected.state_dict())
    recorded, made = segments(1, 2050), segments(2, 2050)

    with torch.no_grad():
        real_scores, made_scores, real_features, made_features = expected(recorded[:, None], made[:, None])
        first, second = own(recorded), own(made)

    for score, other in zip([*first.scores, *second.scores], [*real_scores, *made_scores], strict=True):
        torch.testing.assert_close(score, other, rtol=1e-4, atol=1e-6)
    assert float(feature_loss(first, second)) == pytest.approx(
        float(losses.feature_loss(real_features, made_features)), rel=1e-4
    )
    assert float(discriminator_loss(first, second)) == pytest.approx(
        float(losses.discriminator_loss(real_scores, made_scores)[0]), rel=1e-4
    )
    assert float(adversarial_loss(second)) == pytest.approx(float(losses.generator_loss(made_scores)[0]), rel=1e-4)


def test_losses_of_known_scores() -> None:
    recorded = Judgement((torch.tensor([[1.0, 0.5]]),), ((torch.tensor([[2.0, 4.0]]),),))
    made = Judgement((torch.tensor([[0.0, 1.0]]),), ((torch.tensor([[1.0, 1.0]]),),))

    assert float(discriminator_loss(recorded, made)) == pytest.approx((0 + 0.25) / 2 + (0 + 1) / 2)
    assert float(adversarial_loss(made)) == pytest.approx((1 + 0) / 2)
    assert float(feature_loss(recorded, made)) == pytest.approx(2 * (1 + 3) / 2)


def test_features_of_recorded_sound_get_no_gradient() -> None:
    real, fake = torch.ones(1, 3, requires_grad=True), torch.zeros(1, 3, requires_grad=True)

    feature_loss(Judgement((), ((real,),)), Judgement((), ((fake,),))).backward()

    assert real.grad is None
    assert fake.grad is not None


def test_narrow_discriminators_learn_to_tell_tones_from_noise() -> None:
    torch.manual_seed(0)
    judge = Discriminators(16)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=2e-3)
    tones = torch.sin(torch.arange(512) * torch.tensor([[0.2], [0.35]]))

    for step in range(40):
        loss = discriminator_loss(judge(tones), judge(segments(step, 512)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    with torch.no_grad():
        real, fake = (torch.cat([s.flatten() for s in judge(x).scores]).mean() for x in (tones, segments(99, 512)))
    assert real > fake + 0.3


def test_weights_whose_norms_are_multiplied_out_give_the_same_scores() -> None:
    """A base's reader hands weights out in this form; what learns is again a norm and a direction."""
    judges = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        judges.append(Discriminators(16))
    first, second = judges
    folded = fold_weight_normalisation(first.state_dict())

    second.load_folded(folded, "base.ckpt")

    with torch.no_grad():
        for score, other in zip(first(segments(0)).scores, second(segments(0)).scores, strict=True):
            torch.testing.assert_close(score, other)
    assert "discriminators.1.convs.0.parametrizations.weight.original0" in dict(second.named_parameters())
    name = "discriminators.0.conv_post.bias"
    with pytest.raises(EngineError, match=rf"^base.ckpt: 1 tensors .* {name}, which is absent and should be \[1\]$"):
        second.load_folded({key: tensor for key, tensor in folded.items() if key != name}, "base.ckpt")


def test_divergence_is_that_of_normal_distributions_on_average() -> None:
    """The mean over many draws is the known divergence of two normal distributions, for each clip without padding."""
    generator = torch.Generator().manual_seed(0)
    means, prior_means = torch.randn(2, 1, 3, generator=generator), torch.randn(2, 1, 3, generator=generator)
    log_scales, prior_log_scales = 0.3 * torch.randn(2, 2, 1, 3, generator=generator)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    total = torch.zeros(2)
    for _ in range(4000):
        draw = means + torch.randn(2, 1, 3, generator=generator) * log_scales.exp()
        total += divergence(draw, log_scales, (prior_means, prior_log_scales), mask)
    one, other = (
        torch.distributions.Normal(means, log_scales.exp()),
        torch.distributions.Normal(prior_means, prior_log_scales.exp()),
    )
    expected = (torch.distributions.kl_divergence(one, other) * mask[:, None]).sum((1, 2))

    torch.testing.assert_close(total / 4000, expected, rtol=0.1, atol=0.1)


def test_mels_are_compared_inside_the_clip() -> None:
    recorded, made = torch.zeros(2, 4, 3), torch.tensor([1.0, 2.0, 300.0]).expand(2, 4, 3)
    mask = torch.tensor([[True, True, False], [True, False, False]])

    assert mel_distance(recorded, made, mask).tolist() == [1.5, 1.0]
