"""Deliberate mistakes, each of which the parity kit must notice: a test that cannot fail proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from indextts25_stages import Chain, check_chain, check_codec, check_gpt, check_s2mel, check_text
from torch.nn import functional as F

from vtune_indextts2.gpt import network
from vtune_indextts2.gpt.emotion import EmotionTable
from vtune_indextts2.gpt.network import SemanticGPT
from vtune_indextts2.gpt.row_layout import make_row
from vtune_indextts2.gpt.style_network import StyleGPT
from vtune_indextts2.multilingual import annotations, frontend, languages, segments, tokens
from vtune_indextts2.multilingual.frontend import MultilingualFrontend
from vtune_indextts2.multilingual.tokens import BytePairEncoder
from vtune_indextts2.releases.indextts_2_5 import IndexTTS25
from vtune_indextts2.s2mel import length_regulator
from vtune_indextts2.semantic import half_rate_codec
from vtune_indextts2.semantic.codec import VectorQuantizer
from vtune_indextts2.semantic.half_rate_codec import HalfRateCodec

Kit = Callable[[str], Any]
Patch = pytest.MonkeyPatch


def replace(owner: Any, name: str, make: Callable[[Any], Any]) -> Callable[[Patch], None]:
    """Return a mistake: an attribute is replaced by what ``make`` makes of it."""
    return lambda patch: patch.setattr(owner, name, make(getattr(owner, name)))


# The GPT


def without_language(right: Any) -> Any:
    return lambda self, ids, positions, languages: SemanticGPT.embed_text(self, ids, positions, None)


def language_on_some(keeps: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Callable[[Any], Any]:
    """Return a mistake: the row stands only where ``keeps`` says so, given ids and positions."""

    def make(right: Any) -> Any:
        def embed(self: StyleGPT, ids: torch.Tensor, positions: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
            bare = SemanticGPT.embed_text(self, ids, positions, None)
            return bare + self.lang_embedding(rows) * keeps(ids, positions)[..., None]

        return embed

    return make


def neighbouring_language(right: Any) -> Any:
    return lambda self, ids, positions, rows: right(self, ids, positions, rows + 1)


def prefix(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Patch], None]:
    return replace(StyleGPT, "prefix", lambda right: lambda self, told: change(right(self, told)))


def told(change: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Callable[[Patch], None]:
    """Return a mistake in what the GPT is told of style and emotion."""
    return replace(IndexTTS25, "join", lambda right: lambda self, style, emotion: change(style, emotion))


def later_codes(right: Any) -> Any:
    def make_row(*arguments: Any) -> Any:
        row = right(*arguments)
        row.positions[row.kinds == network.CODE_TOKEN] += 1
        return row

    return make_row


GPT: dict[str, Callable[[Patch], None]] = {
    "no language row": replace(StyleGPT, "embed_text", without_language),
    "no language row on the start": replace(StyleGPT, "embed_text", language_on_some(lambda ids, at: at > 0)),
    "no language row on the stop": replace(
        StyleGPT, "embed_text", language_on_some(lambda ids, at: (ids != 1) | (at < 1))
    ),
    "the next language's row": replace(StyleGPT, "embed_text", neighbouring_language),
    "one zero vector": prefix(lambda rows: rows[:, :2]),
    "three zero vectors": prefix(lambda rows: torch.cat([rows, rows[:, 1:2]], dim=1)),
    "the speaker last": prefix(lambda rows: rows.flip(1)),
    "the speaker three times": prefix(lambda rows: rows[:, :1].expand(-1, 3, -1)),
    "a normalised style": told(lambda style, emotion: torch.cat([F.normalize(style, dim=-1), emotion], dim=-1)),
    "no emotion": told(lambda style, emotion: torch.cat([style, torch.zeros_like(emotion)], dim=-1)),
    "emotion twice": told(lambda style, emotion: torch.cat([style, 2 * emotion], dim=-1)),
    "codes one position later": lambda patch: patch.setattr("indextts25_stages.make_row", later_codes(make_row)),
    "another weight of the losses": lambda patch: patch.setattr(network.SemanticGPT, "loss_weights", (0.5, 0.5)),
    "ids 0 and 1 kept where upstream drops them": lambda patch: patch.setattr("indextts25_stages.DROPPED_IDS", ()),
    "the least similar emotion": replace(
        EmotionTable, "nearest", lambda right: lambda self, style: right(self, -style)
    ),
}


@pytest.mark.parametrize("mistake", GPT)
def test_a_mistake_in_the_gpt(mistake: str, kit25: Kit, monkeypatch: Patch) -> None:
    GPT[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        check_gpt(kit25("d25_gpt"))


def test_training_without_the_language_cannot_happen(kit25: Kit, monkeypatch: Patch) -> None:
    """Upstream's own forward leaves the row out; here a batch without languages is an error."""
    right = StyleGPT.forward
    monkeypatch.setattr(StyleGPT, "forward", lambda self, languages=None, **batch: right(self, **batch))
    with pytest.raises(ValueError, match="row of its language"):
        check_gpt(kit25("d25_gpt"))


# The codec


def tiled(self: HalfRateCodec, codes: torch.Tensor) -> torch.Tensor:
    return self.up(self.decoder(self.lookup(codes)).repeat(1, 2, 1).transpose(1, 2)).transpose(1, 2)


def raised_first(self: HalfRateCodec, codes: torch.Tensor) -> torch.Tensor:
    return self.up(self.decoder(self.lookup(codes)).transpose(1, 2)).transpose(1, 2).repeat_interleave(2, dim=1)


def not_raised(self: HalfRateCodec, codes: torch.Tensor) -> torch.Tensor:
    return self.decoder(self.lookup(codes)).repeat_interleave(2, dim=1)


def not_decoded(self: HalfRateCodec, codes: torch.Tensor) -> torch.Tensor:
    return self.up(self.lookup(codes).repeat_interleave(2, dim=1).transpose(1, 2)).transpose(1, 2)


def activated(self: HalfRateCodec, codes: torch.Tensor) -> torch.Tensor:
    return F.gelu(RIGHT_DECODE(self, codes))


def nearest_by_distance(self: VectorQuantizer, x: torch.Tensor) -> torch.Tensor:
    return torch.cdist(self.in_project(x.transpose(1, 2)).transpose(1, 2), self.codebook.weight[None]).argmin(-1)


RIGHT_DECODE = HalfRateCodec.decode
CODEC: dict[str, Callable[[Patch], None]] = {
    "GELU by tanh": lambda patch: patch.setattr(half_rate_codec.F, "gelu", partial(F.gelu, approximate="tanh")),
    "no activation": replace(
        HalfRateCodec, "halve", lambda right: lambda self, x: self.down(x.transpose(1, 2)).transpose(1, 2)
    ),
    "an odd last frame is cut": replace(
        HalfRateCodec, "halve", lambda right: lambda self, x: right(self, x[:, : x.shape[1] // 2 * 2])
    ),
    "frames are tiled": lambda patch: patch.setattr(HalfRateCodec, "decode", tiled),
    "convolution before repetition": lambda patch: patch.setattr(HalfRateCodec, "decode", raised_first),
    "no convolution": lambda patch: patch.setattr(HalfRateCodec, "decode", not_raised),
    "no decoder": lambda patch: patch.setattr(HalfRateCodec, "decode", not_decoded),
    "activation behind the convolution": lambda patch: patch.setattr(HalfRateCodec, "decode", activated),
    "codes by distance": lambda patch: patch.setattr(VectorQuantizer, "nearest", nearest_by_distance),
}


@pytest.mark.parametrize("mistake", CODEC)
def test_a_mistake_in_the_codec(mistake: str, kit25: Kit, monkeypatch: Patch) -> None:
    CODEC[mistake](monkeypatch)
    with pytest.raises((AssertionError, RuntimeError)):
        check_codec(kit25("c25_codec"))


# The acoustic stage


def frames(count: Callable[[int, float], int]) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr("indextts25_stages.target_frames", count)


ACOUSTIC: dict[str, Callable[[Patch], None]] = {
    "rounded frames": frames(lambda steps, factor: round(steps * 1.72 * factor)),
    "frames in single precision": frames(
        lambda steps, factor: int(torch.tensor(float(steps)) * torch.tensor(1.72) * torch.tensor(factor))
    ),
    "the factor first": frames(lambda steps, factor: int(steps * (1.72 * factor))),
    "frames of 2.0": frames(lambda steps, factor: int(steps / 2 * 1.72 * factor)),
    "the exact ratio": frames(lambda steps, factor: int(steps * 22050 / 256 / 50 * factor)),
    "the factor divides": frames(lambda steps, factor: int(steps * 1.72 / factor)),
    "truncated before the factor": frames(lambda steps, factor: int(int(steps * 1.72) * factor)),
    "no factor": frames(lambda steps, factor: int(steps * 1.72)),
    "linear stretching": lambda patch: patch.setattr(
        length_regulator.F, "interpolate",
        lambda x, size, mode: INTERPOLATE(x, size=size, mode="linear", align_corners=False),
    ),
}  # fmt: skip
INTERPOLATE = F.interpolate


@pytest.mark.parametrize("mistake", ACOUSTIC)
def test_a_mistake_in_the_acoustic_stage(mistake: str, kit25: Kit, monkeypatch: Patch) -> None:
    ACOUSTIC[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        check_s2mel(kit25("e25_s2mel"))


# The whole chain


@pytest.fixture(scope="module")
def chain(kit25: Kit) -> Chain:
    return Chain(kit25("h25_end_to_end"))


def quantised_prompt(right: Any) -> Any:
    def encode(self: IndexTTS25, base: Any, *arguments: Any) -> Any:
        recording = right(self, base, *arguments)
        quantised = base.codec.decode(recording.codes)[:, : recording.features.shape[1]]
        return type(recording)(recording.features, recording.codes, quantised, recording.condition, recording.emotion)

    return encode


def unstretched(right: Any) -> Any:
    return lambda steps, factor=1.0: right(steps)


CHAIN: dict[str, Callable[[Patch], None]] = {
    "a prompt of codes": replace(IndexTTS25, "encode_recording", quantised_prompt),
    "the factor is not passed on": lambda patch: patch.setattr(
        "vtune_indextts2.releases.indextts_2_5.target_frames", unstretched(length_regulator.target_frames)
    ),
    "codes embedded, not decoded": lambda patch: patch.setattr(
        HalfRateCodec, "decode", lambda self, codes: self.lookup(codes).repeat_interleave(2, dim=1)
    ),
}


@pytest.mark.parametrize("mistake", CHAIN)
def test_a_mistake_in_the_chain(mistake: str, kit25: Kit, chain: Chain, monkeypatch: Patch) -> None:
    CHAIN[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        check_chain(kit25("h25_end_to_end"), chain)


# The text


def case_of(lower: tuple[str, ...], upper: tuple[str, ...]) -> Callable[[Patch], None]:
    def patched(patch: Patch) -> None:
        patch.setattr(frontend, "LOWER_CASE_TAGS", lower)
        patch.setattr(frontend, "UPPER_CASE_TAGS", upper)

    return patched


def without_appended(right: Any) -> Any:
    return lambda text, budget, count, **settings: right(text, budget + 3, count, **settings)


TEXT: dict[str, Callable[[Patch], None]] = {
    "capitals as in 2.0": case_of((), ("zh", "zhen", "en", "ja", "es")),
    "Spanish in small letters": case_of((*frontend.LOWER_CASE_TAGS, "es"), ()),
    "French in small letters": case_of((*frontend.LOWER_CASE_TAGS, "fr"), ("es",)),
    "numbers before punctuation": replace(MultilingualFrontend, "clean", lambda right: lambda self, text: text),
    "numbers in the tag's language": lambda patch: patch.setattr(
        frontend.SpokenForm, "normalise",
        lambda self, text, language=None: SPOKEN(self, text, "zh" if language else "en"),
    ),
    "the tag in capitals": lambda patch: patch.setattr(frontend, "prefix_of", lambda tag: f"<|{tag.upper()}|> "),
    "no blank behind the tag": lambda patch: patch.setattr(frontend, "prefix_of", lambda tag: f"<|{tag.lower()}|>"),
    "no tag": lambda patch: patch.setattr(frontend, "prefix_of", lambda tag: ""),
    "phones for pinyin": lambda patch: patch.setattr(
        annotations, "write_readings",
        lambda text, **settings: READINGS(text, **settings).replace("TOKEN_2", "TOKEN_1"),
    ),
    "readings in small letters": lambda patch: patch.setattr(
        annotations, "write_readings", lambda text, **settings: READINGS(text, **settings).lower()
    ),
    "special tokens in small letters": lambda patch: patch.setattr(
        annotations, "raise_special_tokens", lambda text: text
    ),
    "kana without blanks": lambda patch: patch.setattr(
        annotations, "write_readings", lambda text, **settings: READINGS(text, **settings).replace(" ", "")
    ),
    "a larger budget": replace(frontend, "split", without_appended),
    "words left whole": replace(
        frontend, "split", lambda right: lambda *given, **settings: right(*given, **{**settings, "whole_words": True})
    ),
    "no cut behind commas": lambda patch: patch.setattr(
        segments, "_PART", segments.re.compile(r"[^.!?]*[.!?]|[^.!?]+")
    ),
    "pairs of special tokens are cut": lambda patch: patch.setattr(segments, "PROTECTED", segments.re.compile("(?!)")),
    "no row for unknown tags": lambda patch: patch.setattr(languages, "COMMON", "en"),
    "special tokens as text": lambda patch: patch.setattr(
        BytePairEncoder, "encode", lambda self, text: self._encoding.encode(text, disallowed_special=())
    ),
    "the pattern of a later GPT": lambda patch: patch.setattr(
        tokens, "PATTERN", tokens.PATTERN.replace(r" ?\p{N}+", r"\p{N}{1,3}")
    ),
}  # fmt: skip
SPOKEN, READINGS = frontend.SpokenForm.normalise, annotations.write_readings


@pytest.mark.parametrize("mistake", TEXT)
def test_a_mistake_in_the_text(mistake: str, kit25: Kit, monkeypatch: Patch) -> None:
    TEXT[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        check_text(kit25("i25_text"))
