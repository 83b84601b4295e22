"""The documentation is held to the code."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from vtune.recipe import builtin_recipes
from vtune_cli.main import VERBS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_reference", ROOT / "tools" / "write_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["hooks.md", "recipe.md", "api.md"])
def test_reference_pages_are_what_the_code_says(reference: ModuleType, name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == reference.pages()[name], "run python tools/write_reference.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_verb_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [verb for verb in VERBS if f"`vtune {verb}" not in readme]


@pytest.mark.parametrize("name", ["quickstart", "orpheus_character"])
def test_built_in_recipes_begin_with_what_they_are(name: str) -> None:
    lines = builtin_recipes()[name].read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert any("eeds" in line for line in lines[:12] if line.startswith("#"))


def test_every_commented_setting_of_the_character_recipe_exists() -> None:
    """Uncomment every `# key: value` of the sections and check the result as a whole."""
    from vtune.engines import load_recipe

    text = builtin_recipes()["orpheus_character"].read_text(encoding="utf-8")
    head, body = text.split("voice: ", 1)
    open_lines = []
    for line in ("voice: " + body).splitlines():
        match = re.match(r"^(\s*)# (\s*(?:- )?[a-zA-Z_]+:.*)$", line)
        open_lines.append(match[1] + match[2] if match else line)
    assert head.startswith("#")
    uncommented = "\n".join(open_lines)
    settings = yaml.safe_load(uncommented)
    assert "augment" in settings
    assert "modules_to_save" in settings["lora"]
    path = ROOT / "recipes" / ".uncommented.yaml"
    path.write_text(uncommented, encoding="utf-8")
    try:
        load_recipe(path)
    finally:
        path.unlink()


PROMISES = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")


def test_every_promise_names_tests_that_exist() -> None:
    parts = PROMISES.split("\n## ")[1:]
    assert [part for part in parts if "::test_" not in part and not part.startswith("Plain words")] == []
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PROMISES):
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), f"{path}::{name}"


def test_every_promise_of_the_readme_is_explained() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, part = readme.partition("## What you can rely on")
    told = re.findall(r"^- \*\*(.+?)\.?\*\*", part.partition("\n## ")[0], re.MULTILINE)
    assert len(told) >= 5
    assert [promise for promise in told if f"\n## {promise}\n" not in PROMISES] == []
