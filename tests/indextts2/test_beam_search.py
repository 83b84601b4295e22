"""Beam search compared with transformers' own, draw by draw, and with all possible sequences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from vtune import VoiceError
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.gpt.beam_search import search_codes
from vtune_indextts2.gpt.code_decoder import CodeDecoder, latents, sample_codes
from vtune_indextts2.gpt.code_sampling import CodeSampling, DecodingRules
from vtune_indextts2.gpt.network import SemanticGPT, SemanticGPTConfig

START, STOP, ROWS = 6, 7, 8
TEXT = [5, 3, 9]


@pytest.fixture(scope="module")
def make_network(make_base: Callable[..., IndexTTS2Base]) -> Callable[[int], SemanticGPT]:
    """Return a narrow network of eight codes that prefers some of them clearly, so that a search can win something."""
    sizes = {
        "model_dim": 16, "layers": 1, "heads": 2,
        "number_mel_codes": ROWS, "start_mel_token": START, "stop_mel_token": STOP,
    }  # fmt: skip
    section = make_base().config.gpt.model_copy(update=sizes).model_dump()
    made: dict[int, SemanticGPT] = {}

    def make(seed: int) -> SemanticGPT:
        if seed not in made:
            torch.manual_seed(seed)
            made[seed] = SemanticGPT(SemanticGPTConfig(settings=section)).double().eval().requires_grad_(False)
            for parameter in made[seed].parameters():
                parameter += 0.2 * torch.randn_like(parameter)
        return made[seed]

    return make


class Generating(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """The network in the form that transformers' own generation needs: one row of ids ``[start, codes]``, no cache."""

    main_input_name = "input_ids"

    def __init__(self, network: SemanticGPT) -> None:
        super().__init__(PretrainedConfig())
        self.network = network

    def prepare_inputs_for_generation(self, input_ids: torch.Tensor, **_: Any) -> dict[str, Any]:
        return {"input_ids": input_ids}

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        rows = [latents(self.network, conditioning(), TEXT, [*row[1:], 0])[0, -1:] for row in input_ids.tolist()]
        return CausalLMOutput(logits=self.network.mel_head(torch.stack(rows)))


def conditioning() -> torch.Tensor:
    return torch.randn(1, 32, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def search(
    network: SemanticGPT, sampling: CodeSampling, limit: int, seed: int = 0, never: Sequence[int] = (START,)
) -> tuple[list[int], bool]:
    start = CodeDecoder(network, conditioning(), TEXT, 0, sampling.beams)
    return search_codes(start, sampling, DecodingRules(STOP, limit, [START], never), seed)


def theirs(network: SemanticGPT, sampling: CodeSampling, limit: int, seed: int = 0) -> tuple[list[int], bool]:
    drawing = {"temperature": sampling.temperature, "top_k": sampling.top_k, "top_p": sampling.top_p}
    config = GenerationConfig(
        num_beams=sampling.beams,
        do_sample=sampling.is_random,
        max_new_tokens=limit,
        length_penalty=sampling.length_penalty,
        repetition_penalty=sampling.repetition_penalty,
        suppress_tokens=[START],
        begin_suppress_tokens=[STOP],
        eos_token_id=STOP,
        pad_token_id=STOP,
        bos_token_id=START,
        use_cache=False,
        **(drawing if sampling.is_random else {}),
    )
    torch.manual_seed(seed)
    row = Generating(network).generate(torch.tensor([[START]]), generation_config=config)[0, 1:].tolist()
    return (row[: row.index(STOP)], True) if STOP in row else (row, False)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 9), st.integers(2, 4), st.integers(1, 9), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]),
    st.sampled_from([1.0, 1.3, 10.0]),
)  # fmt: skip
def test_beams_are_those_of_transformers(
    make_network: Callable[[int], SemanticGPT], seed: int, beams: int, limit: int, length: float, penalty: float
) -> None:
    network = make_network(seed)
    sampling = CodeSampling(temperature=0, beams=beams, length_penalty=length, repetition_penalty=penalty)
    assert search(network, sampling, limit) == theirs(network, sampling, limit)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 9), st.integers(0, 999), st.integers(2, 4), st.integers(1, 9), st.sampled_from([0.0, 1.0]),
    st.sampled_from([0, 3, 5]), st.sampled_from([0.6, 1.0]), st.sampled_from([0.5, 1.5]),
)  # fmt: skip
def test_drawn_beams_are_those_of_transformers_with_the_same_seed(
    make_network: Callable[[int], SemanticGPT],
    number: int, seed: int, beams: int, limit: int, length: float, top_k: int, top_p: float, temperature: float,
) -> None:  # fmt: skip
    network = make_network(number)
    sampling = CodeSampling(temperature, top_k, top_p, 1.2, beams=beams, length_penalty=length)
    assert search(network, sampling, limit, seed) == theirs(network, sampling, limit, seed)


@pytest.mark.parametrize("length", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_enough_beams_find_the_best_of_all_sequences(
    make_network: Callable[[int], SemanticGPT], seed: int, length: float
) -> None:
    network, limit, codes = make_network(seed), 4, [0, 1, 2]
    never = [code for code in range(ROWS) if code not in (*codes, STOP)]
    scores: dict[tuple[tuple[int, ...], bool], float] = {}

    def visit(codes_so_far: tuple[int, ...], score: float) -> None:
        continuation = CodeDecoder(network, conditioning(), TEXT, 0)
        for code in codes_so_far:
            continuation.advance(torch.tensor([code]))
        log_p = continuation.logits()[0].double().log_softmax(-1).tolist()
        if codes_so_far:
            scores[codes_so_far, True] = (score + log_p[STOP]) / (len(codes_so_far) + 1) ** length
        for code in codes:
            if len(codes_so_far) + 1 == limit:
                scores[(*codes_so_far, code), False] = (score + log_p[code]) / limit**length
            else:
                visit((*codes_so_far, code), score + log_p[code])

    visit((), 0.0)
    assert len(scores) == 3 + 9 + 27 + 81
    sampling = CodeSampling(temperature=0, repetition_penalty=1.0, beams=81, length_penalty=length)
    best_codes, stopped = search(network, sampling, limit, never=never)
    assert (tuple(best_codes), stopped) == max(scores, key=lambda row: scores[row])


@pytest.mark.parametrize("seed", range(8))
def test_one_beam_is_greedy(make_network: Callable[[int], SemanticGPT], seed: int) -> None:
    network, sampling = make_network(seed), CodeSampling(temperature=0, repetition_penalty=1.0)
    rules = DecodingRules(STOP, 9, [START], [START])
    start = CodeDecoder(network, conditioning(), TEXT, 0)
    assert search(network, sampling, 9) == sample_codes(start, sampling, rules, 0)


class Scripted:
    """Replaces a continuation: the same probabilities after any code; counts its steps."""

    def __init__(self, rows: int, chances: Sequence[float]) -> None:
        self._logits = torch.tensor([list(chances)] * rows).log()
        self.steps = 0

    def logits(self) -> torch.Tensor:
        return self._logits

    def advance(self, codes: torch.Tensor) -> None:
        assert len(codes) == len(self._logits)
        self.steps += 1

    def reorder(self, rows: torch.Tensor) -> None:
        assert len(rows) == len(self._logits)


def scripted(chances: Sequence[float], limit: int = 50, **changes: Any) -> tuple[list[int], bool, int]:
    """Return a continuation over the codes 0, 1, 2 and the stop code 3."""
    sampling = CodeSampling(**{"temperature": 0.0, "repetition_penalty": 1.0, "beams": 3, **changes})
    continuation = Scripted(sampling.beams, chances)
    codes, stopped = search_codes(continuation, sampling, DecodingRules(3, limit), 0)  # type: ignore[arg-type]
    return codes, stopped, continuation.steps


def test_the_search_ends_when_no_row_can_be_better_than_those_that_ended() -> None:
    assert scripted([0.3, 0.2, 0.1, 0.4]) == ([0], True, 2)


def test_a_search_that_nothing_stops_ends_at_the_limit() -> None:
    assert scripted([0.5, 0.3, 0.2, 0.0], limit=7) == ([0] * 7, False, 6)


def test_the_length_penalty_prefers_long_utterances() -> None:
    # Each code but the stop is as good as certain: the mean of a long row is the better one.
    shares = [0.8, 0.05, 0.05, 0.1]
    short, long = (len(scripted(shares, limit=12, length_penalty=penalty)[0]) for penalty in (-2.0, 2.0))
    assert short < long
    best = max(range(2, 13), key=lambda n: (math.log(0.8) * (n - 1) + math.log(0.1)) / n)
    assert best == 12


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 999), st.integers(2, 5), st.sampled_from([0, 1, 2]), st.floats(0.01, 1.0))
def test_however_little_is_left_to_draw_from_something_is_said_by_the_rules(
    seed: int, beams: int, top_k: int, top_p: float
) -> None:
    sampling = CodeSampling(temperature=1.0, top_k=top_k, top_p=top_p, repetition_penalty=1.0, beams=beams)
    continuation = Scripted(beams, [0.2, 0.1, 0.3, 0.4])
    codes, stopped = search_codes(continuation, sampling, DecodingRules(3, 6, never=[1]), seed)  # type: ignore[arg-type]
    assert 1 <= len(codes) <= 6
    assert set(codes) <= {0, 2}
    assert stopped or len(codes) == 6


def test_a_seed_draws_the_same_beams_and_another_draws_others(make_network: Callable[[int], SemanticGPT]) -> None:
    sampling = CodeSampling(temperature=2.0, top_k=0, top_p=1.0, repetition_penalty=1.0, beams=3)
    drawn = [search(make_network(0), sampling, 9, seed, never=[STOP]) for seed in (1, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert len({tuple(codes) for codes, _ in drawn}) > 1


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_computes_no_numbers_is_told_in_one_line(
    make_network: Callable[[int], SemanticGPT],
    beams: int,
    temperature: float,
    value: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sampling = CodeSampling(temperature=temperature, beams=beams)
    start = CodeDecoder(make_network(0), torch.zeros(1, 32, 16, dtype=torch.float64), TEXT, 0, beams)
    monkeypatch.setattr(start, "logits", lambda: torch.full((beams, ROWS), value))
    with pytest.raises(VoiceError, match=r"^the voice computes no numbers for this text [^\n]*$"):
        (search_codes if beams > 1 else sample_codes)(start, sampling, DecodingRules(STOP, 5), 0)
