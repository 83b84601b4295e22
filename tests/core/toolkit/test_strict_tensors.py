"""A file's tensors against a network: every difference is named, and no damaged number passes."""

from __future__ import annotations

import pytest
import torch

from vtune.errors import EngineError
from vtune.toolkit.strict_tensors import MAX_MAGNITUDE, require_same_tensors, require_sane_tensor

EXPECTED = {"a": (2,), "b": (3, 1), "c": (4,)}


def test_the_same_tensors_pass_in_any_order() -> None:
    require_same_tensors(dict(reversed(EXPECTED.items())), EXPECTED, "x.onnx does not hold this network")


def test_every_difference_is_named_in_one_line() -> None:
    with pytest.raises(EngineError) as caught:
        require_same_tensors({"a": (2,), "b": (3,), "d\n": (1,)}, EXPECTED, "x.onnx does not hold this network")
    assert str(caught.value) == (
        "x.onnx does not hold this network (3 tensors): 1 missing: c; 1 unexpected: d\\n; "
        "1 of another shape: b is [3], should be [3, 1]"
    )


def test_the_caller_says_which_shapes_fit() -> None:
    found = {"a": (2,), "b": (3,), "c": (4,)}
    require_same_tensors(found, EXPECTED, "x", lambda shape, target: shape in (target, target[:-1]))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -2 * MAX_MAGNITUDE])
def test_a_damaged_number_is_refused(value: float) -> None:
    with pytest.raises(EngineError, match=r"x\.onnx: the tensor a holds .*; the file is damaged, get it again"):
        require_sane_tensor(torch.tensor([0.0, value]), "a", "x.onnx")


def test_whole_numbers_are_no_weights() -> None:
    with pytest.raises(EngineError, match=r"the tensor a holds torch\.int64"):
        require_sane_tensor(torch.tensor([1]), "a", "x.onnx")
    require_sane_tensor(torch.zeros(0), "a", "x.onnx")
