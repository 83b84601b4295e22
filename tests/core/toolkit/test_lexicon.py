"""A lexicon is read from YAML or a table, checked entry by entry, and kept by its content."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from vtune import DataError, EngineOptions, option
from vtune.toolkit.lexicon import LexiconOption, TextPart, check_entries, read_lexicon, split_at_lexicon


class Options(EngineOptions):
    lexicon: LexiconOption = option({}, affects="text", description="How words are read.")


def test_yaml_and_tables_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("Kathleen: kath leen\nPiper: /pˈaɪpɚ/\n", encoding="utf-8")
    (tmp_path / "b.tsv").write_text("# names\nKathleen\tkath leen\n\nPiper\t/pˈaɪpɚ/\n", encoding="utf-8")

    expected = {"Kathleen": "kath leen", "Piper": "/pˈaɪpɚ/"}
    assert read_lexicon(tmp_path / "a.yaml") == read_lexicon(tmp_path / "b.tsv") == expected


def test_options_keep_the_words_and_not_the_file(tmp_path: Path) -> None:
    path = tmp_path / "names.yaml"
    path.write_text("Kathleen: kath leen\n", encoding="utf-8")

    options = Options(lexicon=str(path))
    path.unlink()

    assert options.model_dump(mode="json")["lexicon"] == {"Kathleen": "kath leen"}
    assert Options.model_validate(options.model_dump(mode="json")) == options


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Kathleen: 3\n", "the reading of 'Kathleen' is 3"),
        ("'': kath\n", "the word '' must be"),
        ("- a\n", "expected words and their readings, found a list"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "names.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(DataError, match=problem):
        read_lexicon(path)


def test_a_missing_file_is_an_error_of_the_option(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="there is no such file"):
        Options(lexicon=str(tmp_path / "none.yaml"))


def test_a_line_without_a_tab_is_named(tmp_path: Path) -> None:
    path = tmp_path / "names.tsv"
    path.write_text("Piper pˈaɪpɚ\n", encoding="utf-8")

    with pytest.raises(DataError, match="line 1 has no tab"):
        read_lexicon(path)


def test_the_longest_word_wins_and_only_whole_words_are_found() -> None:
    lexicon = check_entries({"Home": "/hoʊm/", "Home Assistant": "/hˈoʊməsɪstənt/"}, "lexicon")

    assert split_at_lexicon("My home assistant is at homely home.", lexicon) == [
        TextPart("My "),
        TextPart("home assistant", "hˈoʊməsɪstənt"),
        TextPart(" is at homely "),
        TextPart("home", "hoʊm"),
        TextPart("."),
    ]
