"""``vtune serve`` as a process, and the mistakes that keep the server from starting."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")


def test_it_serves_until_it_is_ended(make_voice: Callable[..., Any], tmp_path: Path) -> None:
    make_voice(tmp_path / "voices" / "anna")
    (tmp_path / "serve.yaml").write_text("aliases: {alloy: anna}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "vtune_cli", "serve", "--voices", str(tmp_path / "voices"), "--port", "0",
         "--config", str(tmp_path / "serve.yaml"), "--device", "cpu", "--set", "pitch=300"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = urlsplit(process.stdout.readline().strip())
        assert url.hostname == "127.0.0.1"
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=300)
        body = json.dumps({"input": "hello there", "voice": "alloy", "response_format": "wav", "seed": 1})
        connection.request("POST", "/v1/audio/speech", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.read()[:4] == b"RIFF"
        connection.close()
        process.send_signal(signal.SIGTERM)  # SIGINT does the same: test_stopping.py
        _, output = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0
    (line,) = map(json.loads, output.splitlines())
    assert (line["voice"], line["status"], line["ended"]) == ("anna", 200, "done")
    assert "hello" not in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "so the server needs API keys"),
        (["--voices", "nowhere"], "there is no folder of voices nowhere"),
        (["--config", "none.yaml"], "none.yaml: there is no such file"),
        (["--keys", "none"], "none cannot be read as a file of API keys"),
        (["--host", "192.0.2.1", "--keys", "keys"], "cannot serve at 192.0.2.1 port 8000"),
        (["--port", "0", "--backend", "vlm"], "there is no backend 'vlm'; did you mean 'vllm'?"),
        (["--port", "0", "--backend", "http://127.0.0.1:1"], "vLLM at http://127.0.0.1:1 does not answer"),
        (["--port", "0", "--backend", "vllm"], "name it: --set base_model=..."),
    ],
)
def test_what_stops_a_start_is_one_line(
    vtune: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VTUNE_API_KEYS", raising=False)
    (tmp_path / "voices").mkdir()
    (tmp_path / "keys").write_text("0123456789abcdef\n")
    result = vtune("serve", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_one_line(vtune: Callable[..., Any], tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = vtune("serve", "--voices", str(tmp_path), "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert "--port 0 takes a free one" in result.stderr


def test_without_the_extra_it_says_which(
    vtune: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *more: None if name == "fastapi" else real_find_spec(name, *more)
    )
    result = vtune("serve", "--voices", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr.strip() == "Error: vtune serve needs fastapi; install vtune-tts with the extra 'serve'"


def test_help_needs_no_server() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from vtune_cli.main import main\n"
        "assert CliRunner().invoke(main, ['serve', '--help']).exit_code == 0\n"
        "assert not {'fastapi', 'uvicorn', 'torch', 'av'} & set(sys.modules), set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))
