"""``vtune check``: its lines, its JSON, its exit code, its file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vtune import machine
from vtune.machine import Finding
from vtune_cli.main import main

FINDINGS = {
    "good": [Finding("ok", "All is well.", "", "disk")],
    "warned": [Finding("ok", "Fine.", "", "disk"), Finding("warning", "It is slow.", "buy one", "memory")],
    "broken": [Finding("error", "It is broken.", "pip install it", "torch")],
}


def run(monkeypatch: pytest.MonkeyPatch, kind: str, *arguments: str) -> Result:
    monkeypatch.setattr(machine, "check_machine", lambda *_, **__: iter(FINDINGS[kind]))
    return CliRunner().invoke(main, ["check", *arguments])


@pytest.mark.parametrize(
    ("kind", "arguments", "code", "last"),
    [
        ("good", [], 0, "vtune works here."),
        ("warned", [], 0, "vtune works here, with 1 warning."),
        ("warned", ["--strict"], 1, "vtune works here, with 1 warning."),
        ("broken", [], 1, "An error keeps something from working; the line after -> mends it."),
    ],
)
def test_the_exit_code_says_whether_vtune_works(
    monkeypatch: pytest.MonkeyPatch, kind: str, arguments: list[str], code: int, last: str
) -> None:
    result = run(monkeypatch, kind, *arguments)

    assert (result.exit_code, result.stdout.splitlines()[-1]) == (code, last)


def test_a_fault_has_the_line_that_mends_it_below(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = run(monkeypatch, "broken").stdout.splitlines()

    assert lines[0].split() == ["error", "torch", "It", "is", "broken."]
    assert lines[1].strip() == "-> pip install it"


def test_json_is_one_line_a_finding_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = run(monkeypatch, "warned", "--json", "--bundle", str(tmp_path / "report.zip"))

    rows: list[dict[str, Any]] = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok", "warning"]
    assert (tmp_path / "report.zip").is_file()


def test_the_list_names_every_check() -> None:
    result = CliRunner().invoke(main, ["check", "--list"])

    assert [line.split()[0] for line in result.stdout.splitlines()] == list(machine.check_names())


def test_an_unknown_check_is_one_line() -> None:
    result = CliRunner().invoke(main, ["check", "--only", "dsk"])

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: there is no check 'dsk'; did you mean 'disk'")
