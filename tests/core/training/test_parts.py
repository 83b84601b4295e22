"""Parts and optimizers without a training: which are refused, exchanged and averaged."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vtune.errors import EngineError, TrainingError
from vtune.training.further_optimizers import FurtherOptimizer, check_optimizers, require_whole_parts, save_optimizers
from vtune.training.moving_average import MovingAverage
from vtune.training.parts import ModelWithParts, TrainingParts
from vtune.training.tensor_state import check_tensors, write_tensors
from vtune.training.trained import Trained
from vtune.training.training_step import Learner, OneBatch

CPU = torch.device("cpu")


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(2, 2), nn.Linear(2, 2)
        self.config = {"width": 2}
        self.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.decoder(self.encoder(x)))


def parts_of(model: nn.Module, **modules: nn.Module) -> TrainingParts:
    return TrainingParts(model, modules, CPU, "engine 'x' (x 1.0): training_parts")


def test_a_part_inside_the_model_learns_in_float32_and_the_voice_has_that_of_the_base() -> None:
    model = Model().bfloat16()
    base = model.encoder.weight.clone()
    parts = parts_of(model, encoder=model.encoder, judge=nn.Linear(1, 1))
    assert set(parts.free) == {"judge"}
    assert model.encoder.weight.dtype == torch.float32
    assert model.encoder.weight.requires_grad
    assert model.decoder.weight.dtype == torch.bfloat16
    with torch.no_grad():
        model.encoder.weight += 1 / 512  # bfloat16 would round this away beside 1
    learned = model.encoder.weight.clone()
    with parts.left_out():
        assert torch.equal(model.encoder.weight, base)
    assert torch.equal(model.encoder.weight, learned)
    parts.leave_out()
    assert torch.equal(model.encoder.weight, base)


def test_a_voice_is_heard_with_averaged_weights_and_without_the_parts() -> None:
    model = Model()
    model.decoder.requires_grad_(True)
    base, first = model.encoder.weight.clone(), model.decoder.weight.detach().clone()
    parts = parts_of(model, encoder=model.encoder)
    average = MovingAverage({"weight": dict(model.named_parameters())["decoder.weight"]}, decay=0.5)
    trained = Trained(model, parts, average)
    with torch.no_grad():
        model.encoder.weight += 1
        model.decoder.weight += 11
    average.update(1)  # with d = 2 / 11
    for context, encoder, decoder in (
        (trained.as_voice, base, first + 9),
        (trained.as_averaged, base + 1, first + 9),
        (nullcontext, base + 1, first + 11),
    ):
        with context():
            torch.testing.assert_close(model.encoder.weight.detach(), encoder)
            torch.testing.assert_close(model.decoder.weight.detach(), decoder)


def test_half_precision_is_not_averaged() -> None:
    weight = nn.Parameter(torch.zeros(2, dtype=torch.bfloat16))
    with pytest.raises(TrainingError, match=r"train\.ema: head is torch.bfloat16, and only float32 can be averaged"):
        MovingAverage({"head": weight}, 0.9)


def test_the_trainer_sees_the_model_and_the_free_parts_once() -> None:
    model = Model()
    module = ModelWithParts(model, parts_of(model, encoder=model.encoder, judge=nn.Linear(1, 1)))
    names = [name for name, _ in module.named_parameters()]
    assert len(names) == 6
    assert {"free.judge.weight", "model.encoder.weight"} <= set(names)
    assert module.config == {"width": 2}  # what transformers asks of a model
    assert torch.equal(module(x=torch.ones(2)), model(torch.ones(2)))
    assert not hasattr(module, "hf_device_map")


@pytest.mark.parametrize(
    ("modules", "text"),
    [
        (lambda model: {"nothing": nn.Tanh()}, "part 'nothing' has no tensors to train"),
        (lambda model: {"all": model, "encoder": model.encoder}, "the parts 'all' and 'encoder' both hold weight"),
        (lambda model: {"codes": Quantised()}, "part 'codes' holds weight, which is quantised"),
    ],
)
def test_parts_that_cannot_be_trained_are_refused(modules: Callable[[Model], dict[str, nn.Module]], text: str) -> None:
    model = Model()
    with pytest.raises(EngineError, match=f"engine 'x' .*{text}"):
        parts_of(model, **modules(model))


class Quantised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, dtype=torch.int8), requires_grad=False)


def adam(*modules: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW([parameter for module in modules for parameter in module.parameters()], lr=0.1)


def test_optimizers_hold_whole_parts_each_its_own() -> None:
    model, judge, other = Model(), nn.Linear(1, 1), nn.Linear(2, 1)
    parts = parts_of(model, judge=judge, other=other)
    require_whole_parts({"one": adam(judge), "two": adam(other)}, parts, "x")
    require_whole_parts({"both": adam(judge, other)}, parts, "x")
    for optimizers, text in (
        ({"one": adam(model)}, "optimizer 'one' holds 4 tensors that belong to no part.*declare their module"),
        ({"one": adam(judge), "two": adam(judge, other)}, "'one' and 'two' both hold judge.weight"),
        ({"one": torch.optim.AdamW([judge.weight])}, "'one' holds a part without judge.bias; give it whole parts"),
    ):
        with pytest.raises(EngineError, match=text):
            require_whole_parts(optimizers, parts, "x")


class Processes:
    """Replaces an accelerator of several processes; the test gives what the other processes send."""

    def __init__(self, *others: torch.Tensor) -> None:
        self.num_processes, self._others = 1 + len(others), others

    def reduce(self, tensor: torch.Tensor, reduction: str) -> torch.Tensor:
        assert reduction == "sum"
        return torch.stack([tensor, *self._others]).sum(0)


def further(module: nn.Module, max_grad_norm: float = 0.0) -> FurtherOptimizer:
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    parameters: dict[str, Any] = dict(module.named_parameters())
    return FurtherOptimizer(optimizer, parameters, schedule, scaler, max_grad_norm)


def batch(learner: Learner, share: float = 1.0, is_last: bool = True) -> OneBatch:
    return OneBatch(learner, {}, share, is_last, (1, 0, 4))


def test_gradients_are_averaged_over_processes_and_a_process_without_one_counts_as_zero() -> None:
    judge = nn.Linear(1, 1)
    before = judge.weight.item(), judge.bias.item()
    # The other process has a gradient of 5 for the weight, and none for the bias.
    accelerator = Processes(torch.tensor([1.0, 0.0, 5.0, 0.0]))
    learner = Learner([nn.Parameter(torch.zeros(1))], {"judge": further(judge)}, None, accelerator, "x")
    batch(learner).optimize(judge(torch.tensor([3.0])).sum(), "judge")
    assert judge.weight.item() == pytest.approx(before[0] - (3 + 5) / 2)
    assert judge.bias.item() == pytest.approx(before[1] - 1 / 2)


def test_gradients_are_accumulated_clipped_and_reach_their_own_optimizer_only() -> None:
    judge, main = nn.Linear(1, 1, bias=False), nn.Parameter(torch.ones(1))
    before = judge.weight.item()
    learner = Learner([main], {"judge": further(judge, max_grad_norm=0.5)}, None, Processes(), "x")
    for is_last in (False, True):
        step = batch(learner, share=0.5, is_last=is_last)
        step.optimize((judge(main) * 4).sum(), "judge")
        assert main.grad is None
    assert judge.weight.item() == pytest.approx(before - 0.5)  # a gradient of 4, clipped
    assert judge.weight.grad is None
    step.optimize(judge(main).sum())
    assert main.grad is not None
    assert judge.weight.grad is None


def test_a_step_in_an_earlier_batch_alone_is_made_at_the_end_of_the_step() -> None:
    judge = nn.Linear(1, 1, bias=False)
    before = judge.weight.item()
    learner = Learner([nn.Parameter(torch.ones(1))], {"judge": further(judge)}, None, Processes(), "x")
    batch(learner, 0.5, is_last=False).optimize(judge(torch.ones(1)).sum(), "judge")
    assert judge.weight.item() == before
    batch(learner, 0.5).finish({"loss": torch.zeros(())})
    assert judge.weight.item() == pytest.approx(before - 0.5)


def test_a_loss_from_before_another_optimizers_step_is_explained() -> None:
    judge, main = nn.Linear(1, 1), nn.Parameter(torch.ones(1))
    learner = Learner([main], {"judge": further(judge)}, None, Processes(), "engine 'x' (x 1.0): training_step")
    step = batch(learner)
    loss = judge(main).sum()
    step.optimize(judge(torch.ones(1)).sum(), "judge")
    with pytest.raises(EngineError, match=r"computed before another .* moved.*call step\.optimize for this optimizer"):
        step.optimize(loss)


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (lambda judge: judge(torch.ones(3, 1)), "must be a tensor with one number"),
        (lambda judge: judge(torch.ones(1)).detach().sum(), "does not depend on any tensor that learns"),
        (lambda judge: 1.0, "must be a tensor with one number"),
    ],
)
def test_what_is_no_loss_is_named(loss: Callable[[nn.Module], Any], text: str) -> None:
    judge = nn.Linear(1, 1)
    learner = Learner([nn.Parameter(torch.ones(1))], {"judge": further(judge)}, None, Processes(), "x")
    with pytest.raises(EngineError, match=f"x: the loss for optimizer 'judge' {text}"):
        batch(learner).optimize(loss(judge), "judge")


def test_a_further_optimizer_has_a_loss_scale_of_its_own_that_halves_when_gradients_overflow() -> None:
    judge = nn.Linear(1, 1, bias=False)
    before = judge.weight.item()
    optimizer = torch.optim.SGD(judge.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    judged = FurtherOptimizer(optimizer, dict(judge.named_parameters()), schedule, scaler, 0.0)
    learner = Learner([nn.Parameter(torch.ones(1))], {"judge": judged}, None, Processes(), "x")
    batch(learner).optimize(judge(torch.ones(1)).sum(), "judge")
    assert judge.weight.item() == pytest.approx(before - 1)
    batch(learner).optimize((judge(torch.ones(1)) * 3e38).sum(), "judge")  # 8 times this is no float32
    assert judge.weight.item() == pytest.approx(before - 1)
    assert judged.state()["scaler"]["scale"] == 4.0


def test_a_damaged_state_of_an_optimizer_is_named(tmp_path: Path) -> None:
    judge = nn.Linear(1, 1)
    judged = FurtherOptimizer(
        optimizer := adam(judge), dict(judge.named_parameters()),
        torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0), torch.amp.GradScaler("cpu", enabled=False), 0.0,
    )  # fmt: skip
    judge(torch.ones(1)).sum().backward()
    judged.step()
    save_optimizers({"judge": judged}, tmp_path)
    file = tmp_path / "further_optimizers.pt"
    check_optimizers(file, {"judge": optimizer})
    for changed, text in (
        ({"other": optimizer}, "holds the optimizers judge, and not other"),
        ({"judge": adam(nn.Linear(2, 1))}, "optimizer 'judge': it belongs to other tensors"),
    ):
        with pytest.raises(ValueError, match=text):
            check_optimizers(file, changed)
    optimizer.state[judge.weight]["exp_avg"].fill_(float("inf"))
    save_optimizers({"judge": judged}, tmp_path)
    with pytest.raises(ValueError, match="optimizer 'judge': exp_avg holds values that are not finite"):
        check_optimizers(file, {"judge": optimizer})


def test_tensors_are_read_strictly(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    own = {"a": torch.ones(2), "b": torch.ones(1)}
    for written, text in (
        ({"a": torch.ones(2)}, "it holds other tensors: b"),
        ({"a": torch.ones(3), "b": torch.ones(1)}, r"a is torch.float32 \(3,\), and not torch.float32 \(2,\)"),
        ({"a": torch.ones(2).half(), "b": torch.ones(1)}, "a is torch.float16"),
        ({"a": torch.tensor([1, torch.nan]), "b": torch.ones(1)}, "a holds values that are not finite"),
    ):
        write_tensors(written, file)
        with pytest.raises(ValueError, match=text):
            check_tensors(own, file)
    write_tensors(own, file)
    check_tensors(own, file)
