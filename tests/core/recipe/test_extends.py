from __future__ import annotations

import pytest

from vtune.engines import load_recipe
from vtune.errors import RecipeError
from vtune.recipe import read_draft

PARENT = """\
voice: parent
engine: toy
data: [{source: a}, {source: b}]
lora: {rank: 2, alpha: 4}
train:
  epochs: 1
  arguments: {adam_beta1: 0.8, adam_beta2: 0.9}
"""


@pytest.fixture
def refused(tmp_path):
    def load(path):
        with pytest.raises(RecipeError) as caught:
            load_recipe(path)
        return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return load


def test_sections_merge_key_by_key_and_lists_are_replaced_whole(write):
    write(PARENT, "parent.yaml")
    text = "extends: parent.yaml\nvoice: child\ndata: [{source: c}]\ntrain: {epochs: 5, arguments: {adam_beta2: 0.5}}\n"
    child = write(text, "child.yaml")
    assert read_draft(child).data == {
        "voice": "child",
        "engine": "toy",
        "data": [{"source": "c"}],
        "lora": {"rank": 2, "alpha": 4},
        "train": {"epochs": 5, "arguments": {"adam_beta1": 0.8, "adam_beta2": 0.5}},
    }


def test_a_section_that_is_null_takes_the_parents_away(write):
    write(PARENT, "parent.yaml")
    child = write("extends: parent.yaml\ntrain:\n", "child.yaml")
    assert load_recipe(child).train.epochs == 3


def test_the_child_is_where_the_recipe_lies(write, tmp_path):
    write(PARENT, "below/parent.yaml")
    recipe = load_recipe(write("extends: below/parent.yaml\n", "child.yaml"))
    assert recipe.folder == tmp_path
    assert recipe.voice == "parent"


def test_a_chain_of_three_takes_the_nearest_value(write):
    write(PARENT, "a.yaml")
    write("extends: ../a.yaml\nvoice: b\nlora: {rank: 3}\n", "b/b.yaml")
    recipe = load_recipe(write("extends: b/b.yaml\nlora: {alpha: 9}\n", "c.yaml"))
    assert (recipe.voice, recipe.lora.rank, recipe.lora.alpha) == ("b", 3, 9)


def test_problems_name_the_file_that_has_them(write, refused):
    write(PARENT.replace("epochs: 1", "epochs: none").replace("rank: 2", "rnk: 2"), "parent.yaml")
    child = write("extends: parent.yaml\n\nlora: {alpha: -1}\nvoice: '?'\n", "child.yaml")
    assert refused(child) == [
        "parent.yaml:4: unknown key 'rnk' in section 'lora'; did you mean 'rank'?",
        "parent.yaml:6: 'train.epochs' must be a number, found 'none'",
        "child.yaml:3: 'lora.alpha' must be above 0, found -1",
        "child.yaml:4: 'voice' must have 1 to 64 letters, digits, '-' and '_', and start with a letter or a digit, "
        "found '?'",
    ]


def test_a_value_that_the_child_mends_is_no_problem(write):
    write(PARENT.replace("epochs: 1", "epochs: none"), "parent.yaml")
    assert load_recipe(write("extends: parent.yaml\ntrain: {epochs: 4}\n", "child.yaml")).train.epochs == 4


def test_a_parent_that_cannot_be_parsed_is_named(write, refused):
    write("voice: a\n\tengine: toy\n", "parent.yaml")
    assert refused(write("extends: parent.yaml\n", "child.yaml")) == [
        "parent.yaml:2: there is a tab character; indent YAML with spaces"
    ]


def test_an_empty_parent_is_named(write, refused):
    write("", "parent.yaml")
    (problem,) = refused(write("extends: parent.yaml\n", "child.yaml"))
    assert problem.startswith("parent.yaml: the recipe is empty")


@pytest.mark.parametrize(
    "parent", ["gone.yaml", "sub/gone.yaml", "'a\\nb'", '"two\\nlines"', "x" * 400, "x/" * 3000, "."]
)
def test_a_missing_parent_is_told_where_it_is_named(write, refused, tmp_path, parent):
    (problem,) = refused(write(f"voice: a\nextends: {parent}\n", "child.yaml"))
    assert problem.startswith("child.yaml:2: 'extends' names '")
    assert problem.endswith(f"but the folder {str(tmp_path)!r} has no such file")
    assert len(problem.splitlines()) == 1


@pytest.mark.parametrize("value", ["", "3", "[a.yaml, b.yaml]", "{a: b}", "''"])
def test_extends_must_name_one_file(write, refused, value):
    (problem,) = refused(write(f"voice: a\nextends: {value}\n", "child.yaml"))
    assert problem.startswith("child.yaml:2: 'extends' must name one recipe file, found ")


def test_a_recipe_that_extends_itself_is_a_circle(write, refused, tmp_path):
    (problem,) = refused(write("extends: ./child.yaml\n", "child.yaml"))
    assert problem == "child.yaml:1: 'extends' leads back to child.yaml; a recipe cannot extend itself"


def test_a_circle_of_three_is_told_where_it_closes(write, refused, tmp_path):
    write("voice: a\nextends: b.yaml\n", "a.yaml")
    write("extends: c.yaml\n", "b.yaml")
    write("extends: a.yaml\n", "c.yaml")
    assert refused(tmp_path / "a.yaml") == ["c.yaml:1: 'extends' leads back to a.yaml; a recipe cannot extend itself"]


def test_two_children_of_one_parent_are_no_circle(write):
    write(PARENT, "parent.yaml")
    for name in ("x", "y"):
        assert load_recipe(write(f"extends: parent.yaml\nvoice: {name}\n", f"{name}.yaml")).voice == name
