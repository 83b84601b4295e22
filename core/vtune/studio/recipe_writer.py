"""Write a recipe from what the page asks: a built-in recipe with its comments, and the answers in their places."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vtune.engines import find_users_recipe, load_foreign_recipe
from vtune.errors import RecipeError, VtuneError
from vtune.recipe import missing_sources
from vtune.runtime.paths import write_text
from vtune.runtime.untrusted import read_text

_SECTION = re.compile(r"^(?=[A-Za-z_]+:)", re.MULTILINE)
_COMMENTED_CONSENT = re.compile(r"^# consent:\n(?:#   .*\n?)*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Answers:
    """What the page asks for a recipe.

    :param template: the name of a built-in recipe, or empty for an engine's own defaults.
    :param base: the base to start from: a folder, a file or a name on the Hub; empty for the template's.
    """

    voice: str
    engine: str
    template: str
    source: str
    base: str
    language: str
    person: str
    statement: str


def recipe_text(answers: Answers) -> str:
    """Return the recipe as YAML; the comments of the template stay, except those inside the answers' sections."""
    text = read_text(find_users_recipe(answers.template)) if answers.template else f"engine: {answers.engine}\n"
    text = _replaced(text, "voice", answers.voice)
    text = _replaced(text, "data", [{"source": answers.source}])
    if answers.person or answers.statement:
        text = _COMMENTED_CONSENT.sub("", text)
        text = _replaced(text, "consent", {"person": answers.person, "statement": answers.statement})
    if answers.base:
        text = _with_base(text, answers.base)
    if answers.language and re.search(r"^  language: ", _section(text, "transcribe"), re.MULTILINE):
        section = _section(text, "transcribe")
        text = text.replace(section, re.sub(r"^(  language: )\S+", rf"\g<1>{answers.language}", section, flags=re.M))
    return text


def write_recipe(path: Path, text: str) -> list[str]:
    """Write a recipe, and return its problems, one line each, also sources that are not there."""
    write_text(path, text if text.endswith("\n") else f"{text}\n")
    return problems_of(path)


def problems_of(path: Path) -> list[str]:
    """Return the problems of a recipe, one line each."""
    try:
        return missing_sources(load_foreign_recipe(path))
    except RecipeError as error:
        return list(error.problems)
    except VtuneError as error:
        return [str(error)]


def _replaced(text: str, key: str, value: Any) -> str:
    """Replace a section of the top level, or add it at the end; a comment behind its first line is lost."""
    written = yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True)
    section = _section(text, key)
    if not section:
        return f"{written}{text}" if key == "voice" else f"{text.rstrip()}\n\n{written}"
    rest = section.rstrip("\n")
    ending = section[len(rest) :]
    return text.replace(section, written + ending[1:], 1)


def _section(text: str, key: str) -> str:
    """Return a section with its key; comments that stand before the next section belong to the next."""
    found = next((part for part in _SECTION.split(text) if part.startswith(f"{key}:")), "")
    lines = found.splitlines(keepends=True)
    while len(lines) > 1 and (lines[-1].startswith("#") or not lines[-1].strip()):
        lines.pop()
    return "".join(lines)


def _with_base(text: str, base: str) -> str:
    section = _section(text, "engine_options")
    line = f"  base_model: {yaml.safe_dump(base, allow_unicode=True).splitlines()[0]}"
    if not section:
        return _replaced(text, "engine_options", {"base_model": base})
    if re.search(r"^  base_model: .*$", section, re.MULTILINE):
        changed = re.sub(r"^  base_model: .*$", lambda _: line, section, count=1, flags=re.MULTILINE)
    else:
        changed = section.rstrip("\n") + f"\n{line}\n"
    return text.replace(section, changed, 1)
