"""Praat's TextGrids are read in both forms, and the tier with the words is found by its labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vtune.dataset import Row, open_source
from vtune.errors import DataError
from vtune.recipe import SourceRecipe

Tier = list[tuple[float, float, str]]
SENTENCES: Tier = [(0, 1, ""), (1, 3, "The kettle sang."), (3, 4, ""), (4, 6, 'He said ""no"", twice.'), (6, 10, "sil")]
WORDS: Tier = [
    (0, 1, ""), (1, 1.3, "the"), (1.3, 2, "kettle"), (2, 3, "sang"), (3, 4, "<sil>"), (4, 4.5, "he"), (4.5, 5, "said"),
    (5, 5.2, "sp"), (5.2, 6, "no"), (6, 10, ""),
]  # fmt: skip
PHONES: Tier = [(0, 1, "")] + [(1 + n / 10, 1.1 + n / 10, phone) for n, phone in enumerate("ðəkɛtls")]


def long_form(**tiers: Tier) -> str:
    """Return a TextGrid in the long form, as Praat saves it."""
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0 \nxmax = 10 \ntiers? <exists> \n'
    text = f"{head}size = {len(tiers)} \nitem []: \n"
    for number, (name, intervals) in enumerate(tiers.items(), 1):
        text += f'    item [{number}]:\n        class = "IntervalTier" \n        name = "{name}" \n        xmin = 0 \n'
        text += f"        xmax = 10 \n        intervals: size = {len(intervals)} \n"
        for index, (start, end, label) in enumerate(intervals, 1):
            text += f"        intervals [{index}]:\n            xmin = {start} \n            xmax = {end} \n"
            text += f'            text = "{label}" \n'
    return text


def short_form(**tiers: Tier) -> str:
    """Return a TextGrid in the short form, as Praat saves it, with a tier of points."""
    text = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n10\n<exists>\n{len(tiers) + 1}\n'
    text += '"TextTier"\n"bells"\n0\n10\n1\n2.5\n"ding"\n'
    for name, intervals in tiers.items():
        text += f'"IntervalTier"\n"{name}"\n0\n10\n{len(intervals)}\n'
        text += "".join(f'{start}\n{end}\n"{label}"\n' for start, end, label in intervals)
    return text


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., list[Row]]:
    def read(text: str, encoding: str = "utf-8", **choice: str) -> list[Row]:
        soundfile.write(tmp_path / "talk.wav", np.random.default_rng(0).normal(0, 0.1, 80_000), 8000)
        (tmp_path / "talk.TextGrid").write_text(text, encoding=encoding)
        return list(open_source(SourceRecipe(source=str(tmp_path), **choice), Path()).rows())

    return read


def parts(rows: list[Row]) -> list[tuple[str, str]]:
    return [(Path(row.audio).name.partition("#t=")[2], row.text) for row in rows if row.problem is None]


@pytest.mark.parametrize("form", [long_form, short_form])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_both_forms_are_read_in_any_encoding(rows: Callable[..., list[Row]], form: Callable, encoding: str) -> None:
    found_rows = rows(form(phones=PHONES, words=WORDS, sentences=SENTENCES), encoding)
    assert parts(found_rows) == [("1,3", "The kettle sang."), ("4,6", 'He said "no", twice.')]


def test_rows_have_their_lines(rows: Callable[..., list[Row]]) -> None:
    text = long_form(sentences=SENTENCES)
    lines = text.split("\n")
    assert [lines[row.line - 1].strip() for row in rows(text) if row.line] == [
        'text = "The kettle sang."', 'text = "He said ""no"", twice."',
    ]  # fmt: skip


def test_without_sentences_words_are_joined_up_to_a_pause(rows: Callable[..., list[Row]]) -> None:
    found_rows = rows(long_form(MAU=PHONES, **{"ORT-MAU": WORDS}))
    assert parts(found_rows) == [("1,3", "the kettle sang"), ("4,6", "he said no")]


@pytest.mark.parametrize("name", ["x", "A", "nora"])
def test_names_of_tiers_need_not_help(rows: Callable[..., list[Row]], name: str) -> None:
    assert len(parts(rows(long_form(**{name: PHONES, name + "2": SENTENCES, name + "3": WORDS})))) == 2


def test_tiers_that_take_turns_are_speakers(rows: Callable[..., list[Row]]) -> None:
    nora, ben = [(1.0, 3.0, "The kettle sang.")], [(3.5, 6.0, "It did not.")]
    found_rows = rows(short_form(Nora=nora, Ben=ben))
    assert [(row.speaker, row.text) for row in found_rows if row.line] == [
        ("Nora", "The kettle sang."), ("Ben", "It did not."),
    ]  # fmt: skip
    aligned = rows(short_form(**{"Nora - words": WORDS[:4], "Nora - phones": PHONES, "Ben - words": WORDS[5:]}))
    assert [(row.speaker, row.text) for row in aligned if row.line] == [
        ("Nora", "the kettle sang"),
        ("Ben", "he said no"),
    ]


def test_two_texts_of_the_same_stretches_are_a_question(rows: Callable[..., list[Row]]) -> None:
    tiers = {"a": [(1.0, 3.0, "The kettle sang.")], "b": [(1.0, 3.0, "Der Kessel sang.")]}
    with pytest.raises(DataError, match=r"several tiers of words for the same stretches \(a, b\); name the right one"):
        rows(long_form(**tiers))
    assert parts(rows(long_form(**tiers), text_column="b")) == [("1,3", "Der Kessel sang.")]
    with pytest.raises(DataError, match=r"has no tier 'c'"):
        rows(long_form(**tiers), text_column="c")
    assert parts(rows(long_form(utterances=tiers["a"], notes=tiers["b"]))) == [("1,3", "The kettle sang.")]


def test_phones_alone_are_no_words(rows: Callable[..., list[Row]]) -> None:
    with pytest.raises(DataError, match=r"has no tier of words \(its tiers: phones\)"):
        rows(long_form(phones=PHONES))


@pytest.mark.parametrize("cut", [30, 100, 250, 400])
def test_a_file_that_breaks_off_is_named(rows: Callable[..., list[Row]], cut: int) -> None:
    with pytest.raises(DataError, match=r"talk\.TextGrid|has recordings but no words|hold the words"):
        rows(long_form(sentences=SENTENCES)[:cut])


def test_a_number_of_intervals_that_is_not_there_ends_at_once(rows: Callable[..., list[Row]]) -> None:
    with pytest.raises(DataError, match="breaks off"):
        rows(long_form(sentences=SENTENCES).replace("size = 5", "size = 4000000000"))
