"""``vtune serve --backend vllm`` as a process: no process of vLLM is left, whatever happens to vtune or to vLLM."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from waiting import alive, until

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

PROGRAM = Path(__file__).parents[1] / "core" / "serve" / "fake_vllm.py"


class Served:
    """One ``vtune serve`` with a program that replaces vLLM; files beside the program say how it behaves."""

    def __init__(self, folder: Path, *behaviour: str, **settings: Any) -> None:
        self._folder = folder
        program, base, voice = folder / "bin" / "vllm", folder / "base", folder / "voices" / "anna"
        for path in (program.parent, base, voice):
            path.mkdir(parents=True)
        program.write_text(f"#!{sys.executable} -IS\n{PROGRAM.read_text()}")
        program.chmod(0o755)
        for name in behaviour:
            (program.parent / name).touch()
        (base / "config.json").write_text(json.dumps({"model_type": "llama", "max_position_embeddings": 2048}))
        config = {"peft_type": "LORA", "r": 8, "base_model_name_or_path": str(base)}
        (voice / "adapter_config.json").write_text(json.dumps(config))
        vllm_settings = {
            "command": str(program),
            "health_interval_seconds": 0.1,
            "restart_wait_seconds": 0.1,
            **settings,
        }
        (folder / "serve.yaml").write_text(json.dumps({"preload": [], "vllm": vllm_settings}))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vtune_cli", "serve", "--voices", str(folder / "voices"), "--port", "0",
             "--backend", "vllm", "--config", str(folder / "serve.yaml")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.url = urlsplit(line.strip())

    def starts(self) -> list[list[int]]:
        """Return the processes of each start of vLLM."""
        path = self._folder / "bin" / "starts"
        return [[int(pid) for pid in line.split()] for line in path.read_text().splitlines()] if path.exists() else []

    def get(self, path: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(str(self.url.hostname), self.url.port, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def is_ready(self) -> bool:
        return self.get("/ready")[0] == 200

    def ended(self) -> tuple[int, str]:
        """Wait until the server and every process of vLLM have ended; return exit code and log."""
        _, log = self.process.communicate(timeout=60)
        assert self.starts()
        until(lambda: not [pid for pids in self.starts() for pid in pids if alive(pid)], 15)
        return self.process.returncode, log


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def make(*behaviour: str, **settings: Any) -> Served:
        made.append(Served(tmp_path, *behaviour, **settings))
        return made[-1]

    yield make
    for served in made:
        served.process.kill()
        for pid in (pid for pids in served.starts() for pid in pids if alive(pid)):
            os.kill(pid, signal.SIGKILL)


def test_sigterm_while_vllm_starts_ends_all_of_it(serve: Callable[..., Served]) -> None:
    served = serve("slow")
    until(served.starts)
    assert served.get("/health")[0] == 200
    assert served.get("/ready") == (503, {"status": "not ready", "missing": ["vLLM is being started"]})
    served.process.send_signal(signal.SIGTERM)
    assert served.ended()[0] == 0


@pytest.mark.proof
def test_sigterm_while_vllm_serves_ends_all_of_it(serve: Callable[..., Served]) -> None:
    served = serve()
    until(served.is_ready)
    served.process.send_signal(signal.SIGTERM)
    assert served.ended()[0] == 0


@pytest.mark.proof
def test_a_second_sigterm_does_not_wait_for_a_vllm_that_does_not_end(serve: Callable[..., Served]) -> None:
    served = serve("stubborn")
    until(served.is_ready)
    served.process.send_signal(signal.SIGTERM)
    time.sleep(1)
    assert served.process.poll() is None
    started = time.monotonic()
    served.process.send_signal(signal.SIGTERM)
    assert served.ended()[0] == 143
    assert time.monotonic() - started < 10


@pytest.mark.proof
@pytest.mark.parametrize("behaviour", [(), ("slow",)])
def test_sigkill_of_vtune_ends_all_of_it(serve: Callable[..., Served], behaviour: tuple[str, ...]) -> None:
    served = serve(*behaviour)
    until(served.starts if behaviour else served.is_ready)
    served.process.kill()
    assert served.ended()[0] == -signal.SIGKILL


@pytest.mark.proof
def test_a_vllm_that_dies_is_started_again_and_too_many_deaths_end_vtune(serve: Callable[..., Served]) -> None:
    served = serve(restarts=1)
    until(served.is_ready)
    os.kill(served.starts()[0][0], signal.SIGKILL)
    until(lambda: len(served.starts()) == 2 and served.is_ready())
    os.kill(served.starts()[1][0], signal.SIGKILL)
    code, log = served.ended()
    assert code == 1
    assert log.splitlines()[-1].startswith("Error: vLLM ended with 137; it was restarted 1 times")
    assert "Traceback" not in log


@pytest.mark.proof
def test_a_vllm_that_never_serves_ends_vtune(serve: Callable[..., Served]) -> None:
    served = serve("refuse")
    code, log = served.ended()
    assert (code, log.splitlines()[-1]) == (
        1,
        "Error: vLLM ended with 3 before it served; vLLM's own lines above say why",
    )
