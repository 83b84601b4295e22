"""Control characters, which a terminal would obey, are printed as visible text, wherever they come from."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

import vtune_cli
from vtune.errors import VoiceError
from vtune_cli.logging_setup import Formatter
from vtune_cli.output import echo, echo_text

EVIL = "a\x1b[2J\r\nError: \x07\u202eb\udcff"
SHOWN = r"a\x1b[2J\r\nError: \x07\u202eb\udcff"


def test_nothing_in_the_command_line_prints_by_another_way():
    for path in sorted(Path(vtune_cli.__file__).parent.glob("*.py")):
        if path.name != "output.py":
            assert not re.search(r"click\.(s?echo|style)\(|(?<!\w)print\(", path.read_text()), path


def test_a_line_is_one_line(capsys):
    echo(EVIL)
    echo(EVIL, err=True)
    assert capsys.readouterr() == (f"{SHOWN}\n", f"{SHOWN}\n")


def test_a_text_keeps_its_own_lines(capsys):
    echo_text('{\n  "a": "\x1b"\n}\n')
    assert capsys.readouterr().out == '{\n  "a": "\\x1b"\n}\n'


@pytest.mark.parametrize(
    ("message", "arguments", "told"),
    [
        ("%s", (EVIL,), SHOWN),
        ("two\nlines of %s: %d, %.1f", (VoiceError(EVIL), 3, 0.25), f"two\nlines of {SHOWN}: 3, 0.2"),
        ("%(name)s", ({"name": EVIL},), SHOWN),
        ("bare \x1b[0m", (), r"bare \x1b[0m"),
        ("%s", (Path("a\nb"),), r"a\nb"),
        ("%r", ("a\nb",), r"'a\\nb'"),
    ],
)
def test_a_log_shows_what_it_is_given(message, arguments, told):
    record = logging.getLogger("vtune").makeRecord("vtune", logging.INFO, "", 0, message, arguments, None)
    assert Formatter("%(message)s").format(record) == told
    assert record.args == (arguments if not isinstance(arguments[:1] and arguments[0], dict) else arguments[0])


def test_a_record_and_a_folder_with_escapes_are_listed_on_a_line_each(vtune, tmp_path):
    record = {
        "name": EVIL[:-1], "engine": EVIL[:-1], "engine_origin": "", "engine_options": {}, "method": "lora",
        "sample_rate": 8000, "fingerprint": {}, "servable": True, "lora": {}, "training": {},
        "ledger": {"clips": {"train": EVIL[:-1]}}, "consent": None, "licence": "", "vtune": "", "created": "",
    }  # fmt: skip
    for name in ("anna", "b\x1b[31m\nen"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "voice.json").write_text(json.dumps(record))
    output = vtune("voices", "--voices", str(tmp_path)).output
    assert output.count("\n") == 2
    assert output.replace("\n", "").isprintable()
    assert r"b\x1b[31m\nen" in output


def test_an_error_that_quotes_a_line_break_is_one_line(vtune, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "voice.json").write_text("{}")
    result = vtune("say", "x\nError: y\x1b[2J", "hi", "--voices", str(tmp_path / "v\x1bs\nw"))
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert result.output.removesuffix("\n").isprintable()
