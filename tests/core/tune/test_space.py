"""What may be searched, and the messages where it may not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtune.engines import load_recipe
from vtune.errors import RecipeError
from vtune.recipe.parse import parse
from vtune.tune import Space, check_space, read_space
from vtune.tune.dimensions import Choice, Range, read_dimension


@pytest.fixture
def plain(toy_recipe: Callable[..., Path]) -> str:
    return str(toy_recipe(lora={"rank": 8, "targets": "all"}))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1e-5..1e-3:log", Range(1e-5, 1e-3, log=True)),
        ("2..8", Range(2, 8)),
        ("-1..1:step=0.25", Range(-1, 1, step=0.25)),
        (".5..1", Range(0.5, 1)),
        ("8,16,32", Choice(("8", "16", "32"))),
        ("true, null, cosine", Choice(("true", "null", "cosine"))),
        ("[all],[inner, outer]", Choice(("[all]", "[inner, outer]"))),
        ("../a,../b", Choice(("../a", "../b"))),
        ('"1",2', Choice(('"1"', "2"))),
        ([1, "a b"], Choice(("1", '"a b"'))),
    ],
)
def test_ranges_and_choices(written: Any, read: Range | Choice) -> None:
    assert read_dimension(written, "x") == read


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("1e-3..1e-5", "ends before it begins"),
        ("1..1", "ends before it begins"),
        ("0..1:log", "must begin above 0, not at 0"),
        ("1..2:logs", r"not with ':logs'; did you mean 'log'\?"),
        ("1..2:step=x", "not with ':step=x'"),
        ("1..2:step=3", "a step of 3 does not fit into 1..2"),
        ("1..2:step=0", "a step of 0 does not fit"),
        ("1..2:log:step=1", "can have :log or :step, not both"),
        ("1..two", "'1..two' is not a range"),
        ("8", "'8' is a single choice"),
        ("", "'nothing' is a single choice"),
        ("8,8", "the choice 8 is given twice"),
        ("[1,2", "not YAML"),
    ],
)
def test_what_is_neither_is_one_line(written: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says) as caught:
        read_dimension(written, "--search k")
    assert str(caught.value).startswith("--search k: ")
    assert len(caught.value.problems) == 1
    assert "\n" not in str(caught.value)


numbers = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda number: number == 0 or abs(number) > 1e-9)
scalars = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | numbers | st.text(st.characters(codec="ascii"))
values = scalars.filter(lambda value: not isinstance(value, str) or value.isprintable())


@given(st.lists(st.recursive(values, lambda inner: st.lists(inner, max_size=3), max_leaves=4), min_size=2, max_size=4))
def test_a_choice_is_read_back_as_it_was_given(given_values: list[Any]) -> None:
    try:
        choice = read_dimension(given_values, "x")
    except RecipeError as error:
        assert "is given twice" in str(error)  # noqa: PT017 -- 1 and 1.0 are written alike
        return
    assert isinstance(choice, Choice)
    assert [parse(option, "x") for option in choice.options] == given_values
    assert read_dimension(str(choice), "x") == choice


@given(numbers, numbers, st.booleans(), st.floats(0, 1))
def test_numbers_of_a_range_lie_in_it_and_are_short(
    first: float, second: float, is_integer: bool, share: float
) -> None:
    low, high = sorted((round(first), round(second)) if is_integer else (first, second))
    if low == high:
        return
    dimension = Range(low, high, is_integer=is_integer)
    number = low + share * (high - low)
    tidy = dimension.tidy(number)
    assert low <= tidy <= high
    assert dimension.tidy(tidy) == tidy
    assert isinstance(tidy, int) == is_integer
    # Half a unit of the fourth digit, or an end of the range.
    assert tidy in (low, high) or abs(tidy - number) <= (0.5 if is_integer else 0.5e-3 * abs(number))
    read = read_dimension(str(dimension), "x")
    assert isinstance(read, Range)
    assert (read.low, read.high) == (low, high)


def test_steps_are_listed_as_they_are_written() -> None:
    assert Range(0, 0.7, step=0.1).values() == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert Range(1, 9, step=3, is_integer=True).values() == [1, 4, 7]
    assert Range(1, 9).values() is None


def test_the_kind_of_a_range_is_its_keys(plain: str, space: Callable[..., Space]) -> None:
    searched_space = space(plain, "lora.rank=4..16", "train.epochs=1..3", "engine_options.width=8..64:log").dimensions
    assert [isinstance(dimension, Range) and dimension.is_integer for dimension in searched_space.values()] == [
        True,
        False,
        True,
    ]


def test_the_recipes_own_values_are_a_point(plain: str, space: Callable[..., Space]) -> None:
    searched_space = space(
        plain, "lora.rank=8,16", "train.epochs=1..3:step=0.5", "lora.targets=outer,all", "lora.alpha=1..9"
    )
    assert searched_space.own == {"lora.rank": "8", "train.epochs": 2.0, "lora.targets": "all", "lora.alpha": 8.0}
    assert space(plain, "lora.rank=9..16").own is None
    assert space(plain, "train.epochs=1.5..3.5:step=1").own is None


def test_a_point_becomes_the_recipe_it_says(plain: str, space: Callable[..., Space]) -> None:
    searched_space = space(
        plain, "lora.targets=[outer],[inner, outer]", "train.learning_rate=1e-6..1:log", "lora.rank=2..9"
    )
    point = {"lora.targets": "[inner, outer]", "train.learning_rate": 3e-6, "lora.rank": 5}
    recipe = load_recipe(plain, searched_space.overrides(point))
    assert recipe.lora.targets == ["inner", "outer"]
    assert (recipe.train.learning_rate, recipe.lora.rank) == (3e-6, 5)


def test_every_key_is_held_to_the_recipe_and_all_problems_are_told(plain: str) -> None:
    searches = [
        "train.learnin_rate=1e-5..1e-3", "trian.epochs=1,2", "lora.dropout=0..1", "lora.rank=0.5..8",
        "train.scheduler=1..2", "lora.targets=1,2", "train.method=lora,ful", "train.warmup=0..1",
    ]  # fmt: skip
    with pytest.raises(RecipeError) as caught:
        check_space(plain, [], read_space(searches))
    problems = dict(line.removeprefix("--search ").split(": ", 1) for line in caught.value.problems)
    assert list(problems) == [search.split("=")[0] for search in searches[:-1]]
    assert problems["train.learnin_rate"].endswith("did you mean 'learning_rate'?")
    assert problems["trian.epochs"].endswith("did you mean 'train'?")
    assert "below 1, found 1" in problems["lora.dropout"]
    assert "found 0.5" in problems["lora.rank"]
    assert "found 1" in problems["train.scheduler"]
    assert "found 'ful'" in problems["train.method"]


@pytest.mark.parametrize(
    ("searches", "says"),
    [
        (["voice=a,b"], "every trial makes the same voice"),
        (["folders.runs=a,b"], "folders of its own"),
        (["evaluate.clips=1..8"], "judged alike"),
        (["train.validation=0.1..0.3"], "judged by the same clips"),
        (["prepare.max_seconds=5..10"], "name evaluate.source"),
        (["data.0.source=a,b"], "name evaluate.source"),
        (["lora.rank=4,8", "lora={rank: 2},{rank: 4}"], "'lora' is given as well"),
        (["lora.alpha=4,8"], "'lora.alpha' is given as well"),
        (["train.warmup=true,false"], "must be a number, found true"),
        (["train.gradient_checkpointing=0..1"], "does not hold a number"),
        (["lora.rank=2..8:step=1.5"], "a step is whole, not 1.5"),
    ],
)
def test_what_would_compare_unlike_things_is_refused(plain: str, searches: list[str], says: str) -> None:
    with pytest.raises(RecipeError, match=says) as caught:
        check_space(plain, ["lora.alpha=3"], read_space(searches))
    assert all("\n" not in problem for problem in caught.value.problems)


def test_with_recordings_held_out_elsewhere_clips_may_change(toy_recipe: Callable[..., Path]) -> None:
    named = str(toy_recipe(evaluate={"source": "held"}))
    searched_space = check_space(named, [], read_space(["prepare.max_seconds=5..10", "data.0.weight=1,2"]))
    assert not searched_space.same_loss
    assert check_space(named, [], read_space(["data.0.weight=1,2", "lora.rank=2,4"])).same_loss


def test_the_recipes_own_problems_come_first(plain: str) -> None:
    with pytest.raises(RecipeError, match=r"override 'lora.rnk=3': unknown key"):
        check_space(plain, ["lora.rnk=3"], read_space(["train.epochz=1,2"]))


def test_a_space_stands_in_a_file_with_or_without_sections(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text("train:\n  learning_rate: 1e-5..1e-3:log\n  epochs: [1, 2.5]\nlora.rank: 8,16\n")
    searched_space = read_space(["lora.alpha=1..2"], file)
    assert Space(searched_space).settings() == {
        "train.learning_rate": "1e-05..0.001:log",
        "train.epochs": "1,2.5",
        "lora.rank": "8,16",
        "lora.alpha": "1..2",
    }
    again = tmp_path / "again.yaml"
    again.write_text("".join(f"{key}: {text}\n" for key, text in Space(searched_space).settings().items()))
    assert read_space([], again) == searched_space


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a\n", "a search space is a mapping"),
        ("", "a search space is a mapping"),
        ("lora: {rank: 8}\n", "space.yaml: lora.rank: '8' is a single choice"),
        ("lora.rank: 8..4\n", "space.yaml: lora.rank: the range 8..4 ends before it begins"),
        ("a: [1\n", "space.yaml: not YAML"),
    ],
)
def test_a_file_that_is_no_space_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=says):
        read_space([], file)
    with pytest.raises(RecipeError, match="there is no such file"):
        read_space([], tmp_path / "gone.yaml")


def test_a_key_is_searched_once(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text("lora.rank: 8,16\n")
    with pytest.raises(RecipeError, match=r"--search lora.rank: it is given twice"):
        read_space(["lora.rank=1..2"], file)
