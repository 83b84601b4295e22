from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest


def test_it_serves_until_it_is_interrupted(speech):
    folder = speech()
    process = subprocess.Popen(
        [sys.executable, "-m", "vtune_cli", "review", str(folder), "--no-browser"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = urlsplit(process.stdout.readline().strip())
        assert url.hostname == "127.0.0.1"
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
        connection.request("GET", f"/?{url.query}")
        assert connection.getresponse().status == 200
        process.send_signal(signal.SIGINT)
        _, output = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0
    assert output == ""


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nowhere", None, "there is no source"),
        ("empty.csv", b"", "has no rows"),
        ("x.parquet", b"PAR1", "cannot be"),
        ("plain.wav", b"RIFF", "not a table of clips"),
    ],
)
def test_what_cannot_be_reviewed_is_one_line(vtune, tmp_path: Path, name: str, content: bytes | None, message: str):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = vtune("review", str(tmp_path / name), "--no-browser")
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_name_that_is_no_text_is_one_line(vtune):
    result = vtune("review", os.fsdecode(b"\xff\n"), "--no-browser")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1


def test_a_host_that_is_not_here_is_one_line(vtune, speech):
    result = vtune("review", str(speech()), "--no-browser", "--host", "192.0.2.1", "--port", "8765")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: cannot serve at 192.0.2.1 port 8765: ")


@pytest.mark.parametrize("arguments", [[], ["--port", "0"], ["--port", "x"], ["--port", "70000"]])
def test_wrong_arguments_exit_2(vtune, speech, arguments):
    assert vtune("review", *([str(speech())] if arguments else []), *arguments).exit_code == 2
