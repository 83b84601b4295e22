from __future__ import annotations

import time

import pytest

from vtune.errors import TrainingError
from vtune.toolkit import target_patterns
from vtune.toolkit.target_patterns import match_patterns

NAMES = [f"model.layers.{layer}.self_attn.{part}_proj" for layer in range(3) for part in "qkvo"]


def refusal(*patterns: str) -> str:
    with pytest.raises(TrainingError) as caught:
        match_patterns(patterns, NAMES)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) < 400
    return message


def test_whole_names_are_matched():
    assert match_patterns([], NAMES) == {}
    assert match_patterns([r".*\.1\..*[qk]_proj", "self_attn"], NAMES) == {
        r".*\.1\..*[qk]_proj": ["model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.k_proj"],
        "self_attn": [],
    }


@pytest.mark.parametrize("pattern", ["(", "*", "a{2,1}", "(?P<a>x)(?P<a>y)", "a{99999999999999999999}", "(" * 900])
def test_what_is_no_expression_is_told(pattern):
    assert "is not a regular expression: " in refusal("model", pattern)


def test_a_long_one_is_told_without_being_compiled():
    assert "has 1,001 characters, at most 1,000" in refusal("x" * 1001)


@pytest.mark.parametrize(
    "pattern", ["(([a-z_.0-9])+)+[!?]", ".*" * 30 + "[A-Z]", "(?:(?:(?:a?){900}){900}){900}x?[A-Z]"]
)
def test_one_that_never_ends_is_ended(monkeypatch, pattern):
    monkeypatch.setattr(target_patterns, "MAX_MATCHING_SECONDS", 1)
    start = time.monotonic()
    assert "cannot be matched to the names of the network within 1 s" in refusal(pattern)
    assert time.monotonic() - start < 10
