"""The tutorial is followed exactly: its commands run in order, and print what the page shows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tutorial" / "recordings-to-voice.md"


def blocks() -> Iterator[tuple[str, str]]:
    """Yield the code blocks of the page: their language, and their text."""
    yield from re.findall(r"^```(\w+)[^\n]*\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def masked(line: str) -> str:
    """Return a line without its numbers, which differ from machine to machine."""
    return re.sub(r"\d[\d,.]*(e-?\d+)?", "#", " ".join(line.split()))


def missing(shown: str, printed: str) -> list[str]:
    """Return the lines of a shown output that were not printed in this order; ``...`` stands for any lines."""
    lines = iter(masked(line) for line in printed.splitlines())
    return [line for line in shown.splitlines() if line.strip() not in {"", "..."} and masked(line) not in lines]


def wait_until_ready(address: str) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"{address} does not answer")


@pytest.mark.slow
@pytest.mark.proof
@pytest.mark.skipif(find_spec("distillmos") is None, reason="the page shows what DistillMOS measures")
def test_following_the_tutorial(tmp_path: Path, whisper_weights: Path) -> None:
    for name in ("recipes", "tools"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.en.pt").symlink_to(whisper_weights)
    command = tmp_path / "bin" / "vtune"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m vtune_cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}", "HF_HUB_OFFLINE": "1",
        "VTUNE_WHISPER": str(whisper_weights),
    }  # fmt: skip
    server, printed, everything = None, "", ""
    try:
        for language, text in blocks():
            if language == "yaml":
                (tmp_path / text.split("\n", 1)[0].removeprefix("# ")).write_text(text, encoding="utf-8")
            elif language == "text":
                assert missing(text, printed) == [], f"not printed:\n{printed[-4000:]}"
                printed = everything  # a second block below a command shows lines of an earlier one
            elif "pip install" in text or "vtune review" in text:
                printed = ""
            elif "vtune serve" in text:
                server = subprocess.Popen(["bash", "-ec", f"exec {text.strip()}"], cwd=tmp_path, env=environment)
                wait_until_ready("http://127.0.0.1:8000/ready")
            else:
                done = subprocess.run(
                    ["bash", "-ec", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
                )
                printed = done.stdout + done.stderr
                everything += printed
                assert done.returncode == 0, f"{text}\n{printed[-4000:]}"
    finally:
        if server is not None:
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0
    assert (tmp_path / "lantern.wav").stat().st_size > 10_000


def test_a_line_that_was_not_printed_is_noticed() -> None:
    printed = "one 1.5\ntwo\nthree 3"
    assert missing("one 2\n...\nthree 9\n", printed) == []
    assert missing("three 1\none 2\n", printed) == ["one 2"]
    assert missing("four\n", printed) == ["four"]
