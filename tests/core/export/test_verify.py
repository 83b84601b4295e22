from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from vtune.errors import VoiceError
from vtune.export.verify import compare
from vtune.types import Clip


class Says(nn.Module):
    """Gives fixed logits for any input."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.logits = logits

    def forward(self, **_: Any) -> dict[str, torch.Tensor]:
        return {"logits": self.logits}


def source(answer: torch.Tensor, labels: torch.Tensor | None = None) -> Any:
    clip = Clip("sample 1", "anna", "hello", torch.zeros(8).numpy(), 8000)
    batch = {"x": torch.zeros(1)} if labels is None else {"labels": labels}
    return SimpleNamespace(clips=[clip], answers=[answer], batches=[batch])


ANSWER = torch.tensor([[[1.0, -10.0, 3.0], [4.0, 2.0, 0.0]]])


def test_the_difference_is_a_share_of_the_largest_logit() -> None:
    other = ANSWER.clone()
    other[0, 0, 0] += 0.05
    comparison = compare(source(ANSWER), Says(other), "read", 1e-2)
    assert comparison.difference == pytest.approx(0.005, rel=1e-4)
    assert comparison.likeliest == 1


def test_more_than_allowed_names_the_sentence() -> None:
    other = ANSWER.clone()
    other[0, 0, 0] += 0.5
    with pytest.raises(VoiceError, match=r"5\.00e-02 of the largest logit on 'hello' \(allowed 1e-02\)"):
        compare(source(ANSWER), Says(other), "read", 1e-2)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_within_any_tolerance(number: float) -> None:
    other = ANSWER.clone()
    other[0, 1, 1] = number
    with pytest.raises(VoiceError):
        compare(source(ANSWER), Says(other), "read", 1e9)


def test_another_shape_is_another_model() -> None:
    with pytest.raises(VoiceError):
        compare(source(ANSWER), Says(ANSWER[:, :1]), "read", 1e9)


def test_the_likeliest_token_is_not_counted_in_padding() -> None:
    other = ANSWER.clone()
    other[0, 1] = torch.tensor([0.0, 4.0, 2.0])
    comparison = compare(source(ANSWER, torch.tensor([[2, -100]])), Says(other), "read", 1.0)
    assert comparison.likeliest == 1
    assert comparison.prompts[0].rows == 1
    assert compare(source(ANSWER, torch.tensor([[2, 1]])), Says(other), "read", 1.0).likeliest == 0.5


def test_a_loss_alone_can_be_compared() -> None:
    comparison = compare(source(torch.tensor(2.0)), Says(torch.tensor(2.001)), "read", 1e-3)
    assert comparison.difference == pytest.approx(5e-4, rel=1e-2)
    assert comparison.likeliest is None
    assert "likeliest" not in comparison.describe()
