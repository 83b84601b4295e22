"""A vLLM that vtune starts: what it is told, how it ends, what keeps it from serving."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from vtune.errors import VtuneError
from vtune.serve import Registry, ServeSettings
from vtune.serve.backends import open_backend
from vtune.serve.settings import VllmSettings
from vtune.serve.vllm.bases import base_to_serve
from vtune.voices import list_voices

PROGRAM = """\
import json, os, signal, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

here = Path(__file__).parent
told = sys.argv[1:]
secret = os.environ["VLLM_API_KEY"]
(here / "told.json").write_text(json.dumps([told, dict(os.environ)]))
if (here / "refuse").exists():
    sys.exit(3)
time.sleep(0.3 if not (here / "slow").exists() else 60)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/health" or self.headers["Authorization"] == f"Bearer {secret}"
        model = {"id": told[1], "root": told[1], "parent": None}
        content = json.dumps({"data": [model]}).encode()
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *told): ...


signal.signal(signal.SIGTERM, lambda *told: sys.exit())
child = os.fork()
if child == 0:  # vLLM has processes of its own, which must not outlive it
    time.sleep(300)
(here / "pids").write_text(f"{os.getpid()} {child}")
try:
    HTTPServer(("127.0.0.1", int(told[told.index("--port") + 1])), Handler).serve_forever()
except SystemExit:
    (here / "ended").touch()
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "vllm"
    path.parent.mkdir()
    path.write_text(f"#!{sys.executable}\n{PROGRAM}")
    path.chmod(0o755)
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "max_position_embeddings": 2048}))
    return folder


def voice(folder: Path, base: Path, rank: int = 8, **more: Any) -> None:
    folder.mkdir(parents=True)
    config = {"peft_type": "LORA", "r": rank, "base_model_name_or_path": str(base), **more}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def settings(program: Path, **more: Any) -> ServeSettings:
    return ServeSettings(vllm=VllmSettings(command=str(program), **{"at_once": 2, "start": 60, **more}))


def alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_it_is_told_base_ranks_and_a_key_and_ends_with_all_it_started(
    program: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "somebody else's")
    voice(tmp_path / "voices" / "anna", base, rank=48)
    voice(tmp_path / "voices" / "ben", base, rank=16)
    registry = Registry(tmp_path / "voices", {}, {}, 8)
    told = settings(program, arguments=["--dtype", "float32"], max_loras=3)
    with closing(open_backend("vllm", registry, told, "cpu", {})) as backend:
        assert backend.load().voices == 0
    arguments, environment = json.loads((program.parent / "told.json").read_text())
    assert arguments[:2] == ["serve", str(base)]
    given = dict(pairwise(arguments))
    assert given["--host"] == "127.0.0.1"
    assert given["--max-lora-rank"] == "64"
    assert given["--max-loras"] == "3"
    assert given["--max-model-len"] == "2048"  # the base has no more places
    assert arguments[-2:] == ["--dtype", "float32"]
    assert environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    assert environment["VLLM_API_KEY"] != "somebody else's"
    assert environment["VLLM_API_KEY"] not in " ".join(arguments)  # which every user of the machine can read
    assert (program.parent / "ended").exists()
    pids = (program.parent / "pids").read_text().split()
    end = time.monotonic() + 10
    while [pid for pid in pids if alive(pid)]:  # killed, but the system takes its time
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_keeps_it_from_serving_is_one_line(program: Path, base: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "voices", {}, {}, 8)

    def refused(told: ServeSettings, **options: str) -> str:
        with pytest.raises(VtuneError) as error:
            open_backend("vllm", registry, told, "cpu", options)
        assert "\n" not in str(error.value)
        return str(error.value)

    (tmp_path / "voices").mkdir()
    assert "--set base_model=..." in refused(settings(program))
    voice(tmp_path / "voices" / "anna", base)
    assert "nothing/vllm: No such file" in refused(settings(tmp_path / "nothing" / "vllm"))
    assert "cannot be read as a base for vLLM" in refused(settings(program), base_model=str(tmp_path / "nowhere"))
    (program.parent / "refuse").touch()
    assert "vLLM ended with 3 before it served" in refused(settings(program))
    (program.parent / "refuse").unlink()
    (program.parent / "slow").touch()
    started = time.monotonic()
    assert "did not serve within 0.5 s" in refused(settings(program, start=0.5))
    assert time.monotonic() - started < 30


def test_the_base_is_the_first_voices_that_vllm_takes(
    base: Path, tmp_path: Path, make_voice: Callable[..., Any]
) -> None:
    folder = tmp_path / "voices"
    voice(folder / "anna", base, modules_to_save=["lm_head"])
    voice(folder / "ben", base, rank=16)
    voice(folder / "cleo", tmp_path / "another", rank=256)
    voice(folder / "dora", base, rank=33)
    (folder / "emil").mkdir()
    (folder / "emil" / "voice.json").write_text("{}")
    assert base_to_serve(list_voices(folder), {}) == (str(base), 64)
    assert base_to_serve(list_voices(folder), {"base_model": "/elsewhere"}) == ("/elsewhere", 256)
