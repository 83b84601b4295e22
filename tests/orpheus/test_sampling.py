from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from vtune import Ending, VoiceError
from vtune_orpheus.base import OrpheusBase
from vtune_orpheus.decode_batch import sample_from_network
from vtune_orpheus.layout import Layout
from vtune_orpheus.prompts import prompt_ids
from vtune_orpheus.sampling import OrpheusSampling
from vtune_orpheus.sampling import sample_frames as frames_of


class Scripted(nn.Module):
    """Answers with logits that prefer one token, or with noise."""

    def __init__(self, vocabulary: int, favourite: int | None, seed: int = 0) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self._vocabulary, self._favourite = vocabulary, favourite
        self._generator = torch.Generator().manual_seed(seed)

    def forward(self, input_ids: torch.Tensor, **_: object) -> dict[str, torch.Tensor]:
        logits = torch.randn(1, 1, self._vocabulary, generator=self._generator) * 10
        if self._favourite is not None:
            logits[..., self._favourite] = 1e4
        return {"logits": logits}


def sampling(**changes: float) -> OrpheusSampling:
    return OrpheusSampling(
        **{"temperature": 1.0, "top_p": 1.0, "repetition_penalty": 1.0, "max_new_tokens": 70, **changes}
    )


def sample_frames(model: nn.Module, layout: Layout, *asked: Any) -> Iterator[tuple[list[int], Ending | None]]:
    return frames_of(partial(sample_from_network, model, layout), layout, *asked)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.1, 1.0), st.floats(1.0, 2.0), st.floats(0.1, 3.0))
def test_no_settings_let_a_token_into_a_slot_it_does_not_belong_to(
    base: OrpheusBase, seed: int, top_p: float, penalty: float, temperature: float
) -> None:
    layout = base.layout
    settings_ = sampling(top_p=top_p, repetition_penalty=penalty, temperature=temperature)
    model = Scripted(base.config.vocab_size, None, seed)
    frames = [f for f, ending in sample_frames(model, layout, [1, 2, 3], settings_, 10**6, seed) if ending is None]
    assert frames
    for frame in frames:
        for slot, token in enumerate(frame):
            start, end = layout.slot_range(slot)
            assert start <= token < end


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.1, 1.0), st.floats(1.0, 2.0), st.floats(0.1, 3.0))
def test_a_slot_alone_is_drawn_from_as_from_the_whole_vocabulary_with_all_else_masked(
    base: OrpheusBase, seed: int, top_p: float, penalty: float, temperature: float
) -> None:
    layout, prompt = base.layout, [1, 2, base.layout.audio + 3, base.layout.end_of_speech]
    settings_ = sampling(top_p=top_p, repetition_penalty=penalty, temperature=temperature)
    drawn = list(sample_from_network(Scripted(base.config.vocab_size, None, seed), layout, prompt, settings_, 70, seed))

    model, generator = Scripted(base.config.vocab_size, None, seed), torch.Generator().manual_seed(seed)
    chain = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(penalty), TemperatureLogitsWarper(temperature)])
    if top_p < 1:
        chain.append(TopPLogitsWarper(top_p))
    ids = list(prompt)
    for index, token in enumerate(drawn):
        start, end = layout.slot_range(index % 7)
        allowed = list(range(start, end)) + ([layout.end_of_speech] if index and index % 7 == 0 else [])
        masked = torch.full((1, base.config.vocab_size), float("-inf"))
        masked[0, allowed] = model(torch.zeros(1, 1))["logits"][0, -1, allowed]
        chances = chain(torch.tensor([ids]), masked).softmax(-1)
        # At the first place the end of speech stands among what is drawn from, without a chance.
        among = [*range(start, end), *([layout.end_of_speech] if index % 7 == 0 else [])]
        assert float(chances[0, among].sum()) == pytest.approx(1)
        assert token == among[int(torch.multinomial(chances[0, among], 1, generator=generator))]
        ids.append(token)


def test_an_utterance_is_never_empty_and_ends_at_the_end_token(base: OrpheusBase) -> None:
    model = Scripted(base.config.vocab_size, base.layout.end_of_speech)
    got = list(sample_frames(model, base.layout, [1], sampling(), 10**6, 0))
    assert [ending for _, ending in got] == [None, Ending.END_TOKEN]
    assert len(got[0][0]) == 7


@pytest.mark.parametrize(("runaway", "frames", "ending"), [(10**6, 10, Ending.LIMIT), (30, 4, Ending.RUNAWAY)])
def test_an_utterance_that_does_not_end_is_stopped_and_says_so(
    base: OrpheusBase, runaway: int, frames: int, ending: Ending
) -> None:
    model = Scripted(base.config.vocab_size, base.layout.audio)  # favours no end
    got = list(sample_frames(model, base.layout, [1], sampling(), runaway, 0))
    assert len(got) == frames + 1
    assert got[-1] == ([], ending)


def test_the_cache_changes_nothing(base: OrpheusBase) -> None:
    """With the cache, near-greedy sampling picks at every step what a whole forward pass picks."""
    network = base.new_network().eval()
    prompt = prompt_ids(base.tokenizer, base.layout, "a: hello")
    cold = sampling(temperature=1e-4, max_new_tokens=21)
    with torch.no_grad():
        frames = sample_frames(network, base.layout, prompt, cold, 10**6, 0)
        drawn = [token for frame, _ in frames for token in frame]
        ids = list(prompt)
        for index in range(21):
            scores = network(input_ids=torch.tensor([ids]))["logits"][0, -1]
            start, end = base.layout.slot_range(index % 7)
            best = start + int(scores[start:end].argmax())
            if index % 7 == 0 and index and scores[base.layout.end_of_speech] > scores[best]:
                break
            ids.append(best)
    assert len(drawn) >= 7
    assert drawn == ids[len(prompt) :]


def test_the_same_seed_draws_the_same(base: OrpheusBase) -> None:
    network = base.new_network().eval()

    def draw(seed: int) -> list[list[int]]:
        with torch.no_grad():
            return [f for f, _ in sample_frames(network, base.layout, [5, 6], sampling(), 10**6, seed)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_at_temperature_0_the_likeliest_token_is_taken_whatever_the_seed(base: OrpheusBase) -> None:
    def frames(seed: int, temperature: float) -> list[list[int]]:
        model = Scripted(base.config.vocab_size, None, seed=3)
        settings_ = sampling(temperature=temperature)
        return [frame for frame, _ in sample_frames(model, base.layout, [1], settings_, 10**6, seed)]

    greedy = frames(0, 0)
    assert greedy == frames(1, 0)
    assert greedy != frames(0, 100.0)
    logits = Scripted(base.config.vocab_size, None, seed=3)(input_ids=torch.zeros(1, 1))["logits"][0, -1]
    start, end = base.layout.slot_range(0)
    assert greedy[0][0] == start + int(logits[start:end].argmax())


@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_computes_no_numbers_is_told_in_one_line(
    base: OrpheusBase, temperature: float, value: float
) -> None:
    model = Scripted(base.config.vocab_size, None)
    model.forward = lambda **_: {"logits": torch.full((1, 1, base.config.vocab_size), value)}  # type: ignore[method-assign]
    asked = sampling(temperature=temperature, top_p=0.9, repetition_penalty=1.1)
    with pytest.raises(VoiceError, match=r"^the voice computes no numbers for this text [^\n]*$"):
        list(sample_frames(model, base.layout, [1, 2, 3], asked, 10**6, 0))
