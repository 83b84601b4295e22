"""Utterances side by side are what they are alone, whoever asks for them and whenever he comes and goes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import pytest
import torch
from torch import nn

from vtune import LoraSettings, attach_lora
from vtune_orpheus import chorus as module
from vtune_orpheus.base import OrpheusBase
from vtune_orpheus.chorus import Chorus, Wanted, draw_all, network_tokens
from vtune_orpheus.llama import LlamaSteps
from vtune_orpheus.prompts import prompt_ids
from vtune_orpheus.sampling import Sampling
from vtune_orpheus.steps import steps_of


def sampling(**changes: float) -> Sampling:
    return Sampling(**{"temperature": 1.0, "top_p": 1.0, "repetition_penalty": 1.3, "max_new_tokens": 70, **changes})


@pytest.fixture
def network(base: OrpheusBase) -> Any:
    made: Any = base.new_network().eval()
    with torch.no_grad():
        # The end of speech is as likely as a code: tied weights, so the head's row is the embedding's.
        made.lm_head.weight[base.layout.end_of_speech] = made.lm_head.weight[base.layout.audio + 5]
    return made


@pytest.fixture
def tireless(base: OrpheusBase) -> Any:
    """Ends where it is stopped: the end of speech is never likely."""
    made: Any = base.new_network().eval()
    with torch.no_grad():
        made.lm_head.weight[base.layout.end_of_speech] = 0
    return made


@pytest.fixture
def adapted(base: OrpheusBase, network: Any) -> Any:
    """Two adapters that say different things."""
    lora = LoraSettings(rank=2, alpha=4, targets=("q_proj", "up_proj"))
    model = attach_lora(network, lora, {}, task_type="CAUSAL_LM")
    model.add_adapter("other", model.peft_config["default"])
    torch.manual_seed(0)
    for name, one in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(one, std=0.5)
    return model.eval()


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each step."""
    made: list[int] = []
    step = LlamaSteps.step
    monkeypatch.setattr(LlamaSteps, "step", lambda self, tokens: (made.append(len(tokens)), step(self, tokens))[1])
    return made


def wanted(base: OrpheusBase, count: int, **changes: float) -> list[Wanted]:
    """Of unlike prompts and lengths, some of which end and some of which are stopped."""
    return [
        Wanted(
            prompt_ids(base.tokenizer, base.layout, "a: " + "so " * place), 7 * (2 + place % 5), place,
            sampling(**changes),
        )
        for place in range(count)
    ]  # fmt: skip


def tokens(model: nn.Module, base: OrpheusBase, one: Wanted) -> Generator[int, None, None]:
    return network_tokens(model, base.layout, one.prompt, one.sampling, one.most, one.seed)


def in_turn(streams: list[Generator[int, None, None]], each: int = 7) -> list[list[int]]:
    """Read so many tokens of each, round and round."""
    got: list[list[int]] = [[] for _ in streams]
    going = set(range(len(streams)))
    while going:
        for place in sorted(going):
            for _ in range(each):
                token = next(streams[place], None)
                if token is None:
                    going.remove(place)
                    break
                got[place].append(token)
    return got


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_all_at_once_are_drawn_as_alone(base: OrpheusBase, network: Any, temperature: float) -> None:
    """More of them than go at once."""
    asked = wanted(base, 2 * LlamaSteps.most + 3, temperature=temperature)
    got = dict(draw_all(Chorus(steps_of(network), base.layout), asked))
    assert [got[place] for place in range(len(asked))] == [list(tokens(network, base, one)) for one in asked]
    assert len({len(said) for said in got.values()}) > 2
    if temperature:
        assert any(said[-1] == base.layout.end_of_speech for said in got.values())
        assert len({tuple(said[:14]) for said in got.values()}) == len(got)


@pytest.mark.parametrize("each", [1, 7, 10])
def test_streams_that_are_read_in_turn_share_their_steps(
    base: OrpheusBase, tireless: Any, steps: list[int], each: int
) -> None:
    asked = [Wanted(one.prompt, 70, one.seed, sampling(temperature=0)) for one in wanted(base, 5)]
    alone = [list(tokens(tireless, base, one)) for one in asked]
    assert set(steps) == {1}
    assert len(steps) == 5 * 69
    steps.clear()
    assert in_turn([tokens(tireless, base, one) for one in asked], each) == alone
    # Each begins a frame or two after the one before it.
    assert max(steps) == 5
    assert sum(steps) == 5 * 69
    assert len(steps) < 69 + 5 * 14


def test_each_keeps_its_ways(base: OrpheusBase, tireless: Any, steps: list[int]) -> None:
    ways = ({"temperature": 0}, {"temperature": 0.4}, {"top_p": 0.5}, {"repetition_penalty": 2.0})
    asked = [Wanted([5, 6, 7], 70, 3, sampling(**way)) for way in ways]
    alone = [list(tokens(tireless, base, one)) for one in asked]
    assert in_turn([tokens(tireless, base, one) for one in asked]) == alone
    assert max(steps) == 4
    assert len({tuple(said) for said in alone}) == 4


def test_one_who_comes_late_or_leaves_early_changes_nothing_for_the_others(
    base: OrpheusBase, network: Any, steps: list[int]
) -> None:
    asked = [Wanted(one.prompt, 63, one.seed, sampling(temperature=0)) for one in wanted(base, 3)]
    alone = [list(tokens(network, base, one)) for one in asked]
    first, leaving, late = (tokens(network, base, one) for one in asked)
    said = [next(first) for _ in range(7)]
    heard = [next(leaving) for _ in range(9)]
    said += [next(first) for _ in range(7)]
    leaving.close()
    steps.clear()
    rest = in_turn([first, late])
    assert [said + rest[0], rest[1]] == [alone[0], alone[2]]
    assert heard == alone[1][:9]
    assert max(steps) == 2


def test_more_than_one_chorus_holds_sing_in_two(base: OrpheusBase, tireless: Any, steps: list[int]) -> None:
    asked = [Wanted(one.prompt, 70, one.seed, sampling(temperature=0)) for one in wanted(base, LlamaSteps.most + 2)]
    alone = [list(tokens(tireless, base, one)) for one in asked]
    assert in_turn([tokens(tireless, base, one) for one in asked]) == alone
    assert max(steps) == LlamaSteps.most


def test_other_adapters_sing_apart(base: OrpheusBase, adapted: Any, steps: list[int]) -> None:
    (one,) = wanted(base, 1, temperature=0)
    alone = {}
    for name in ("default", "other"):
        adapted.set_adapter(name)
        alone[name] = list(tokens(adapted, base, one))
    with adapted.disable_adapter():
        alone["none"] = list(tokens(adapted, base, one))
    assert len({tuple(said) for said in alone.values()}) == 3
    adapted.set_adapter("default")
    streams = [tokens(adapted, base, one)]
    got = [[next(streams[0])]]
    adapted.set_adapter("other")
    streams.append(tokens(adapted, base, one))
    got.append([next(streams[1])])
    with adapted.disable_adapter():
        streams.append(tokens(adapted, base, one))
        got.append([next(streams[2])])
    rest = in_turn(streams)
    assert [first + then for first, then in zip(got, rest, strict=True)] == list(alone.values())
    assert set(steps) == {1}


def test_weights_that_have_changed_are_not_sung_with_the_old_ones(base: OrpheusBase, adapted: Any) -> None:
    (one,) = wanted(base, 1, temperature=0)
    forgotten = tokens(adapted, base, one)
    next(forgotten)
    for name, weight in adapted.named_parameters():
        if "lora_B.default" in name:
            weight.mul_(-3)
    beside = list(tokens(adapted, base, one))
    forgotten.close()
    assert beside == list(tokens(adapted, base, one))


def test_what_goes_wrong_ends_all_of_them_and_nobody_else(
    base: OrpheusBase, tireless: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [Wanted(one.prompt, 70, one.seed, one.sampling) for one in wanted(base, 2, temperature=0)]
    streams = [tokens(tireless, base, one) for one in asked]
    for stream in streams:
        next(stream)
    with monkeypatch.context() as patch:
        patch.setattr(LlamaSteps, "step", lambda *_: (_ for _ in ()).throw(RuntimeError("no memory")))
        for stream in streams:
            with pytest.raises(RuntimeError, match="no memory"):
                list(stream)
    assert list(tokens(tireless, base, asked[0])) == list(tokens(tireless, base, asked[0]))


def test_a_prompt_that_cannot_be_read_leaves_nothing_behind(
    base: OrpheusBase, tireless: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = wanted(base, 1, temperature=0)
    alone = list(tokens(tireless, base, one))
    with monkeypatch.context() as patch:
        patch.setattr(LlamaSteps, "add", lambda *_: (_ for _ in ()).throw(RuntimeError("no memory")))
        with pytest.raises(RuntimeError, match="no memory"):
            next(tokens(tireless, base, one))
    assert not module._SINGING[tireless]
    assert list(tokens(tireless, base, one)) == alone


@pytest.mark.parametrize("kind", ["llama", "other"])
def test_nothing_stays_when_all_have_ended(base: OrpheusBase, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "other":
        monkeypatch.setattr("vtune_orpheus.steps.is_plain", lambda _: False)
    network = base.new_network().eval()
    (one,) = wanted(base, 1)
    list(tokens(network, base, one))
    with closing(tokens(network, base, one)) as begun:
        next(begun)
        assert module._SINGING[network]
    assert not module._SINGING[network]
    gone = weakref.ref(network)
    del network, begun
    gc.collect()
    assert gone() is None
