"""Decoding code by code is compared with whole forward passes without a cache, and with the rules computed by hand."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.gpt.code_decoder import CodeDecoder, latents, sample_codes
from vtune_indextts2.gpt.code_sampling import CodeSampling, DecodingRules, sample_code
from vtune_indextts2.gpt.network import SemanticGPT, SemanticGPTConfig

SIZES = {
    "model_dim": 16, "layers": 2, "heads": 2, "max_mel_tokens": 20,
    "number_mel_codes": 14, "start_mel_token": 12, "stop_mel_token": 13,
}  # fmt: skip
START, STOP = 12, 13
TEXT = [5, 3, 9]


@pytest.fixture(scope="module")
def network(make_base: Callable[..., IndexTTS2Base]) -> SemanticGPT:
    """Return two narrow layers with weights as large as trained weights; fresh weights hardly attend to anything."""
    sizes = make_base().config.gpt.model_copy(update=SIZES)
    torch.manual_seed(0)
    small = SemanticGPT(SemanticGPTConfig(settings=sizes.model_dump())).double().eval().requires_grad_(False)
    for parameter in small.parameters():
        parameter += 0.3 * torch.randn_like(parameter)
    return small


def conditioning(seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 32, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def greedy(**changes: Any) -> CodeSampling:
    return CodeSampling(**{"temperature": 0.0, "repetition_penalty": 1.0, **changes})


def sampled_codes(
    network: SemanticGPT, sampling: CodeSampling, text: Sequence[int] = TEXT, rng: int = 0, seed: int = 0, **rules: Any
) -> tuple[list[int], bool]:
    start = CodeDecoder(network, conditioning(rng), text, sampling.mel_pos_offset)
    history = sampling.history(network.settings, start.length)
    return sample_codes(
        start, sampling, DecodingRules(**{"stop": STOP, "limit": 12, "history": history, **rules}), seed
    )


def whole(network: SemanticGPT, text: Sequence[int], codes: Sequence[int], offset: int, rng: int = 0) -> torch.Tensor:
    """Return the hidden states of ``[start, codes]`` from one pass over all embeddings, ``[1 + N, D]``."""
    sizes = network.settings
    spelt = torch.tensor([sizes.start_text_token, *text, sizes.stop_text_token])
    places = torch.tensor([0, *(1 + offset + number for number in range(len(codes)))])
    row = torch.cat(
        [
            conditioning(rng)[0],
            network.speed_emb.weight[[1, 0]],
            network.text_embedding.weight[spelt] + network.text_pos_embedding.emb.weight[: len(spelt)],
            network.mel_embedding.weight[[START, *codes]] + network.mel_pos_embedding.emb.weight[places],
        ]
    )
    seen = network.gpt(inputs_embeds=row[None], use_cache=False).last_hidden_state[0]
    return network.final_norm(seen)[34 + len(spelt) :]


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("rng", range(4))
def test_the_cache_changes_nothing(network: SemanticGPT, offset: int, rng: int) -> None:
    codes, stopped = sampled_codes(network, greedy(mel_pos_offset=offset), rng=rng)
    drawn: list[int] = []
    while len(drawn) < 12:
        scores = network.mel_head(whole(network, TEXT, drawn, offset, rng)[-1])
        if not drawn:
            scores[STOP] = -math.inf
        if int(scores.argmax()) == STOP:
            break
        drawn.append(int(scores.argmax()))
    assert codes == drawn
    assert stopped == (len(drawn) < 12)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(2, 40), max_size=8), st.lists(st.integers(0, 11), max_size=8), st.sampled_from([0, 1]))
def test_logits_after_any_codes_are_those_of_a_whole_pass(
    network: SemanticGPT, text: list[int], codes: list[int], offset: int
) -> None:
    continuation = CodeDecoder(network, conditioning(), text, offset, rows=2)
    assert continuation.length == 34 + len(text) + 2 + 1
    for count in range(len(codes) + 1):
        expected = network.mel_head(whole(network, text, codes[:count], offset)[-1]).float()
        assert continuation.logits().dtype == torch.float32
        for row in continuation.logits():
            torch.testing.assert_close(row, expected, rtol=1e-6, atol=1e-6)
        if count < len(codes):
            continuation.advance(torch.tensor([codes[count]] * 2))


def test_rows_go_their_own_ways_and_change_places(network: SemanticGPT) -> None:
    rows = CodeDecoder(network, conditioning(), TEXT, 0, rows=3)
    rows.advance(torch.tensor([4, 5, 6]))
    rows.reorder(torch.tensor([2, 0, 0]))
    rows.advance(torch.tensor([1, 2, 3]))
    for row, codes in zip(rows.logits(), ([6, 1], [4, 2], [4, 3]), strict=True):
        expected = network.mel_head(whole(network, TEXT, codes, 0)[-1]).float()
        torch.testing.assert_close(row, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_latents_are_the_hidden_states_from_which_each_code_was_said(network: SemanticGPT, count: int) -> None:
    codes = [3, 3, 8, 0, 11, 2, 7][:count]
    result = latents(network, conditioning(), TEXT, codes)
    assert result.shape == (1, count, 16)
    torch.testing.assert_close(result[0], whole(network, TEXT, codes, 0)[:count], rtol=0, atol=1e-12)
    continuation = CodeDecoder(network, conditioning(), TEXT, 0)
    for code, hidden in zip(codes, result[0], strict=True):
        torch.testing.assert_close(continuation.logits()[0], network.mel_head(hidden).float(), rtol=1e-6, atol=1e-6)
        continuation.advance(torch.tensor([code]))


@pytest.mark.parametrize("offset", [0, 1])
def test_the_table_of_positions_holds_the_longest_utterance(network: SemanticGPT, offset: int) -> None:
    longest = network.settings.mel_positions - 1 - offset
    codes, stopped = sampled_codes(network, greedy(mel_pos_offset=offset), limit=longest, never=[STOP])
    assert (len(codes), stopped) == (longest, False)
    assert latents(network, conditioning(), TEXT, codes).isfinite().all()


# Rules, against logits that are known.


class Scripted:
    """Replaces a continuation: gives the same logits always, or those of a list in turn."""

    def __init__(self, *logits: Sequence[float]) -> None:
        self._logits = [torch.tensor([row], dtype=torch.float32) for row in logits]
        self.said: list[int] = []

    def logits(self) -> torch.Tensor:
        return self._logits[len(self.said) % len(self._logits)]

    def advance(self, codes: torch.Tensor) -> None:
        self.said += codes.tolist()


def scripted(*logits: Sequence[float], sampling: CodeSampling | None = None, seed: int = 0, **rules: Any) -> Any:
    continuation = Scripted(*logits)
    result = sample_codes(continuation, sampling or greedy(), DecodingRules(**{"stop": 4, "limit": 6, **rules}), seed)  # type: ignore[arg-type]
    assert continuation.said == (result[0] if result[1] else result[0][:-1])  # the last of a full row is not said
    return result


def test_the_likeliest_code_is_taken_until_the_stop_or_the_limit() -> None:
    favours = np.eye(5).tolist()
    assert scripted(favours[2], favours[0], favours[4]) == ([2, 0], True)
    assert scripted(favours[2], favours[0]) == ([2, 0, 2, 0, 2, 0], False)
    assert scripted(favours[3], limit=1) == ([3], False)


def test_nothing_is_stopped_before_it_began() -> None:
    assert scripted([1.0, 3.0, 2.0, 0.0, 9.0]) == ([1], True)
    for seed in range(20):
        codes, stopped = scripted([0.0, 0.0, 0.0, 0.0, 9.0], sampling=CodeSampling(repetition_penalty=1.0), seed=seed)
        assert len(codes) == 1
        assert stopped


def test_codes_that_may_never_come_do_not_come() -> None:
    assert scripted([1.0, 9.0, 2.0, 8.0, 0.0], never=[1, 3]) == ([2] * 6, False)
    loose = CodeSampling(temperature=3.0, top_k=0, top_p=1.0, repetition_penalty=1.0)
    drawn = [code for s in range(20) for code in scripted([0.0] * 5, sampling=loose, seed=s, never=[1, 3])[0]]
    assert set(drawn) == {0, 2}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(-5, 5, width=32), min_size=14, max_size=14), st.lists(st.integers(0, 11), max_size=9))
def test_the_penalty_divides_what_is_above_zero_and_multiplies_what_is_below(
    scores: list[float], said: list[int]
) -> None:
    chain = greedy(repetition_penalty=2.5).processors(DecodingRules(STOP, 9, [START]))
    after = chain(torch.tensor([[START, 0, *said]]), torch.tensor([scores]))[0].tolist()
    for code, score in enumerate(scores):
        penalised = score / 2.5 if score > 0 else score * 2.5
        assert after[code] == pytest.approx(penalised if code in {START, 0, *said} else score, rel=1e-6), code


@pytest.mark.parametrize(
    ("logits", "penalty", "codes"),
    [
        ([3.0, 2.5, 0.2, 0.1, -50.0], 10.0, [0, 1, 0, 0, 0, 0]),
        ([-0.1, -0.3, -0.5, -0.7, -50.0], 10.0, [0, 1, 2, 3, 0, 0]),
        ([-0.1, -0.3, -0.5, -0.7, -50.0], 1.5, [0, 0, 0, 0, 0, 0]),
    ],
)
def test_the_penalty_counts_what_was_said_once(logits: list[float], penalty: float, codes: list[int]) -> None:
    assert scripted(logits, sampling=greedy(repetition_penalty=penalty)) == (codes, False)


def test_upstreams_history_penalises_code_1_and_the_start_from_the_beginning(network: SemanticGPT) -> None:
    sizes = network.settings
    assert greedy().history(sizes, 40) == []
    assert greedy(penalty_history="upstream").history(sizes, 40) == [1] * 39 + [START]
    scores = torch.linspace(3, -3, 14)[None]
    for history, penalised in (("codes", {7, 9}), ("upstream", {1, 7, 9, START})):
        sampling = greedy(repetition_penalty=10.0, penalty_history=history)
        before = sampling.history(sizes, 40)
        chain = sampling.processors(DecodingRules(STOP, 9, before))
        after = chain(torch.tensor([[*before, 7, 9]]), scores.clone())
        assert {code for code in range(14) if after[0, code] != scores[0, code]} == penalised
        # The stop may come from the second code on, whatever stands in the history.
        first = chain(torch.tensor([before], dtype=torch.long), scores.clone())
        assert first[0, STOP] == -math.inf


def chances_by_hand(logits: np.ndarray, temperature: float, top_k: int, top_p: float) -> np.ndarray:
    """Keep the ``top_k`` most likely codes, and of these the fewest whose probabilities add up to ``top_p``."""
    scaled = logits.astype(np.float64) / temperature
    order = np.argsort(-scaled, kind="stable")[: top_k or None]
    chances = np.exp(scaled[order] - scaled.max())
    chances /= chances.sum()
    kept = int(np.searchsorted(chances.cumsum(), top_p - 1e-9)) + 1
    result = np.zeros(len(logits))
    result[order[:kept]] = chances[:kept] / chances[:kept].sum()
    return result


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 999), st.floats(0.2, 3.0), st.integers(0, 16), st.floats(0.05, 1.0))
def test_what_is_drawn_from_is_the_nucleus_of_the_likeliest(
    seed: int, temperature: float, top_k: int, top_p: float
) -> None:
    logits = np.random.default_rng(seed).normal(0, 2, 14).astype(np.float32)
    sampling = CodeSampling(temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=1.0)
    scores = sampling.processors(DecodingRules(STOP, 9, [0]))(torch.tensor([[0, 3]]), torch.from_numpy(logits)[None])
    expected = chances_by_hand(logits, temperature, top_k, top_p)
    np.testing.assert_allclose(scores.softmax(-1)[0].numpy(), expected, atol=1e-5)


def test_codes_are_drawn_as_often_as_their_chances_say() -> None:
    scores = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.0]]).log()
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(sample_code(scores, CodeSampling(), generator) for _ in range(4000))
    assert [drawn[code] / 4000 for code in range(5)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.0], abs=0.03)


def test_a_seed_draws_the_same_and_another_draws_another(network: SemanticGPT) -> None:
    warm = CodeSampling(temperature=1.0, top_k=0, top_p=1.0, repetition_penalty=1.0)
    first, again, other = (sampled_codes(network, warm, seed=seed, never=[STOP]) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    torch.rand(3)  # whatever else is drawn meanwhile
    assert sampled_codes(network, warm, seed=1, never=[STOP]) == first


def test_without_temperature_the_seed_means_nothing(network: SemanticGPT) -> None:
    assert sampled_codes(network, greedy(), seed=1) == sampled_codes(network, greedy(), seed=2)
    cold = CodeSampling(temperature=1e-5, repetition_penalty=1.0)
    assert sampled_codes(network, cold, seed=3) == sampled_codes(network, greedy(), seed=0)
