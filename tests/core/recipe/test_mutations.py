"""A good recipe is damaged in every way in which people mistype; it loads, or each problem is one line with its
position."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vtune.engines import load_foreign_recipe, load_recipe
from vtune.errors import RecipeError
from vtune_cli.main import main

VALUES: list[Any] = [
    None, True, -1, 0, -0.5, 1e300, -1e300, 10**17, 10**30, 10**400, float("inf"), float("nan"), "", " ", "text", "toy",
    "line\nline", "é😀", "x" * 10_000, "/", "..", ".py", "./gone.py", "5e-5", [], {}, [[]], [{}], {"": {}}, [None],
    {"a": {"b": {"c": [1, {"d": None}]}}}, [[[[[[[[1]]]]]]]], list(range(300)), {"0": 1}, "x/" * 3000 + "y.py",
]  # fmt: skip
SCRAPS = [
    "\t", " ", "\n", ":", "-", "- ", "#", "?", "? ", "[", "]", "{", "}", ",", "&a ", "*a", "*b", "!!python/object:x ",
    "!x ", "|", ">", "'", '"', "%", "@", "`", "<<: ", "---\n", "...\n", "\0", "\x07", "\x85", "\u2028", "\ufeff", "é",
    "\r", "~", "null", "9" * 500, "-" * 50, "[" * 500, "{" * 500, '"\\ud800"', '"\\U00110000"', '"\\0"', "%YAML 9.9\n",
]  # fmt: skip
Path = tuple[Any, ...]


def _places(node: Any, path: Path = ()) -> list[Path]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [key_path for key, value in items for key_path in ((*path, key), *_places(value, (*path, key)))]


def _at(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data


def _misspelt(word: str, chance: random.Random) -> str:
    position = chance.randrange(len(word) + 1)
    letter = chance.choice("abcdefghijklmnopqrstuvwxyz_-. ")
    changes = [
        word[:position] + letter + word[position:],
        word[:position] + word[position + 1 :],
        word[::-1],
        word.upper(),
        "",
    ]
    return chance.choice([*changes[:2] * 3, *changes])


def _change_tree(data: Any, chance: random.Random) -> None:
    places = _places(data)
    if not places:
        return
    path = chance.choice(places)
    parent, key = _at(data, path[:-1]), path[-1]
    match chance.choice(["delete", "misspell", "retype", "retype", "move", "wrap", "unwrap", "add"]):
        case "delete":
            del parent[key]
        case "misspell" if isinstance(key, str):
            parent[_misspelt(key, chance)] = parent.pop(key)
        case "retype":
            parent[key] = chance.choice(VALUES)
        case "move":
            value = parent.pop(key)
            sections = [data, *(node for node in map(lambda p: _at(data, p), _places(data)) if isinstance(node, dict))]
            chance.choice(sections)[str(key)] = value
        case "wrap":
            parent[key] = chance.choice([[parent[key]], {"value": parent[key]}, {str(key): parent[key]}])
        case "unwrap" if isinstance(parent[key], dict | list) and parent[key]:
            parent[key] = next(iter(parent[key].values() if isinstance(parent[key], dict) else parent[key]))
        case "add" if isinstance(parent, list):
            parent.insert(key, chance.choice(VALUES))
        case _:
            parent[key] = parent[key]


def _change_text(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    number = chance.randrange(len(lines))
    line = lines[number]
    position = chance.randrange(len(text) + 1)
    match chance.randrange(12):
        case 0:
            del lines[number]
        case 1:
            lines.insert(chance.randrange(len(lines)), line)
        case 2:
            lines[number] = chance.choice(["\t", " ", "  ", "      "]) + line
        case 3:
            lines[number] = line[chance.randrange(3) :]
        case 4:
            lines[number] = _misspelt(line, chance)
        case 5:
            other = chance.randrange(len(lines))
            lines[number], lines[other] = lines[other], lines[number]
        case 6:
            return text[:position]
        case 7 | 8:
            lines[number] = line.partition(":")[0] + ": " + chance.choice(SCRAPS)
        case 9:
            lines.insert(number, f"extends: {chance.choice([*SCRAPS, 'r.yaml', 'gone.yaml', '/', 'x/' * 3000])}")
        case _:
            return text[:position] + chance.choice(SCRAPS) + text[position:]
    return "\n".join(lines)


def mutated(good: str, seed: int) -> bytes:
    chance = random.Random(seed)
    text = good
    if seed % 3:
        data = yaml.safe_load(good)
        for _ in range(chance.randint(1, 4)):
            _change_tree(data, chance)
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=chance.choice([None, True]))
    if seed % 3 != 1:
        for _ in range(chance.randint(1, 3)):
            text = _change_text(text, chance)
    encoded = bytearray(text.encode())
    if encoded and chance.random() < 0.15:
        for _ in range(chance.randint(1, 4)):
            encoded[chance.randrange(len(encoded))] ^= 1 << chance.randrange(8)
    return bytes(encoded)


def check(path: Any) -> int:
    """Load a recipe, and check it on the command line; return the number of its problems."""
    problems: tuple[str, ...] = ()
    try:
        load_foreign_recipe(path)
    except RecipeError as error:
        problems = error.problems
        assert problems
    for problem in problems:
        assert problem.startswith(str(path)), problem
        assert len(problem.splitlines()) == 1, problem
        assert problem.isprintable(), problem
        assert len(problem) < 600, problem
    result = CliRunner().invoke(main, ["recipe", "check", str(path)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    lines = result.stderr.splitlines()
    # A recipe that loads may name sources that are not there.
    missing = [] if problems else [line for line in lines if "data." in line and "there is no source" in line]
    assert result.exit_code == (1 if problems or missing else 0)
    assert lines == [*(f"Error: {problem}" for problem in problems), *missing]
    return len(problems)


@pytest.mark.parametrize("seed", range(200))
def test_a_broken_recipe_loads_or_is_told_line_by_line(write, good, seed):
    check(write(mutated(good, seed)))


def test_the_breakages_are_of_both_kinds(write, good):
    # else the test above would prove nothing
    counts = []
    for seed in range(0, 200, 5):
        try:
            load_recipe(write(mutated(good, seed)))
            counts.append(0)
        except RecipeError as error:
            counts.append(len(error.problems))
    assert counts.count(0) >= 3
    assert sum(count == 1 for count in counts) >= 5
    assert sum(count > 1 for count in counts) >= 5


@given(st.text(alphabet=st.characters(codec="utf-8")) | st.binary(max_size=50))
@settings(deadline=None, max_examples=40)
def test_any_file_loads_or_is_told_line_by_line(scratch, content):
    path = scratch / "any.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    check(path)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=20), st.integers(0, 500))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_inside_a_good_recipe_loads_or_is_told(scratch, good, text, place):
    path = scratch / "inside.yaml"
    path.write_text(good[:place] + text + good[place:], encoding="utf-8", newline="")
    check(path)


@pytest.mark.parametrize("value", range(len(VALUES)))
def test_any_value_in_any_place_loads_or_is_told(write, good, value):
    for path in [("voice",), ("engine",), ("extends",), *_places(yaml.safe_load(good))[value % 5 :: 5]]:
        data = yaml.safe_load(good)
        _at(data, path[:-1])[path[-1]] = VALUES[value]
        check(write(yaml.safe_dump(data, sort_keys=False, allow_unicode=True)))
