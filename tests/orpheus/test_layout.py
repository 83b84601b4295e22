from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune import EngineError
from vtune_orpheus import tiny_checkpoint
from vtune_orpheus.layout import Layout, derive_layout


class PublishedTokenizer:
    """Ids of the published checkpoint: Llama 3 below 128256, then ``<custom_token_i>`` at 128256 + i."""

    bos_token_id = 128000
    unk_token_id = None

    def convert_tokens_to_ids(self, token: str) -> int | None:
        if token == "<|eot_id|>":
            return 128009
        number = int(token.removeprefix("<custom_token_").removesuffix(">"))
        return 128256 + number if number < 28683 else None


SNAC = {"vq_strides": [4, 2, 1], "codebook_size": 4096}


@pytest.fixture
def published() -> Layout:
    return derive_layout(PublishedTokenizer(), SNAC, 156940, "published")


def test_layout_of_the_released_checkpoint_is_the_published_one(published: Layout) -> None:
    assert published.settings() == {
        "begin_of_text": 128000,
        "end_of_text": 128009,
        "start_of_speech": 128257,
        "end_of_speech": 128258,
        "start_of_human": 128259,
        "end_of_human": 128260,
        "start_of_ai": 128261,
        "end_of_ai": 128262,
        "pad": 128263,
        "audio": 128266,
        "codebook": 4096,
    }
    assert published.audio_end - 1 == 156937


def test_a_frame_laid_out_by_hand(published: Layout) -> None:
    codes = [torch.tensor([[5, 6]]), torch.tensor([[7, 9, 70, 90]]), torch.tensor([[1, 2, 3, 4, 10, 20, 30, 40]])]
    first = [128266 + 5, 132362 + 7, 136458 + 1, 140554 + 2, 144650 + 9, 148746 + 3, 152842 + 4]
    second = [128266 + 6, 132362 + 70, 136458 + 10, 140554 + 20, 144650 + 90, 148746 + 30, 152842 + 40]
    assert published.interleave(codes).tolist() == first + second


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 12), st.integers(0, 2**31))
def test_deinterleaving_undoes_interleaving(frames: int, seed: int) -> None:
    layout = derive_layout(PublishedTokenizer(), SNAC, 156940, "published")
    generator = torch.Generator().manual_seed(seed)
    codes = [torch.randint(0, 4096, (1, frames * count), generator=generator) for count in (1, 2, 4)]
    tokens = layout.interleave(codes)
    assert len(tokens) == 7 * frames
    for level, back in zip(codes, layout.deinterleave(tokens), strict=True):
        assert torch.equal(level, back)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 2), max_size=20))
def test_repeated_frames_are_dropped_as_a_plain_loop_drops_them(firsts: list[int]) -> None:
    layout = derive_layout(PublishedTokenizer(), SNAC, 156940, "published")
    frames = [[layout.audio + first, *range(index, index + 6)] for index, first in enumerate(firsts)]
    kept: list[list[int]] = []
    for frame in frames:
        if not kept or frame[0] != kept[-1][0]:
            kept.append(frame)
    tokens = torch.tensor([token for frame in frames for token in frame], dtype=torch.long)
    assert layout.drop_repeats(tokens).tolist() == [token for frame in kept for token in frame]


@pytest.mark.parametrize(
    ("tokens", "says"),
    [([128266] * 8, "whole frames"), ([128266] * 7, "slot"), ([128265, *[128266] * 6], "slot")],
)
def test_tokens_that_are_no_frames_are_refused(published: Layout, tokens: list[int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        published.deinterleave(torch.tensor(tokens))


def test_levels_of_the_wrong_lengths_are_refused(published: Layout) -> None:
    with pytest.raises(ValueError, match="1 : 2 : 4"):
        published.interleave([torch.zeros(1, 2), torch.zeros(1, 4), torch.zeros(1, 7)])


def test_a_codec_with_other_strides_is_refused() -> None:
    with pytest.raises(EngineError, match=r"strides \[8, 4, 2, 1\]"):
        derive_layout(PublishedTokenizer(), {"vq_strides": [8, 4, 2, 1], "codebook_size": 4096}, 156940, "it")


def test_a_codebook_larger_than_the_tokenizer_is_refused() -> None:
    with pytest.raises(EngineError, match="lacks <custom_token_57353>"):
        derive_layout(PublishedTokenizer(), {"vq_strides": [4, 2, 1], "codebook_size": 8192}, 156940, "it")


def test_a_network_with_too_few_tokens_is_refused() -> None:
    with pytest.raises(EngineError, match=r"128256 tokens.*needs 156938"):
        derive_layout(PublishedTokenizer(), SNAC, 128256, "it")


def test_a_small_tokenizer_gives_a_small_layout() -> None:
    tokenizer = tiny_checkpoint.build_tokenizer(32)
    layout = derive_layout(tokenizer, {"vq_strides": [4, 2, 1], "codebook_size": 32}, len(tokenizer), "small")
    assert layout.audio == tokenizer.convert_tokens_to_ids("<custom_token_10>")
    assert layout.audio_end == len(tokenizer)
