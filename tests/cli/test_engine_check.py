"""``vtune engine check`` prints one line for each promise and a paragraph for each failure; its exit code says
which.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sabotage import SABOTAGES

Run = Callable[..., Any]


def broken(folder: Path, name: str) -> Path:
    path = folder / "broken.py"
    path.write_text(next(sabotage.engine for sabotage in SABOTAGES if sabotage.name == name))
    return path


def test_each_promise_has_a_line(vtune: Run) -> None:
    result = vtune("engine", "check", "toy", "--rule", "fingerprint-names-the-base")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[:6]] == ["pass"] * 6
    assert lines[5].endswith("fingerprint names the parts that a voice needs, each with a hash.")
    assert lines[-1].startswith("Engine toy: 6 rules hold; ")


def test_a_failure_is_a_paragraph_and_the_exit_code_is_1(vtune: Run, tmp_path: Path) -> None:
    result = vtune("engine", "check", str(broken(tmp_path, "random features")), "--rule", "encoding-is-free-of-order")
    assert result.exit_code == 1
    assert "\nencoding-repeats: The feature 'labels' of one clip was different when " in result.stdout
    assert "\n  Why it matters: A feature is kept under a key of its clip" in result.stdout
    assert "\n  What to change: Draw nothing at random while encoding" in result.stdout
    assert "(encoding-repeats failed)" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("Engine ")
    assert "6 rules hold, 1 fail, 1 could not be checked" in result.stdout.splitlines()[-1]


def test_the_results_are_lines_of_json(vtune: Run) -> None:
    result = vtune("engine", "check", "toy", "--rule", "base-loads", "--json", "-o", "width=4")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["rule"] for row in rows][-1] == "base-loads"
    assert {row["status"] for row in rows} == {"pass"}


def test_the_rules_are_listed_without_an_engine_being_loaded(vtune: Run) -> None:
    result = vtune("engine", "check", "no-such-engine", "--list")
    assert result.exit_code == 0
    assert any(line.startswith("loss-ignores-padding ") for line in result.stdout.splitlines())


def test_mistakes_of_usage_exit_with_2(vtune: Run) -> None:
    result = vtune("engine", "check", "toy", "--rule", "loss-ignores-pading")
    assert result.exit_code == 2
    assert "did you mean 'loss-ignores-padding'?" in result.stderr
    assert vtune("engine", "check", "toy", "-o", "width").exit_code == 2


def test_an_engine_that_is_not_installed_fails_in_its_first_rule(vtune: Run) -> None:
    result = vtune("engine", "check", "tyo", "--rule", "base-loads")
    assert result.exit_code == 1
    assert "engine-imports: no engine 'tyo' is installed; did you mean 'toy'?" in result.stdout
