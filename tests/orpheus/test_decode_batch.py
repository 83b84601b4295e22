"""Utterances that are decoded in one batch get the tokens that they get alone."""

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
from vtune_orpheus import decode_batch as module
from vtune_orpheus.base import OrpheusBase
from vtune_orpheus.decode_batch import DecodeBatch, DecodeRequest, decode_all, sample_from_network
from vtune_orpheus.llama_stepper import LlamaStepper
from vtune_orpheus.prompts import prompt_ids
from vtune_orpheus.sampling import OrpheusSampling
from vtune_orpheus.steppers import make_stepper


def sampling(**changes: float) -> OrpheusSampling:
    return OrpheusSampling(
        **{"temperature": 1.0, "top_p": 1.0, "repetition_penalty": 1.3, "max_new_tokens": 70, **changes}
    )


@pytest.fixture
def network(base: OrpheusBase) -> Any:
    made: Any = base.new_network().eval()
    with torch.no_grad():
        # The end of speech is as likely as a code: tied weights, so the head's row is the embedding's.
        made.lm_head.weight[base.layout.end_of_speech] = made.lm_head.weight[base.layout.audio + 5]
    return made


@pytest.fixture
def tireless(base: OrpheusBase) -> Any:
    """Return a network that ends only where it is stopped: the end of speech is never likely."""
    made: Any = base.new_network().eval()
    with torch.no_grad():
        made.lm_head.weight[base.layout.end_of_speech] = 0
    return made


@pytest.fixture
def adapted(base: OrpheusBase, network: Any) -> Any:
    """Return a network with two adapters that speak differently."""
    lora = LoraSettings(rank=2, alpha=4, targets=("q_proj", "up_proj"))
    model = attach_lora(network, lora, {}, task_type="CAUSAL_LM")
    model.add_adapter("other", model.peft_config["default"])
    torch.manual_seed(0)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.5)
    return model.eval()


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the number of rows of each step."""
    made: list[int] = []
    step = LlamaStepper.step
    monkeypatch.setattr(LlamaStepper, "step", lambda self, tokens: (made.append(len(tokens)), step(self, tokens))[1])
    return made


def make_requests(base: OrpheusBase, count: int, **changes: float) -> list[DecodeRequest]:
    """Return requests with different prompts and lengths; some end by themselves, and some are stopped."""
    return [
        DecodeRequest(
            prompt_ids(base.tokenizer, base.layout, "a: " + "so " * index), 7 * (2 + index % 5), index,
            sampling(**changes),
        )
        for index in range(count)
    ]  # fmt: skip


def tokens(model: nn.Module, base: OrpheusBase, request: DecodeRequest) -> Generator[int, None, None]:
    return sample_from_network(model, base.layout, request.prompt, request.sampling, request.max_tokens, request.seed)


def in_turn(streams: list[Generator[int, None, None]], each: int = 7) -> list[list[int]]:
    """Read a number of tokens of each stream, one stream after the other, again and again."""
    got: list[list[int]] = [[] for _ in streams]
    going = set(range(len(streams)))
    while going:
        for index in sorted(going):
            for _ in range(each):
                token = next(streams[index], None)
                if token is None:
                    going.remove(index)
                    break
                got[index].append(token)
    return got


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_utterances_decoded_together_are_as_if_alone(base: OrpheusBase, network: Any, temperature: float) -> None:
    """There are more utterances than fit into one batch."""
    requests = make_requests(base, 2 * LlamaStepper.max_rows + 3, temperature=temperature)
    got = dict(decode_all(DecodeBatch(make_stepper(network), base.layout), requests))
    assert [got[index] for index in range(len(requests))] == [
        list(tokens(network, base, request)) for request in requests
    ]
    assert len({len(spoken) for spoken in got.values()}) > 2
    if temperature:
        assert any(spoken[-1] == base.layout.end_of_speech for spoken in got.values())
        assert len({tuple(spoken[:14]) for spoken in got.values()}) == len(got)


@pytest.mark.parametrize("each", [1, 7, 10])
def test_streams_that_are_read_in_turn_share_their_steps(
    base: OrpheusBase, tireless: Any, steps: list[int], each: int
) -> None:
    requests = [
        DecodeRequest(request.prompt, 70, request.seed, sampling(temperature=0)) for request in make_requests(base, 5)
    ]
    alone = [list(tokens(tireless, base, request)) for request in requests]
    assert set(steps) == {1}
    assert len(steps) == 5 * 69
    steps.clear()
    assert in_turn([tokens(tireless, base, request) for request in requests], each) == alone
    # Each begins a frame or two after the one before it.
    assert max(steps) == 5
    assert sum(steps) == 5 * 69
    assert len(steps) < 69 + 5 * 14


def test_each_row_keeps_its_own_sampling_settings(base: OrpheusBase, tireless: Any, steps: list[int]) -> None:
    ways = ({"temperature": 0}, {"temperature": 0.4}, {"top_p": 0.5}, {"repetition_penalty": 2.0})
    requests = [DecodeRequest([5, 6, 7], 70, 3, sampling(**way)) for way in ways]
    alone = [list(tokens(tireless, base, request)) for request in requests]
    assert in_turn([tokens(tireless, base, request) for request in requests]) == alone
    assert max(steps) == 4
    assert len({tuple(spoken) for spoken in alone}) == 4


def test_a_late_or_leaving_row_changes_nothing_for_the_other_rows(
    base: OrpheusBase, network: Any, steps: list[int]
) -> None:
    requests = [
        DecodeRequest(request.prompt, 63, request.seed, sampling(temperature=0)) for request in make_requests(base, 3)
    ]
    alone = [list(tokens(network, base, request)) for request in requests]
    first, leaving, late = (tokens(network, base, request) for request in requests)
    spoken = [next(first) for _ in range(7)]
    leaving_tokens = [next(leaving) for _ in range(9)]
    spoken += [next(first) for _ in range(7)]
    leaving.close()
    steps.clear()
    rest = in_turn([first, late])
    assert [spoken + rest[0], rest[1]] == [alone[0], alone[2]]
    assert leaving_tokens == alone[1][:9]
    assert max(steps) == 2


def test_more_utterances_than_one_batch_holds_use_two_batches(
    base: OrpheusBase, tireless: Any, steps: list[int]
) -> None:
    requests = [
        DecodeRequest(request.prompt, 70, request.seed, sampling(temperature=0))
        for request in make_requests(base, LlamaStepper.max_rows + 2)
    ]
    alone = [list(tokens(tireless, base, request)) for request in requests]
    assert in_turn([tokens(tireless, base, request) for request in requests]) == alone
    assert max(steps) == LlamaStepper.max_rows


def test_other_adapters_decode_in_a_batch_of_their_own(base: OrpheusBase, adapted: Any, steps: list[int]) -> None:
    (request,) = make_requests(base, 1, temperature=0)
    alone = {}
    for name in ("default", "other"):
        adapted.set_adapter(name)
        alone[name] = list(tokens(adapted, base, request))
    with adapted.disable_adapter():
        alone["none"] = list(tokens(adapted, base, request))
    assert len({tuple(spoken) for spoken in alone.values()}) == 3
    adapted.set_adapter("default")
    streams = [tokens(adapted, base, request)]
    got = [[next(streams[0])]]
    adapted.set_adapter("other")
    streams.append(tokens(adapted, base, request))
    got.append([next(streams[1])])
    with adapted.disable_adapter():
        streams.append(tokens(adapted, base, request))
        got.append([next(streams[2])])
    rest = in_turn(streams)
    assert [first + then for first, then in zip(got, rest, strict=True)] == list(alone.values())
    assert set(steps) == {1}


def test_changed_weights_get_a_new_batch(base: OrpheusBase, adapted: Any) -> None:
    (request,) = make_requests(base, 1, temperature=0)
    forgotten = tokens(adapted, base, request)
    next(forgotten)
    for name, weight in adapted.named_parameters():
        if "lora_B.default" in name:
            weight.mul_(-3)
    beside = list(tokens(adapted, base, request))
    forgotten.close()
    assert beside == list(tokens(adapted, base, request))


def test_an_error_ends_all_rows_of_the_batch_and_nothing_else(
    base: OrpheusBase, tireless: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [
        DecodeRequest(request.prompt, 70, request.seed, request.sampling)
        for request in make_requests(base, 2, temperature=0)
    ]
    streams = [tokens(tireless, base, request) for request in requests]
    for stream in streams:
        next(stream)
    with monkeypatch.context() as patch:
        patch.setattr(LlamaStepper, "step", lambda *_: (_ for _ in ()).throw(RuntimeError("no memory")))
        for stream in streams:
            with pytest.raises(RuntimeError, match="no memory"):
                list(stream)
    assert list(tokens(tireless, base, requests[0])) == list(tokens(tireless, base, requests[0]))


def test_a_prompt_that_cannot_be_read_leaves_nothing_behind(
    base: OrpheusBase, tireless: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (request,) = make_requests(base, 1, temperature=0)
    alone = list(tokens(tireless, base, request))
    with monkeypatch.context() as patch:
        patch.setattr(LlamaStepper, "add", lambda *_: (_ for _ in ()).throw(RuntimeError("no memory")))
        with pytest.raises(RuntimeError, match="no memory"):
            next(tokens(tireless, base, request))
    assert not module._ACTIVE_BATCHES[tireless]
    assert list(tokens(tireless, base, request)) == alone


@pytest.mark.parametrize("kind", ["llama", "other"])
def test_a_batch_is_gone_when_all_its_rows_have_ended(
    base: OrpheusBase, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "other":
        monkeypatch.setattr("vtune_orpheus.steppers.can_step", lambda _: False)
    network = base.new_network().eval()
    (request,) = make_requests(base, 1)
    list(tokens(network, base, request))
    with closing(tokens(network, base, request)) as begun:
        next(begun)
        assert module._ACTIVE_BATCHES[network]
    assert not module._ACTIVE_BATCHES[network]
    gone = weakref.ref(network)
    del network, begun
    gc.collect()
    assert gone() is None
