"""Pieces for another language are appended to the tokenizer, and their rows to the text tables."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from sentencepiece import SentencePieceProcessor

from vtune import EngineError, LoraSettings
from vtune_indextts2 import build_lora_model, nano_checkpoint
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.gpt.new_rows import with_new_rows
from vtune_indextts2.merged_checkpoint import save
from vtune_indextts2.text.new_pieces import missing_pieces, with_pieces

TURKISH = ("\u015e", "\u011e", "\u0130", "\u015eE", "\u2581\u015eE")


@pytest.fixture(scope="module")
def published(tiny: Path) -> SentencePieceProcessor:
    return SentencePieceProcessor(model_file=str(tiny / "bpe.model"))


def test_letters_that_were_unknown_become_pieces(published: SentencePieceProcessor) -> None:
    size = published.get_piece_size()
    extended = with_pieces(published, TURKISH)
    assert extended.get_piece_size() == size + len(TURKISH)
    assert [extended.id_to_piece(size + number) for number in range(len(TURKISH))] == list(TURKISH)
    assert published.unk_id() in published.encode("\u015eEKER")
    assert extended.unk_id() not in extended.encode("\u015eEKER")
    assert extended.encode("\u015eEKER", out_type=str)[0] == "\u2581\u015eE"
    assert extended.decode(extended.encode("\u015eEKER DA\u011e")) == "\u015eEKER DA\u011e"


def test_texts_without_new_letters_keep_their_ids(published: SentencePieceProcessor) -> None:
    extended = with_pieces(published, TURKISH)
    for phrase in nano_checkpoint.TOKENIZER_PHRASES:
        assert extended.encode(phrase) == published.encode(phrase)


def test_a_model_with_many_pieces_is_still_a_model(published: SentencePieceProcessor) -> None:
    """Lengths above 127 take two bytes; a piece of 60 letters of 3 bytes is such a one."""
    letters = [chr(0x4E00 + number) for number in range(300)]
    extended = with_pieces(published, letters)
    assert all(extended.piece_to_id(letter) == published.get_piece_size() + n for n, letter in enumerate(letters))


def test_a_piece_that_can_never_be_used_is_one_line(published: SentencePieceProcessor) -> None:
    with pytest.raises(EngineError, match=r"would never be used, the tokenizer writes it as .*; also name the piece"):
        with_pieces(published, ["\u015e", "\u015eEKER"])


def test_pieces_that_are_there_are_not_appended_again(published: SentencePieceProcessor) -> None:
    assert missing_pieces(published, ["\u015e", "E", "\u015e"]) == ["\u015e"]


def test_a_new_row_is_the_mean_of_those_that_wrote_the_piece() -> None:
    table = torch.arange(10.0).view(5, 2)
    grown = with_new_rows(
        {"text_embedding.weight": table, "text_head.bias": table[:, 0], "other": table}, [[0, 3], [2]]
    )
    assert torch.equal(
        grown["text_embedding.weight"], torch.cat([table[:4], (table[:1] + table[3:4]) / 2, table[2:3], table[4:]])
    )
    assert grown["text_head.bias"].tolist() == [0.0, 2.0, 4.0, 6.0, 3.0, 4.0, 8.0]
    assert torch.equal(grown["other"], table)


def test_a_base_with_new_pieces_is_trained_saved_and_loaded_without_the_option(
    make_base: Callable[..., IndexTTS2Base], tiny: Path, tmp_path: Path
) -> None:
    base, plain = make_base(new_tokens=list(TURKISH)), make_base()
    size = plain.config.gpt.number_text_tokens
    assert base.config.gpt.number_text_tokens == size + len(TURKISH)
    ids = base.frontend.tokenize("\u015feker")
    assert max(ids) >= size
    assert base.frontend.tokenize("the river") == plain.frontend.tokenize("the river")
    network, before = base.new_network(), plain.new_network()
    assert network.text_embedding.weight.shape[0] == size + len(TURKISH) + 1
    assert torch.equal(network.text_embedding.weight[:size], before.text_embedding.weight[:size])
    save(base, network, tmp_path)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["gpt"]["number_text_tokens"] == size + len(TURKISH)
    for options in ({}, {"new_tokens": list(TURKISH)}):  # a voice that was merged still has the option
        merged = make_base(base_model=str(tmp_path), **options)
        assert merged.frontend.tokenize("\u015feker") == ids
        assert torch.equal(merged.new_network().text_embedding.weight, network.text_embedding.weight)


def test_an_adapter_that_leaves_new_rows_untrained_is_warned_about_with_the_cost(
    make_base: Callable[..., IndexTTS2Base], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    base = make_base(new_tokens=["\u015e"])
    build_lora_model(base, LoraSettings(targets=("attention",)))
    assert "1 new_tokens begin as means of other rows, and an adapter on attention never trains them" in caplog.text
    assert "million parameters" in caplog.text
    caplog.clear()
    settings = LoraSettings(targets=("attention",), modules_to_save=("text_embedding", "text_head"))
    model = build_lora_model(base, settings)
    assert caplog.text == ""
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert any("text_embedding.modules_to_save" in name for name in trained)


def test_a_release_that_writes_every_language_refuses_them(
    make_base: Callable[..., IndexTTS2Base], tiny25: Path
) -> None:
    with pytest.raises(EngineError, match=r"new_tokens is of IndexTTS-2; the vocabulary of IndexTTS-2\.5 writes every"):
        make_base(base_model=str(tiny25), new_tokens=["\u015e"])
