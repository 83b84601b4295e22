"""What a run says that it learned, and from how many labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vtune import pipeline
from vtune.recipe import Recipe
from vtune.training.losses import describe_losses


@pytest.mark.parametrize(
    ("curve", "best_step", "described"),
    [
        ([], 1, "training loss 7.607 on average"),
        ([{"step": 4, "eval_quality": 0.5}], 4, "training loss 7.607 on average"),
        ([{"step": 4, "eval_loss": 4.0}], 4, "training loss 7.607 on average; validation loss 4.000 at step 4"),
        (
            [{"step": 4, "eval_loss": 4.0}, {"step": 8, "eval_loss": 3.5}, {"step": 12, "eval_loss": 3.7}],
            8,
            "training loss 7.607 on average; validation loss 4.000 at step 4, 3.500 at step 8",
        ),
        (
            [{"step": 4, "eval_loss": 4.0}, {"step": 8, "eval_loss": 3.5}],
            4,
            "training loss 7.607 on average; validation loss 4.000 at step 4",
        ),
    ],
)
def test_no_loss_is_compared_with_itself_or_with_that_of_other_clips(
    curve: list[dict[str, Any]], best_step: int, described: str
) -> None:
    assert describe_losses({"loss": 7.607, "curve": curve, "best_step": best_step}) == described


def test_a_training_of_one_step_learns(toy: Callable[..., Recipe]) -> None:
    """A warm-up would make the learning rate of the only step 0, so the adapter would change nothing."""
    pipeline.run(
        toy(train={"max_steps": 1, "warmup": 0.03, "scheduler": "linear"}, evaluate={"checkpoint_sentences": 0}),
        until_trained=True,
    )


def test_full_fine_tuning_is_not_told_as_that_of_an_adapter(
    toy: Callable[..., Recipe], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "vtune"):
        pipeline.run(
            toy(train={"max_steps": 2, "method": "full"}, evaluate={"checkpoint_sentences": 0}), until_trained=True
        )
    assert "the whole network learns the voice" in caplog.text
    assert "adapter" not in caplog.text
