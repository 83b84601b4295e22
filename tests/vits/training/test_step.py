"""One step of a training, and what learns in it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from vtune_vits.bases.names import fold_weight_normalisation
from vtune_vits.network.discriminators import Discriminators, Judgement
from vtune_vits.network.spectrogram_discriminators import SpectrogramDiscriminators
from vtune_vits.options import VitsOptions
from vtune_vits.training import step as steps
from vtune_vits.training.losses import adversarial_loss, discriminator_loss, feature_loss
from vtune_vits.training.spectral_loss import stft_loss


class Voice(nn.Module):
    """Makes segments from one number."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.5))

    def forward(self, recorded: torch.Tensor) -> dict[str, Any]:
        made = self.level * recorded.flip(1)
        metrics = {"mel": torch.tensor([6.0, 4.0])}
        return {"loss": self.level.square(), "metrics": metrics, "recorded": recorded, "made": made[None]}


class Step:
    """Notes the losses, and moves the discriminators at once, as a training does."""

    def __init__(self, parts: dict[str, nn.Module]) -> None:
        self.parts = parts
        self.losses: dict[str, torch.Tensor] = {}

    def optimize(self, loss: torch.Tensor, optimizer: str = "main") -> None:
        self.losses[optimizer] = loss
        if optimizer in self.parts:
            parameters = list(self.parts[optimizer].parameters())
            torch.autograd.backward(loss, inputs=parameters)
            torch.optim.SGD(parameters, lr=0.01).step()


RECORDED = {"recorded": torch.sin(torch.arange(4096.0))[None]}


def test_voice_and_discriminators_learn_from_what_the_other_was() -> None:
    """The gradients are those of the whole losses, computed in the plain way."""
    torch.manual_seed(0)
    judges = {"discriminator": Discriminators(16), "spectrogram_discriminator": SpectrogramDiscriminators()}
    voice, recorded = Voice(), RECORDED["recorded"]
    output = voice(recorded)
    gain = 0.2 / recorded.square().mean().sqrt()
    pairs = [(judge(gain * recorded), judge(gain * output["made"][0])) for judge in judges.values()]
    adversarial = sum(adversarial_loss(fake) for _, fake in pairs)
    features = sum(feature_loss(real, fake) for real, fake in pairs)
    stft = stft_loss(gain * recorded, gain * output["made"])
    whole = output["loss"] + 0.5 * (adversarial + features) + 3 * stft
    (expected,) = torch.autograd.grad(whole, voice.level, retain_graph=True)
    verdicts = {
        name: discriminator_loss(judge(gain * recorded), judge(gain * output["made"][0].detach()))
        for name, judge in judges.items()
    }
    gradients = {name: torch.autograd.grad(verdicts[name], list(judges[name].parameters())) for name in judges}
    before = {name: [parameter.detach().clone() for parameter in judges[name].parameters()] for name in judges}
    step = Step(dict(judges))

    numbers = steps.training_step(voice, RECORDED, step, steps.LossWeights(0.5, 3.0))

    assert list(step.losses) == ["discriminator", "spectrogram_discriminator", "main"]
    step.losses["main"].backward()
    torch.testing.assert_close(voice.level.grad, expected)
    for name, judge in judges.items():
        for parameter, old, gradient in zip(judge.parameters(), before[name], gradients[name], strict=True):
            torch.testing.assert_close(parameter.detach(), old - 0.01 * gradient)
    expected_numbers = {"loss": 0.25, "mel": 1.5, "stft": stft, "adversarial": adversarial, "features": features}
    assert {name: float(number) for name, number in numbers.items()} == pytest.approx(
        {name: float(value) for name, value in {**expected_numbers, **verdicts}.items()}
    )
    assert not any(number.requires_grad for number in numbers.values())


def test_spectra_alone_teach_the_voice_too() -> None:
    voice, step = Voice(), Step({})
    (expected,) = torch.autograd.grad(
        voice.level.square()
        + 2 * stft_loss(*(0.2 * 2**0.5 * sound for sound in (RECORDED["recorded"], voice(**RECORDED)["made"]))),
        voice.level,
    )

    numbers = steps.training_step(voice, RECORDED, step, steps.LossWeights(0.0, 2.0))

    step.losses["main"].backward()
    torch.testing.assert_close(voice.level.grad, expected, rtol=1e-3, atol=1e-5)
    assert numbers.keys() == {"loss", "mel", "stft"}


def test_without_discriminators_the_loss_is_the_models() -> None:
    step = Step({})

    numbers = steps.training_step(Voice(), RECORDED, step, steps.LossWeights(0.0, 0.0))

    assert list(step.losses) == ["main"]
    assert float(step.losses["main"].detach()) == 0.25
    assert numbers.keys() == {"loss", "mel"}


def base(read: Any = None) -> Any:
    return SimpleNamespace(
        files=SimpleNamespace(read_discriminators=read, source="base.ckpt"),
        options=SimpleNamespace(discriminator_narrowing=16),
    )


def test_new_discriminators_come_from_a_seed() -> None:
    torch.manual_seed(5)
    state = torch.random.get_rng_state()

    first, second = steps.discriminators(base()), steps.discriminators(base())

    assert torch.equal(torch.random.get_rng_state(), state)
    for name, tensor in first.module.state_dict().items():
        assert torch.equal(tensor, second.module.state_dict()[name])


def test_discriminators_of_a_base_are_taken_if_they_fit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("vtune_vits.network.discriminators.PERIODS", (2,))
    monkeypatch.setattr("vtune_vits.network.discriminators._PERIOD_CHANNELS", (4, 4))
    monkeypatch.setattr("vtune_vits.network.discriminators._SCALE_LAYERS", ((4, 15, 1, 1), (4, 41, 4, 4)))
    torch.manual_seed(3)
    folded = fold_weight_normalisation(Discriminators(1).state_dict())

    taken = steps.discriminators(base(lambda: folded))
    assert caplog.text == ""
    new = steps.discriminators(base(lambda: {"discriminators.1.conv_post.bias": torch.zeros(1)}))

    for name, tensor in fold_weight_normalisation(taken.module.state_dict()).items():
        torch.testing.assert_close(tensor, folded[name])
    assert "base.ckpt: 11 tensors of its discriminators do not fit" in caplog.text
    assert "the training begins with new discriminators" in caplog.text
    assert (taken.learning_rate, new.learning_rate) == (1e-4, 1e-3)


def test_only_discriminators_have_an_optimizer_of_their_own() -> None:
    parts = {"posterior_encoder": nn.Linear(2, 2), "discriminator": nn.Linear(2, 2)}

    made = steps.optimizers(parts, {"posterior_encoder": 1e-4, "discriminator": 3e-4})

    (group,) = made["discriminator"].param_groups
    assert list(made) == ["discriminator"]
    assert (group["lr"], group["betas"], group["eps"]) == (3e-4, (0.8, 0.99), 1e-9)
    assert [id(tensor) for tensor in group["params"]] == [id(tensor) for tensor in parts["discriminator"].parameters()]
    assert steps.optimizers({"posterior_encoder": parts["posterior_encoder"]}, {}) == {}


class HalfJudge(nn.Module):
    """Discriminators of one number that compute in fp16 whatever they are given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, sound: torch.Tensor) -> Judgement:
        heard = (sound * self.weight).half()
        return Judgement((heard.mean(1, keepdim=True),), ((heard,),))


class SilentVoice(Voice):
    """A voice whose own loss has no gradient."""

    def forward(self, recorded: torch.Tensor) -> dict[str, Any]:
        return {**super().forward(recorded), "loss": 0 * self.level}


def test_small_gradients_of_the_discriminators_outlive_fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of the loss whose gradient is a billionth for each sample is zero in fp16, unless it is scaled."""
    rising = {"recorded": torch.linspace(0.5, 1, 600)[None]}

    def gradient(weight: float) -> float:
        voice, step = SilentVoice(), Step({"discriminator": HalfJudge()})
        with torch.autocast("cpu", torch.float16):
            steps.training_step(voice, rising, step, steps.LossWeights(adversarial=weight, stft=0.0))
        (share,) = torch.autograd.grad(step.losses["main"], voice.level)
        return float(share)

    small = gradient(1e-6)
    monkeypatch.setattr(steps, "HALF_GRADIENT_SCALE", 1.0)
    expected = 1e-6 * gradient(1.0)
    assert small == pytest.approx(expected, rel=0.1)
    assert gradient(1e-6) != pytest.approx(expected, rel=0.5)


@pytest.mark.parametrize(
    ("kind", "base_has_own", "expected"),
    [
        ("auto", True, ("waveform",)),
        ("auto", False, ("spectrogram",)),
        ("both", False, ("waveform", "spectrogram")),
        ("spectrogram", True, ("spectrogram",)),
    ],
)
def test_trained_discriminators_of_a_base_are_chosen_first(
    kind: str, base_has_own: bool, expected: tuple[str, ...]
) -> None:
    options = VitsOptions(base_model="base.ckpt", discriminators=kind)

    assert options.chosen_discriminators(base_has_own) == expected
