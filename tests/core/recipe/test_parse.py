from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtune.errors import RecipeError
from vtune.recipe import Draft, read_draft
from vtune.recipe.parse import MAX_BYTES, parse


@pytest.fixture
def read(write: Callable[..., Path]) -> Callable[..., Draft]:
    return lambda text: read_draft(write(text))


@pytest.fixture
def refused(tmp_path: Path, write: Callable[..., Path]) -> Callable[..., list[str]]:
    def load(text: str | bytes) -> list[str]:
        with pytest.raises(RecipeError) as caught:
            read_draft(write(text))
        return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return load


def test_every_key_and_item_knows_its_line(read, tmp_path):
    draft = read(
        "voice: a\n\n# words\ntrain:\n  epochs: 3\n  arguments: {a: 1,\n    b: 2}\ndata:\n  - x\n  - source: y\n"
    )
    lines = {path: origin.rsplit(":", 1)[1] for path, origin in draft.origins.items()}
    assert lines == {
        ("voice",): "1",
        ("train",): "4",
        ("train", "epochs"): "5",
        ("train", "arguments"): "6",
        ("train", "arguments", "a"): "6",
        ("train", "arguments", "b"): "7",
        ("data",): "8",
        ("data", 0): "9",
        ("data", 1): "10",
        ("data", 1, "source"): "10",
    }
    assert draft.origin(("voice",)) == f"{tmp_path / 'r.yaml'}:1"


def test_what_is_not_there_has_the_place_of_its_parent(read, tmp_path):
    draft = read("train:\n  epochs: 3\n")
    assert draft.origin(("train", "nothing", 4)) == f"{tmp_path / 'r.yaml'}:1"
    assert draft.origin(("nothing",)) == str(tmp_path / "r.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5e-5", 0.00005),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("-3", -3),
        ("+3", 3),
        ("007", 7),
        ("1_000", "1_000"),
        ("no", "no"),
        ("off", "off"),
        ("yes", "yes"),
        ("true", True),
        ("FALSE", False),
        ("1:30", "1:30"),
        ("2024-05-01", "2024-05-01"),
        ("0x10", "0x10"),
        ("~", None),
        ("null", None),
        ("", None),
        ("'5e-5'", "5e-5"),
        ('"true"', "true"),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_scalars_are_read_by_yaml_1_2(text, value):
    parsed = parse(text, "override")
    assert (parsed, type(parsed)) == (value, type(value))


@given(st.integers(min_value=-(10**18) + 1, max_value=10**18 - 1) | st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None, max_examples=200)
def test_numbers_are_read_as_python_writes_them(number):
    parsed = parse(repr(number), "override")
    assert (parsed, type(parsed)) == (number, type(number))


def test_an_empty_file_says_where_to_get_a_recipe(refused):
    for text in ("", "\n\n", "# only words\n", "---\n", "~\n"):
        assert refused(text) == ["r.yaml: the recipe is empty; 'vtune recipe copy' writes a recipe to start from"]


@pytest.mark.parametrize(("text", "found"), [("- a\n", "a list"), ("hello\n", "the single value 'hello'"), ("3", "3")])
def test_a_recipe_must_be_a_mapping(refused, text, found):
    (problem,) = refused(text)
    assert problem.startswith("r.yaml:1: a recipe must be a mapping of keys to values, found ")
    assert found in problem


def test_a_tab_is_named_with_its_line(refused):
    assert refused("voice: a\ntrain:\n\tepochs: 3\n") == ["r.yaml:3: there is a tab character; indent YAML with spaces"]


def test_a_tab_elsewhere_in_the_line_is_not_blamed(refused):
    (problem,) = refused("voice: ]\t# the bracket is wrong, not the tab\n")
    assert problem.startswith("r.yaml:1: not YAML: ")


def test_duplicate_keys_are_all_told_with_both_lines(refused):
    text = "voice: a\ntrain:\n  epochs: 1\n  epochs: 2\nvoice: b\n"
    assert refused(text) == [
        "r.yaml:4: the key 'epochs' is written twice; the first is at r.yaml:3",
        "r.yaml:5: the key 'voice' is written twice; the first is at r.yaml:1",
    ]


def test_text_that_is_not_utf_8_names_the_byte(refused):
    assert refused("voice: ä\n".encode("latin-1")) == ["r.yaml: byte 7 is not UTF-8; save the file as UTF-8"]


def test_a_byte_order_mark_is_no_part_of_the_first_key(read):
    assert read(b"\xef\xbb\xbfvoice: a\n").data == {"voice": "a"}


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_are_counted_whatever_ends_them(write, newline):
    draft = read_draft(write(newline.join(["voice: a", "engine: toy", "lora:", "  rank: 3", ""])))
    assert draft.origins["lora", "rank"].endswith(":4")
    assert draft.data == {"voice": "a", "engine": "toy", "lora": {"rank": 3}}


@pytest.mark.parametrize("number", [0, 1, 7, 27, 127])
def test_control_characters_are_named_with_their_line(refused, number):
    assert refused(f"voice: a\nengine: t{chr(number)}y\n") == [
        f"r.yaml:2: the character U+{number:04X} is not allowed in text; remove it"
    ]


@pytest.mark.parametrize(("escape", "code"), [(r"\0", "U+0000"), (r"\ud800", "U+D800"), (r"\e", "U+001B")])
def test_escapes_cannot_smuggle_in_what_is_no_text(refused, escape, code):
    assert refused(f'voice: a\nengine: "x{escape}y"\n') == [
        f"r.yaml:2: the character {code} is not allowed in text; remove it"
    ]
    assert refused(f'voice: a\n"x{escape}y": 1\n') == [
        f"r.yaml:2: the character {code} is not allowed in text; remove it"
    ]


@pytest.mark.parametrize("escape", [r"\U0011ffff", r"\Uffffffff", r"\xZZ", r"\q"])
def test_impossible_escapes_are_told_with_their_line(refused, escape):
    (problem,) = refused(f'voice: a\nengine: "{escape}"\n')
    assert problem.startswith("r.yaml:2: not YAML: ")


def test_an_absurd_version_directive_is_no_crash(refused):
    (problem,) = refused(f"%YAML {'9' * 5000}.1\n---\nvoice: a\n")
    assert problem.startswith("r.yaml:1: not YAML: ")


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system [ls]",
        "!!python/object:os.system {a: b}",
        "!!python/name:os.system",
        "!!str 5",
        "!!binary aGVsbG8=",
        "!mine x",
        "!!set {a, b}",
    ],
)
def test_tags_are_refused_and_nothing_is_made_of_them(refused, text):
    (problem,) = refused(f"voice: a\nengine: {text}\n")
    assert problem.startswith("r.yaml:2: YAML tags are not allowed; remove '")


def test_a_tag_on_a_key_is_refused(refused):
    assert refused("!!str voice: a\n") == ["r.yaml:1: a key must be plain text, without a tag, a list or a mapping"]


def test_a_key_that_is_a_list_is_refused(refused):
    assert refused("voice: a\n? [x, y]\n: 1\n") == [
        "r.yaml:2: a key must be plain text, without a tag, a list or a mapping"
    ]


def test_a_second_document_is_refused_with_its_line(refused):
    assert refused("voice: a\n---\nvoice: b\n") == [
        "r.yaml:3: a second YAML document starts here; the file must have one only"
    ]


def test_aliases_share_a_value(read):
    assert read("a: &x {b: 1}\nc: *x\n").data == {"a": {"b": 1}, "c": {"b": 1}}


def test_an_unknown_alias_is_told_with_its_line(refused):
    (problem,) = refused("voice: a\nengine: *nothing\n")
    assert problem.startswith("r.yaml:2: not YAML: found undefined alias 'nothing'")


def test_an_alias_bomb_stops_early(refused):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    started = time.monotonic()
    (problem,) = refused(bomb)
    assert time.monotonic() - started < 5
    assert problem.endswith("too many levels (at most 40)")


@pytest.mark.parametrize(
    "text", ["a: &a [*a]\n", "a: &a {b: *a}\n", "[" * 30_000, "{a: " * 30_000, "- " * 30_000, "[" * 60 + "]" * 60]
)
def test_endless_nesting_is_refused_with_a_line(refused, text):
    (problem,) = refused(text)
    assert problem == "r.yaml:1: too many values (at most 20,000) or too many levels (at most 40)"


def test_a_list_without_end_is_refused_before_it_is_read_through(refused):
    started = time.monotonic()
    (problem,) = refused("- a\n" * 240_000)
    assert time.monotonic() - started < 10
    assert problem.endswith("too many levels (at most 40)")


def test_nesting_that_a_recipe_may_have_is_read(read):
    deep = read("a: " + "[" * 30 + "]" * 30).data["a"]
    depth = 0
    while deep:
        deep, depth = deep[0], depth + 1
    assert depth == 29


def test_a_file_of_the_wrong_kind_is_refused_by_its_size(refused):
    assert refused(b"x" * (MAX_BYTES + 1)) == ["r.yaml: the file has 1,000,001 bytes, a recipe at most 1,000,000"]


@pytest.mark.parametrize("seed", range(6))
def test_garbage_gives_one_line_that_names_the_file(refused, seed):
    chance = random.Random(seed)
    alphabet = ["\x00\t\n\r :-#[]{}&*!|>'\"%@`?,abc0", " \n:-#[]{}&*!|>'\"%?,abc0", None][seed % 3]
    size = 200_000
    garbage = chance.randbytes(size) if alphabet is None else "".join(chance.choices(alphabet, k=size)).encode()
    for problem in refused(garbage):
        assert problem.startswith("r.yaml:")
        assert len(problem.splitlines()) == 1
        assert len(problem) < 300


def test_problems_are_listed_to_an_end(refused):
    assert len(refused("voice: a\n" * 5000)) == 100


def test_a_file_that_is_gone_or_a_folder_is_told(tmp_path):
    for path in (tmp_path / "gone.yaml", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(RecipeError, match="there is no such recipe"):
            read_draft(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(write):
    path = write("voice: a\n")
    path.chmod(0)
    with pytest.raises(RecipeError, match="cannot be read: Permission denied"):
        read_draft(path)


@given(st.text(alphabet=st.characters(codec="utf-8")) | st.text(alphabet="ab: \n-[]{}&*!|>'\"%?,#\t0\\u"))
@settings(deadline=None, max_examples=300)
def test_any_text_is_read_or_refused_on_one_line_each(text):
    try:
        parse(text, "ORIGIN")
    except RecipeError as error:
        for problem in error.problems:
            assert problem.startswith("ORIGIN: ")
            assert len(problem.splitlines()) == 1
