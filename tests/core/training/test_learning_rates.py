from __future__ import annotations

import pytest

from vtune.errors import TrainingError
from vtune.training.learning_rates import own_rates, part_rates, tensor_rates

TENSORS = ["h.0.mlp.lora_A.weight", "h.0.mlp.lora_B.weight", "h.1.mlp.lora_B.weight", "judge.inner.weight"]


@pytest.mark.parametrize(
    ("key", "matched"),
    [
        ("lora_B", {1, 2}),
        ("h.0", {0, 1}),
        ("h.0.mlp.lora_A.weight", {0}),
        ("judge", {3}),
        (r"h\.\d+\.mlp\.lora_.\.weight", {0, 1, 2}),
        ("mlp.lora_B", {1, 2}),
    ],
)
def test_a_key_is_a_part_or_words_of_names_or_a_regular_expression(key: str, matched: set[int]) -> None:
    assert tensor_rates({key: 0.5}, TENSORS, ["judge"]) == {TENSORS[index]: 0.5 for index in matched}


@pytest.mark.parametrize(
    ("rates", "text"),
    [
        ({"jugde": 1.0}, r"'jugde' is no part of this engine and matches no trained tensor; did you mean 'judge'\?"),
        ({"ora_B": 1.0}, r"matches no trained tensor; did you mean 'lora_B'\?"),
        ({"lora_B": 1.0, "h.0": 2.0}, "'lora_B' and 'h.0' both match 'h.0.mlp.lora_B.weight', with 1 and 2"),
        ({"h.(": 1.0}, "is not a regular expression"),
    ],
)
def test_a_key_that_cannot_be_meant_is_one_line(rates: dict[str, float], text: str) -> None:
    with pytest.raises(TrainingError, match=text) as caught:
        tensor_rates(rates, TENSORS, ["judge"])
    assert "\n" not in str(caught.value)


def test_a_part_has_the_recipes_rate_before_its_own() -> None:
    assert part_rates({"a": 3.0}, {"a": 2.0, "b": 2.0, "c": None}, 1.0) == {"a": 3.0, "b": 2.0, "c": 1.0}


def test_tensors_of_a_further_optimizer_are_left_to_it() -> None:
    tensors = {name: name != TENSORS[3] for name in TENSORS}
    assert own_rates({"lora_B": 0.5, "judge": 0.1}, tensors, {"judge": 0.1}, 1.0) == {
        TENSORS[1]: 0.5, TENSORS[2]: 0.5,
    }  # fmt: skip
    with pytest.raises(TrainingError, match=r"a pattern gives judge\.inner\.weight the rate 0\.5.*to the part 'judge'"):
        own_rates({"inner": 0.5}, tensors, {"judge": 1.0}, 1.0)
    with pytest.raises(TrainingError, match=r"0 would freeze judge\.inner\.weight.*give 'judge' a rate above 0"):
        own_rates({"judge": 0}, tensors, {"judge": 0}, 1.0)
    every = dict.fromkeys(TENSORS, True)
    assert own_rates({}, every, {"judge": 0.2}, 1.0) == {TENSORS[3]: 0.2}  # the part's own rate
