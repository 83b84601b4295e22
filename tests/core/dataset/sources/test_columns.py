"""The column with the words is found by the content of its cells, or vtune asks; no other column is ever trained on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.dataset import Row, open_source
from vtune.dataset.sources.column_chooser import choose_columns
from vtune.dataset.sources.columns import ColumnChoice
from vtune.dataset.sources.evidence import CellKind, examine_column
from vtune.errors import DataError
from vtune.recipe import SourceRecipe

SENTENCES = [
    "The harbour was empty before the storm.",
    "Nine geese crossed the road, slowly.",
    "Who left the lamp burning all night?",
    "My uncle repairs old clocks in winter.",
    "It rained, and nobody came.",
    "We ate bread and plums on the stairs.",
    "Please close the window behind you!",
    "The answer is written on the wall.",
]
COUNT = len(SENTENCES)
FILES = [f"a{number:02d}.wav" for number in range(COUNT)]
COLUMNS = {
    "path": FILES,
    "folder/path": [f"wavs/{name}" for name in FILES],
    "windows path": [f"D:\\data\\{name}" for name in FILES],
    "id": [name[:-4] for name in FILES],
    "words": SENTENCES,
    "capitals": [sentence.upper() for sentence in SENTENCES],
    "arpabet": ["dh ah0 hh aa1 r b er0", "n ay1 n g iy1 s k r"] * (COUNT // 2),
    "ipa": [f"ðə hˈɑːɹbɚ wˌʌz {number}" for number in range(COUNT)],
    "pinyin": ["ni3 hao3 ma5", "jin1 tian1 hen3 re4"] * (COUNT // 2),
    "emotion": ["calm", "angry"] * (COUNT // 2),
    "speakers": ["nora"] * (COUNT // 2) + ["ben"] * (COUNT // 2),
    "one speaker": ["nora"] * COUNT,
    "language": ["EN"] * COUNT,
    "seconds": [f"{1.5 + number / 3:.2f}" for number in range(COUNT)],
    "letters": [str(len(sentence)) for sentence in SENTENCES],
    "zero": ["0"] * COUNT,
    "nothing": ["_"] * COUNT,
    "split": ["train"] * (COUNT - 1) + ["val"],
    "chinese": [f"今天第{sign}天天气很好" for sign in "一二三四五六七八"],
    "german": [sentence.replace("e", "ä") for sentence in SENTENCES],
    "commands": ["yes", "no", "left", "right", "up", "down", "stop", "go"],
    "hash": [f"{number * 7919 % 2**32:08x}{number:08x}" for number in range(1, COUNT + 1)],
}  # fmt: skip

UNDERSTOOD = {
    ("path", "words"): ("path", "words", None),
    ("path", "words", "emotion"): ("path", "words", None),
    ("path", "words", "one speaker"): ("path", "words", "one speaker"),
    ("path", "one speaker", "language", "words"): ("path", "words", "one speaker"),
    ("windows path", "speakers", "language", "words"): ("windows path", "words", "speakers"),
    ("folder/path", "speakers", "words"): ("folder/path", "words", "speakers"),
    ("hash", "words", "letters"): ("hash", "words", None),
    ("id", "words", "arpabet"): ("id", "words", None),
    ("id", "words", "ipa"): ("id", "words", None),
    ("id", "capitals"): ("id", "capitals", None),
    ("folder/path", "zero", "words", "nothing"): ("folder/path", "words", "zero"),
    ("path", "seconds", "words"): ("path", "words", None),
    ("words", "path"): ("path", "words", None),
    ("path", "chinese", "pinyin"): ("path", "chinese", None),
    ("path", "language", "german", "split"): ("path", "german", None),
    ("path", "commands"): ("path", "commands", None),
}
ASKED = {
    ("path", "words", "speakers"): "speaker_column: 3",
    ("path", "ipa", "zero"): "holds phones.*no column holds words",
    ("path", "arpabet"): "holds phones",
    ("path", "emotion"): "not clear which cell has the words",
    ("path", "speakers"): "not clear which cell has the words",
    ("path", "seconds"): "not clear which cell has the words",
    ("path", "words", "german"): "not clear which cell has the words.*text_column",
    ("words", "german"): "not clear which cell names the recordings.*audio_column",
}


def sample(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    return list(zip(*(COLUMNS[name] for name in names), strict=True))


@pytest.mark.parametrize("names", UNDERSTOOD, ids="|".join)
def test_words_are_found_without_a_header(names: tuple[str, ...]) -> None:
    chosen = choose_columns("t.csv", None, sample(names), ColumnChoice())
    result = [name and names[int(name) - 1] for name in (chosen.audio, chosen.text, chosen.speaker)]
    assert tuple(result) == UNDERSTOOD[names]
    description = chosen.describe()
    assert all(f"cell {number}" in description for number, name in enumerate(names, 1) if name != "nothing"), (
        description
    )


@pytest.mark.parametrize("names", ASKED, ids="|".join)
def test_thin_evidence_is_a_question_with_its_answer(names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=ASKED[names]) as caught:
        choose_columns("t.csv", None, sample(names), ColumnChoice())
    assert "\n" not in str(caught.value)


def test_the_answers_are_taken() -> None:
    rows = sample(("path", "words", "speakers"))
    chosen = choose_columns("t.csv", None, rows, ColumnChoice(speaker="3"))
    assert (chosen.text, chosen.speaker) == ("2", "3")
    assert choose_columns("t.csv", None, rows, ColumnChoice(voice="nora")).speaker is None
    chosen = choose_columns("t.csv", None, sample(("path", "ipa", "zero")), ColumnChoice(text="2"))
    assert chosen.text == "2"
    assert "CHECK THIS: cell 2 does not look like words, it holds phones" in chosen.describe()
    assert choose_columns("t.csv", ("a", "b", "c"), rows, ColumnChoice(text="3", speaker="b")).text == "c"
    with pytest.raises(DataError, match="no column can be named '4'; give its number, from 1 to 3"):
        choose_columns("t.csv", None, rows, ColumnChoice(text="4"))


ORTHOGRAPHIES = ["words", "capitals", "german", "chinese"]
OTHERS = [name for name in COLUMNS if name not in [*ORTHOGRAPHIES, "path", "folder/path", "windows path", "commands"]]


@settings(max_examples=300, deadline=None)
@given(
    words=st.sampled_from(ORTHOGRAPHIES),
    path=st.sampled_from(["path", "folder/path", "windows path"]),
    others=st.lists(st.sampled_from(OTHERS), max_size=3, unique=True),
    chance=st.randoms(use_true_random=False),
)
def test_in_any_order_words_are_found_or_asked_for(words: str, path: str, others: list[str], chance: Any) -> None:
    names = [words, path, *others]
    chance.shuffle(names)
    try:
        chosen = choose_columns("t.csv", None, sample(tuple(names)), ColumnChoice())
    except DataError:
        return
    assert names[int(chosen.text) - 1] == words
    assert names[int(chosen.audio) - 1] == path
    speaker = chosen.speaker and names[int(chosen.speaker) - 1]
    assert speaker in (None, "speakers", "one speaker", "zero")
    assert speaker == "speakers" or "speakers" not in others


@pytest.mark.parametrize("header", ["client_id", "spk_id", "Speaker Name", "source"])
def test_usual_headings_name_speakers(header: str) -> None:
    rows = sample(("path", "words", "speakers"))
    assert choose_columns("t.csv", ("path", "text", header), rows, ColumnChoice()).speaker == header


def test_a_source_that_is_no_name_is_no_speaker() -> None:
    pages = [f"https://example.org/{number}" for number in range(COUNT)]
    rows = list(zip(FILES, SENTENCES, pages, strict=True))
    assert choose_columns("t.csv", ("path", "text", "source"), rows, ColumnChoice()).speaker is None


def test_unused_headings_that_may_be_speakers_are_said() -> None:
    rows = sample(("path", "words", "speakers", "emotion", "seconds"))
    chosen = choose_columns("t.csv", ("path", "text", "who", "emotion", "duration"), rows, ColumnChoice())
    assert chosen.speaker is None
    assert chosen.doubts == (
        "column 'who' holds few values ('nora', 'ben'); if these are speakers, set 'speaker_column: who'",
    )
    assert "not used: who, emotion, duration" in chosen.describe()


def test_unknown_headings_beside_known_ones_are_told_by_their_cells() -> None:
    rows = sample(("emotion", "path", "words", "speakers"))
    chosen = choose_columns("t.csv", ("Stimmung", "Aufnahme", "Satz", "speaker"), rows, ColumnChoice())
    assert (chosen.audio, chosen.text, chosen.speaker) == ("Aufnahme", "Satz", "speaker")


@pytest.mark.parametrize("kind", ["arpabet", "ipa", "seconds", "language"])
def test_a_named_column_that_is_no_words_is_a_doubt(kind: str) -> None:
    (doubt,) = choose_columns("t.csv", ("path", "text"), sample(("path", kind)), ColumnChoice()).doubts
    assert "column 'text' does not look like words" in doubt


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["Grüße aus Köln", "Wir gehen heim"], CellKind.WORDS),
        (["Mən məktəbə gedirəm", "Bu gün hava yaxşıdır"], CellKind.WORDS),  # Azerbaijani writes such letters
        (["Ŋutsu la ɖi ɣeyiɣi", "Đevi la ɖo ŋu"], CellKind.WORDS),  # so does Ewe
        (["สวัสดีครับ", "ขอบคุณมาก"], CellKind.WORDS),
        (["مرحبا بك في", "كيف حالك اليوم"], CellKind.WORDS),
        (["而 对 楼市 成交", "抑制 作用 最 大"], CellKind.WORDS),
        (["안녕하세요 여러분", "반갑습니다 모두"], CellKind.WORDS),
        (["Ta đi ra bờ ao", "Mẹ về nhà"], CellKind.WORDS),
        (["k ɛ t əl", "b əʊ t s"], CellKind.PHONES),
        (["h e l l o", "t h e r e"], CellKind.PHONES),
        (["00:01:02.5", "00:02:00"], CellKind.TIME),
        (["-", "", "..."], CellKind.EMPTY),
    ],
)
def test_cells_are_told_in_many_languages(texts: list[str], kind: CellKind) -> None:
    assert examine_column(texts).kind is kind


def rows_of(source: Path, **asked: Any) -> list[Row]:
    return list(open_source(SourceRecipe(source=str(source), **asked), source).rows())


def lines(*names: str) -> list[str]:
    return ["|".join(cells) for cells in sample(names)]


TABLES = {
    "Excel's separator": ("t.csv", "sep=;\nfilename;text\n" + "\n".join(lines("path", "words")).replace("|", ";")),
    "titles above a usual header": (
        "t.csv",
        "My recordings;;\nMade in spring;;\n\nfilename;text;note\n"
        + "\n".join(line.replace("|", ";") + ";x" for line in lines("path", "words")),
    ),
    "titles above an unusual header": (
        "t.tsv", "Meine Aufnahmen\nDatei\tSatz\n" + "\n".join(lines("path", "words")).replace("|", "\t")
    ),
    "an unusual header": ("t.csv", "Datei|Satz\n" + "\n".join(lines("id", "words"))),
    "commas in the words of a tab table": ("t.tsv", "\n".join(lines("path", "words")).replace("|", "\t")),
    "JSON Lines of NeMo": (
        "t.json",
        "\n".join(json.dumps({"audio_filepath": p, "duration": 1, "text": w}) for p, w in sample(("path", "words"))),
    ),
    "a list under the ending of lines": (
        "t.jsonl", json.dumps([{"audio": p, "text": w} for p, w in sample(("path", "words"))], indent=1)
    ),
    "a list inside an object": (
        "t.json",
        json.dumps({"version": 2, "data": [{"audio": p, "text": w} for p, w in sample(("path", "words"))], "n": [1]}),
    ),
    "an object of objects": (
        "t.json",
        json.dumps({p: {"text": w, "seconds": 1} for p, w in sample(("path", "words"))}, indent=1),
    ),
    "objects for recordings": (
        "t.jsonl",
        "\n".join(
            json.dumps({"audio": {"path": p, "sampling_rate": 8000}, "text": w}) for p, w in sample(("path", "words"))
        ),
    ),
    "objects whose first lacks its words": (
        "t.jsonl",
        '{"audio": "none.wav"}\n'
        + "\n".join(json.dumps({"audio": p, "text": w}) for p, w in sample(("path", "words"))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TABLES)
def test_tables_as_programs_write_them_are_read(folder: Callable[..., Path], kind: str) -> None:
    name, content = TABLES[kind]
    root = folder(*FILES, **{name: content})
    rows = [row for row in rows_of(root / name) if row.problem is None]
    assert [(Path(row.audio).name, row.text) for row in rows] == list(zip(FILES, SENTENCES, strict=True))
    text = content.splitlines()
    assert kind.startswith(("a list", "an object")) or all(row.text in text[(row.line or 0) - 1] for row in rows)


def test_titles_above_a_header_are_said(folder: Callable[..., Path]) -> None:
    name, content = TABLES["titles above a usual header"]
    root = folder(*FILES, **{name: content})
    assert (
        "2 rows above the header in line 4 skipped" in open_source(SourceRecipe(source=str(root)), root).description[0]
    )


def test_one_json_object_is_one_row(folder: Callable[..., Path]) -> None:
    root = folder("a.wav", **{"t.json": '{"audio": "a.wav",\n "text": "Hello there."}'})
    (row,) = rows_of(root / "t.json")
    assert (row.line, row.text, row.problem) == (1, "Hello there.", None)


def test_an_object_without_a_path_says_what_it_holds(folder: Callable[..., Path]) -> None:
    root = folder("a.wav", **{"t.jsonl": '{"audio": {"array": [1], "rate": 8}, "text": "Hello there."}'})
    (row,) = rows_of(root / "t.jsonl")
    assert row.problem == "the recording is an object without a 'path' (it has: array, rate)"


def test_numbers_name_columns_in_a_recipe(folder: Callable[..., Path]) -> None:
    root = folder(*FILES, **{"t.csv": "\n".join(lines("path", "words", "speakers"))})
    rows = rows_of(root, text_column=2, speaker_column=3)
    assert [row.text for row in rows] == SENTENCES
    assert {row.speaker for row in rows} == {"nora", "ben"}


def test_speakers_far_down_a_long_table_are_seen(folder: Callable[..., Path]) -> None:
    """A table that is sorted by speaker begins with thousands of rows of one speaker."""
    rows = [f"a00.wav|{SENTENCES[n % COUNT]} Number {n}.|{'nora' if n < 8000 else 'ben'}" for n in range(12_000)]
    root = folder("a00.wav", **{"t.csv": "\n".join(rows)})
    with pytest.raises(DataError, match=r"'nora', 'ben'.*may be speakers"):
        open_source(SourceRecipe(source=str(root)), root)
