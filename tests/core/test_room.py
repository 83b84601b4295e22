from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtune.recipe import Recipe
from vtune.room import needed, of_method, settle
from vtune.types import Footprint

BASE = Footprint(
    parameters=100,
    trainable=10,
    tensors=2,
    tokens_per_second=80,
    tokens_per_clip=20,
    weight_bytes=1000,
    token_bytes=40,
    token_bytes_checkpointed=10,
    token_flops=1,
    pass_bytes=500,
)


def recipe(**train: Any) -> Recipe:
    settings: dict[str, Any] = {"voice": "someone", "engine": "toy", "data": [{"source": "speech"}], "train": train}
    return Recipe.model_validate(settings)


def chosen(recipe: Recipe, have: float, footprint: Footprint | None = BASE) -> tuple[Any, int, Any]:
    train = settle(recipe, footprint, 10, have).train
    return train.batch_size, train.gradient_accumulation, train.gradient_checkpointing


def test_memory_is_weights_optimizer_pass_and_tokens() -> None:
    assert needed(BASE, 7, checkpointing=False) == 1000 + 160 + 500 + 280
    assert needed(BASE, 7, checkpointing=True) == 1000 + 160 + 500 + 70
    assert needed(of_method(BASE, "full"), 0, checkpointing=False) == 1000 + 1600 + 500


@pytest.mark.parametrize(("have", "with_it"), [(2300, False), (2200, True)])
def test_checkpointing_is_switched_on_where_it_does_not_fit_without(have: float, with_it: bool) -> None:
    """A clip of 10 tokens takes 2060 bytes without and 1760 with it; nine tenths of the memory may be filled."""
    assert chosen(recipe(), have) == (1, 1, with_it)


def test_what_the_recipe_says_is_done() -> None:
    assert chosen(recipe(gradient_checkpointing=False, batch_size=4), 1) == (4, 1, False)
    assert chosen(recipe(gradient_checkpointing=True, batch_size=4), 10**9) == (4, 1, True)


@pytest.mark.parametrize(
    ("have", "wanted"),
    [
        (10**6, (12, 1, False)),
        ((1660 + 6 * 400) / 0.9 + 1, (6, 2, False)),
        ((1660 + 5 * 400) / 0.9 + 1, (4, 3, False)),
        ((1660 + 1 * 400) / 0.9 + 1, (1, 12, False)),
        ((1660 + 3 * 100) / 0.9 + 1, (3, 4, True)),
        (1, (1, 12, True)),
    ],
)
def test_a_batch_of_auto_is_the_largest_part_of_a_step_that_fits(have: float, wanted: tuple[int, int, bool]) -> None:
    assert chosen(recipe(batch_size="auto", gradient_accumulation=12), have) == wanted


@given(st.integers(1, 64), st.floats(1, 10**5))
def test_a_step_always_sees_as_many_clips_as_the_recipe_says(clips: int, have: float) -> None:
    batch, accumulated, _ = chosen(recipe(batch_size="auto", gradient_accumulation=clips), have)
    assert batch * accumulated == clips


def test_an_engine_without_an_estimate_is_left_as_it_was() -> None:
    auto = recipe(batch_size="auto", gradient_accumulation=4)
    assert chosen(auto, 10**9, footprint=None) == (1, 4, False)


def test_an_adapter_is_the_same_however_its_steps_are_cut(toy: Callable[..., Recipe], tmp_path: Any) -> None:
    import json

    from vtune import pipeline

    losses = {}
    for name, train in {
        "one": {"batch_size": 1, "gradient_accumulation": 4, "gradient_checkpointing": False},
        "auto": {"batch_size": "auto", "gradient_accumulation": 4},
    }.items():
        pipeline.run(toy(train=train, folders={"runs": str(tmp_path / name)}))
        (log,) = (tmp_path / name / "someone" / "logs").glob("*/metrics.jsonl")
        losses[name] = [json.loads(line)["loss"] for line in log.read_text().splitlines()]
    assert losses["auto"] == pytest.approx(losses["one"], abs=1e-5)
