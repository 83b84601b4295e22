from __future__ import annotations

import pytest

from vtune.engines import load_recipe
from vtune.errors import RecipeError
from vtune.recipe import builtin_recipes, find_recipe


def test_every_built_in_recipe_loads():
    assert "quickstart" in builtin_recipes()
    for name, path in builtin_recipes().items():
        assert load_recipe(name).folder == path.parent


def test_a_file_goes_before_a_built_in_recipe(write, monkeypatch, tmp_path):
    write("voice: a\n", "quickstart")
    monkeypatch.chdir(tmp_path)
    assert find_recipe("quickstart").read_text() == "voice: a\n"


def test_a_folder_of_that_name_does_not_hide_a_built_in_recipe(monkeypatch, tmp_path):
    (tmp_path / "quickstart").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_recipe("quickstart") == builtin_recipes()["quickstart"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("quikstart", "no built-in recipe 'quikstart'; did you mean 'quickstart'? (built in: "),
        ("quikstart.yaml", "no recipe file 'quikstart.yaml'; did you mean 'quickstart'? (built in: "),
        ("somewhere/mine", "no recipe file 'somewhere/mine' (built in: "),
        ("", "no built-in recipe '' (built in: "),
        ("x" * 5000, "no built-in recipe 'xxx"),
        ("a\nb", r"no built-in recipe 'a\nb' (built in: "),
        ("a\0b", r"no built-in recipe 'a\x00b' (built in: "),
    ],
)
def test_a_recipe_that_is_not_there_suggests_the_nearest(name, message):
    with pytest.raises(RecipeError) as caught:
        find_recipe(name)
    (problem,) = caught.value.problems
    assert problem.startswith(message)
    assert len(problem.splitlines()) == 1
    assert len(problem) < 300
