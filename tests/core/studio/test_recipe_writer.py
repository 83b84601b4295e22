from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vtune.recipe import builtin_recipes
from vtune.studio.recipe_writer import Answers, problems_of, recipe_text, write_recipe

TEMPLATES = [name for name in builtin_recipes() if name != "quickstart"]


def answers(**changes: str) -> Answers:
    given = {
        "voice": "jane", "engine": "toy", "template": "", "source": "recordings/jane", "base": "", "language": "",
        "person": "Jane Doe", "statement": 'She agreed: "for this audiobook".',
    }  # fmt: skip
    return Answers(**{**given, **changes})


@pytest.mark.parametrize("template", TEMPLATES)
def test_answers_stand_in_their_places_and_comments_stay(template: str) -> None:
    engine = yaml.safe_load(builtin_recipes()[template].read_text())["engine"]
    text = recipe_text(answers(template=template, engine=engine, base="/models/base: x", language="de"))
    recipe, before = yaml.safe_load(text), yaml.safe_load(builtin_recipes()[template].read_text())
    assert recipe["voice"] == "jane"
    assert recipe["data"] == [{"source": "recordings/jane"}]
    assert recipe["consent"] == {"person": "Jane Doe", "statement": 'She agreed: "for this audiobook".'}
    assert recipe["engine_options"]["base_model"] == "/models/base: x"
    if "language" in before.get("transcribe", {}):
        assert recipe["transcribe"]["language"] == "de"
    changed = {"voice", "data", "consent", "engine_options", "transcribe"}
    assert {key: value for key, value in recipe.items() if key not in changed} == {
        key: value for key, value in before.items() if key not in changed
    }
    assert text.count("\n#") + text.count(" # ") > 10
    assert len([line for line in text.splitlines() if line.startswith("consent:")]) == 1
    assert text.startswith("#")


def test_an_engine_without_a_recipe_has_its_own_defaults(tmp_path: Path) -> None:
    text = recipe_text(answers(person="", statement="", source=str(tmp_path)))
    assert yaml.safe_load(text) == {"voice": "jane", "engine": "toy", "data": [{"source": str(tmp_path)}]}
    assert write_recipe(tmp_path / "jane.yaml", text) == []


def test_problems_are_one_line_each(tmp_path: Path) -> None:
    text = recipe_text(answers()) + "trian: {epochs: 3}\n"
    problems = write_recipe(tmp_path / "jane.yaml", text)
    assert any("trian" in line and "'train'" in line for line in problems)
    assert problems == problems_of(tmp_path / "jane.yaml")
    (tmp_path / "jane.yaml").write_text(recipe_text(answers()))
    assert any("there is no source 'recordings/jane'" in line for line in problems_of(tmp_path / "jane.yaml"))
