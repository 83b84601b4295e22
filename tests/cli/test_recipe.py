from __future__ import annotations

import json

import pytest
import yaml
from jsonschema import Draft202012Validator

from vtune.recipe import builtin_recipes


def test_list_shows_each_recipe_with_its_first_line(vtune):
    lines = vtune("recipe", "list").output.splitlines()
    assert [line.split()[0] for line in lines] == sorted(builtin_recipes())
    for line, path in zip(lines, builtin_recipes().values(), strict=True):
        assert path.read_text().startswith("# " + line.split(maxsplit=1)[1])


def test_copy_writes_the_recipe_here(vtune, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = vtune("recipe", "copy", "quickstart")
    assert result.exit_code == 0
    assert result.output.startswith("quickstart.yaml: ")
    assert (tmp_path / "quickstart.yaml").read_bytes() == builtin_recipes()["quickstart"].read_bytes()


def test_copy_refuses_to_overwrite(vtune, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart.yaml").write_text("mine")
    (tmp_path / "link.yaml").symlink_to("nowhere")
    for target in ([], ["quickstart.yaml"], ["."], ["link.yaml"]):
        result = vtune("recipe", "copy", "quickstart", *target)
        assert result.exit_code == 1
        assert result.stderr.endswith("exists already; name another file\n")
    assert (tmp_path / "quickstart.yaml").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_copy_takes_a_file_a_folder_or_a_new_folder(vtune, tmp_path):
    (tmp_path / "there").mkdir()
    targets = {"mine.yaml": "mine.yaml", "there": "there/quickstart.yaml", "new/mine.yaml": "new/mine.yaml"}
    for target, path in targets.items():
        assert vtune("recipe", "copy", "quickstart", str(tmp_path / target)).exit_code == 0
        assert (tmp_path / path).is_file()


@pytest.mark.parametrize("target", ["r.yaml/below.yaml", "x" * 300 + ".yaml"])
def test_copy_to_where_nothing_can_be_written_is_one_line(vtune, tmp_path, recipe, target):
    result = vtune("recipe", "copy", "quickstart", str(tmp_path / target))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "cannot be copied to" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_copy_of_an_unknown_recipe_suggests_the_nearest(vtune):
    result = vtune("recipe", "copy", "quickstrat")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: no built-in recipe 'quickstrat'; did you mean 'quickstart'?")


def test_check_is_fine_with_a_good_recipe(vtune, recipe):
    (recipe.parent / "x").mkdir()
    result = vtune("recipe", "check", str(recipe))
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        f"{recipe}: no problems; voice someone, engine toy\n",
        "",
    )


def test_check_takes_a_built_in_recipe_by_name(vtune):
    assert vtune("recipe", "check", "quickstart").exit_code == 0


def test_check_tells_every_problem_on_its_line(vtune, recipe):
    recipe.write_text("voice: a\nengine: toy\ntrian: {}\nlora: {rank: -1}\n")
    result = vtune("recipe", "check", str(recipe))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"Error: {recipe}:3: unknown key 'trian'; did you mean 'train'?",
        f"Error: {recipe}:4: 'lora.rank' must be above 0, found -1",
        f"Error: {recipe}: 'data' is missing",
    ]


def test_check_names_sources_that_are_not_there(vtune, recipe):
    result = vtune("recipe", "check", str(recipe), "evaluate.source=hub:owner/set", "evaluate.impostors=nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    first, second = result.stderr.splitlines()
    assert first.startswith(f"Error: {recipe}: data.0: there is no source 'x' (looked for ")
    assert second.startswith(f"Error: {recipe}: evaluate.impostors: there is no source 'nobody' (looked for ")


def test_check_takes_overrides(vtune, recipe):
    (recipe.parent / "x").mkdir()
    assert vtune("recipe", "check", str(recipe), "voice=b", "~lora", "train.epochs=1").output.startswith(
        f"{recipe}: no problems; voice b, "
    )
    failed = vtune("recipe", "check", str(recipe), "train.epochs=x", "~augment")
    assert (failed.exit_code, failed.stderr) == (1, "Error: override '~augment': there is no 'augment' to remove\n")


@pytest.mark.parametrize("verb", [["recipe", "check"], ["recipe", "show"], ["run"], ["train"], ["plan"]])
def test_a_malformed_override_exits_2(vtune, recipe, verb):
    result = vtune(*verb, str(recipe), "epochs")
    assert result.exit_code == 2
    assert "'epochs' is neither key=value nor ~key" in result.stderr


@pytest.mark.parametrize("verb", [["recipe", "check"], ["recipe", "show"], ["run"], ["train"], ["plan"]])
def test_a_recipe_that_is_not_there_exits_1(vtune, tmp_path, verb):
    result = vtune(*verb, str(tmp_path / "gone.yaml"))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: no recipe file ")
    assert len(result.stderr.splitlines()) == 1


def test_show_prints_what_a_run_would_use(vtune, recipe, tmp_path):
    shown = vtune("recipe", "show", str(recipe), "train.learning_rate=2e-5").stdout
    data = yaml.safe_load(shown)
    assert data["lora"]["rank"] == 8
    assert data["train"]["learning_rate"] == 0.00002
    again = tmp_path / "again.yaml"
    again.write_text(shown)
    assert vtune("recipe", "show", str(again)).stdout == shown


def test_schema_is_json_for_every_engine(vtune, recipe):
    schema = json.loads(vtune("recipe", "schema").stdout)
    Draft202012Validator.check_schema(schema)
    judge = Draft202012Validator(schema)
    data = yaml.safe_load(recipe.read_text())
    judge.validate(data)
    assert not judge.is_valid({**data, "engine_options": {"base_model": "x"}})
    assert judge.is_valid({**data, "engine": "orpheus", "engine_options": {"base_model": "x"}})
