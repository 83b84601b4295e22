"""Tokens of a server that does not know Orpheus's slots are filtered by the mask of this process."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

import pytest
import torch
from torch import nn

from vtune import EngineError, SamplingRequest
from vtune_orpheus.base import OrpheusBase
from vtune_orpheus.decode_batch import sample_from_network
from vtune_orpheus.prompts import prompt_ids
from vtune_orpheus.sampling import OrpheusSampling
from vtune_orpheus.server_sampler import sample_from_server

WORDS = "anna: hello there"


class Server:
    """Samples as vLLM documents it: repetition penalty over prompt and answer, then the most likely of the allowed
    tokens.

    :param bias: added to the logits; what a trained network has learned.
    """

    def __init__(self, network: nn.Module, bias: torch.Tensor | None = None) -> None:
        self.network, self.bias = network, bias
        self.asked: list[SamplingRequest] = []
        self.open = 0

    @torch.no_grad()
    def draw(self, request: SamplingRequest) -> Generator[int, None, None]:
        self.asked.append(request)
        self.open += 1
        try:
            ids = list(request.prompt)
            for _ in range(request.max_tokens):
                logits = self.network(input_ids=torch.tensor([ids]))["logits"][0, -1].float()
                if self.bias is not None:
                    logits = logits + self.bias[len(ids) % 7]
                for seen in set(ids):
                    value = float(logits[seen])
                    logits[seen] = (
                        value / request.repetition_penalty if value > 0 else value * request.repetition_penalty
                    )
                choice = torch.tensor(list(request.allowed) if request.allowed is not None else range(len(logits)))
                ids.append(int(choice[logits[choice].argmax()]))
                yield ids[-1]
                if ids[-1] in request.stop:
                    return
        finally:
            self.open -= 1


def greedy(**changes: float) -> OrpheusSampling:
    return OrpheusSampling(
        **{"temperature": 0, "top_p": 0.8, "repetition_penalty": 1.3, "max_new_tokens": 70, **changes}
    )


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_a_network_of_noise_gives_what_the_mask_gives(base: OrpheusBase, penalty: float) -> None:
    network = base.new_network().eval()
    prompt, sampling = prompt_ids(base.tokenizer, base.layout, WORDS), greedy(repetition_penalty=penalty)
    with torch.no_grad():
        here = list(sample_from_network(network, base.layout, prompt, sampling, 70, 0))
    server = Server(network)
    there = list(sample_from_server(server.draw, base.layout, prompt, sampling, 70, 0))
    assert there == here
    assert len(there) >= 7
    assert server.open == 0
    assert any(request.allowed is not None for request in server.asked)  # noise does not keep to slots


def test_a_network_that_keeps_to_its_slots_is_asked_once(base: OrpheusBase) -> None:
    network, layout = base.new_network().eval(), base.layout
    prompt = prompt_ids(base.tokenizer, layout, WORDS)
    bias = torch.full((7, base.config.vocab_size), -1e4)
    for slot in range(7):
        start, end = layout.slot_range(slot)
        bias[(len(prompt) + slot) % 7, start:end] = 0
    server = Server(network, bias)
    there = list(sample_from_server(server.draw, layout, prompt, greedy(), 70, 5))
    (request,) = server.asked
    assert request.allowed is None
    assert (request.prompt, request.seed, request.max_tokens) == (prompt, 5, 70)
    with torch.no_grad():
        here = list(sample_from_network(network, layout, prompt, greedy(), 70, 0))
    before_the_end = [token for token in here if token != layout.end_of_speech]  # which the bias forbids
    assert there[: len(before_the_end)] == before_the_end


def test_an_end_before_the_first_frame_is_none(base: OrpheusBase) -> None:
    layout = base.layout
    bias = torch.zeros(7, base.config.vocab_size)
    bias[:, layout.end_of_speech] = 1e4
    server = Server(base.new_network().eval(), bias)
    there = list(sample_from_server(server.draw, layout, [1, 2, 3], greedy(repetition_penalty=1.0), 70, 0))
    assert len(there) == 8
    assert there[-1] == layout.end_of_speech
    assert all(token in layout.allowed(index)[0] for index, token in enumerate(there[:7]))


def test_a_server_that_ends_early_is_asked_for_the_rest(base: OrpheusBase) -> None:
    network = base.new_network().eval()
    server = Server(network)
    prompt, sampling = [1, 2, 3], greedy()

    def short(request: SamplingRequest) -> Generator[int, None, None]:
        for number, token in enumerate(server.draw(request)):
            yield token
            if number == 1:
                return

    tokens = list(sample_from_server(server.draw, base.layout, prompt, sampling, 21, 0))
    assert list(sample_from_server(short, base.layout, prompt, sampling, 21, 0)) == tokens


def test_what_no_server_should_do_is_told(base: OrpheusBase) -> None:
    def says(*tokens: int) -> Generator[int, None, None]:
        yield from tokens

    with pytest.raises(EngineError, match="returned no token"):
        list(sample_from_server(lambda request: says(), base.layout, [1], greedy(), 70, 0))
    with pytest.raises(EngineError, match="token 1, which is not among the allowed tokens"):
        list(sample_from_server(lambda request: says(1, 1), base.layout, [1], greedy(), 70, 0))


def test_who_stops_listening_stops_the_drawing(base: OrpheusBase) -> None:
    server = Server(base.new_network().eval())
    tokens = partial(sample_from_server, server.draw, base.layout)([1, 2], greedy(), 70, 0)
    next(tokens)
    tokens.close()
    assert server.open == 0
