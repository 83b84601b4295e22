"""A vLLM that vtune starts: its arguments, what keeps it from serving, how it ends, and what happens when it dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from waiting import alive, until

from vtune.errors import VtuneError
from vtune.runtime import reaper
from vtune.serve import ServeSettings, VoiceRegistry
from vtune.serve.backends import open_backend
from vtune.serve.failures import UpstreamAwayError
from vtune.serve.settings import VllmSettings
from vtune.serve.vllm.bases import base_to_serve
from vtune.serve.vllm.client import VllmClient
from vtune.serve.vllm.process import VllmProcess
from vtune.serve.vllm.watch import ExternalServer
from vtune.voice_format.record import list_voices

PROGRAM = Path(__file__).with_name("fake_vllm.py")
# A vLLM is looked at often here, so that nothing takes long.
QUICK = {"at_once": 2, "start": 60, "health_interval_seconds": 0.1, "restart_wait_seconds": 0.05}


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "bin" / "vllm"
    path.parent.mkdir()
    path.write_text(f"#!{sys.executable} -IS\n{PROGRAM.read_text()}")
    path.chmod(0o755)
    yield path
    for pid in pids(path):  # only what a failed test has left
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "max_position_embeddings": 2048}))
    return folder


@pytest.fixture
def registry(tmp_path: Path, base: Path) -> VoiceRegistry:
    voice(tmp_path / "voices" / "anna", base, rank=48)
    voice(tmp_path / "voices" / "ben", base, rank=16)
    return VoiceRegistry(tmp_path / "voices", {}, {}, 8)


def voice(folder: Path, base: Path, rank: int = 8, **more: Any) -> None:
    folder.mkdir(parents=True)
    config = {"peft_type": "LORA", "r": rank, "base_model_name_or_path": str(base), **more}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def settings(program: Path, **more: Any) -> ServeSettings:
    return ServeSettings(vllm=VllmSettings(command=str(program), **{**QUICK, **more}))


def starts(program: Path) -> list[list[int]]:
    """Return the processes of each start."""
    path = program.parent / "starts"
    return [[int(pid) for pid in line.split()] for line in path.read_text().splitlines()] if path.exists() else []


def pids(program: Path) -> list[int]:
    return [pid for start in starts(program) for pid in start]


def all_ended(program: Path) -> None:
    """Wait until no process of any start is left; after a kill, the system takes some time."""
    assert pids(program)
    until(lambda: not [pid for pid in pids(program) if alive(pid)], 10)


def test_it_is_told_base_ranks_and_a_key_and_ends_with_all_it_started(
    program: Path, base: Path, registry: VoiceRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "somebody else's")
    server_settings = settings(program, arguments=["--dtype", "float32"], max_loras=3)
    with closing(open_backend("vllm", registry, server_settings, "cpu", {})) as backend:
        assert backend.missing() == ["vLLM is being started"]
        until(lambda: not backend.missing())
        assert backend.load().voices == 0
    all_ended(program)
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


def test_what_keeps_it_from_being_started_is_one_line(program: Path, base: Path, tmp_path: Path) -> None:
    registry = VoiceRegistry(tmp_path / "voices", {}, {}, 8)

    def refused(server_settings: ServeSettings, **options: str) -> str:
        with pytest.raises(VtuneError) as error:
            open_backend("vllm", registry, server_settings, "cpu", options)
        assert "\n" not in str(error.value)
        return str(error.value)

    (tmp_path / "voices").mkdir()
    assert "--set base_model=..." in refused(settings(program))
    voice(tmp_path / "voices" / "anna", base)
    assert "nothing/vllm: there is no such program" in refused(settings(tmp_path / "nothing" / "vllm"))
    assert "cannot be read as a base for vLLM" in refused(settings(program), base_model=str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("behaviour", "more", "message"),
    [("refuse", {}, "vLLM ended with 3 before it served"), ("slow", {"start": 3}, "did not serve within 3 s")],
)
def test_one_that_has_never_served_is_not_tried_again(
    program: Path, registry: VoiceRegistry, behaviour: str, more: dict[str, Any], message: str
) -> None:
    (program.parent / behaviour).touch()
    with closing(open_backend("vllm", registry, settings(program, **more), "cpu", {})) as backend:
        until(lambda: backend.failure() is not None)
        assert message in str(backend.failure())
        assert len(starts(program)) == 1
        all_ended(program)  # before the server ends
        assert backend.missing()


def test_it_can_be_ended_while_it_starts(program: Path, registry: VoiceRegistry) -> None:
    (program.parent / "slow").touch()
    backend = open_backend("vllm", registry, settings(program), "cpu", {})
    until(lambda: starts(program))
    started = time.monotonic()
    backend.close()
    assert time.monotonic() - started < 10
    all_ended(program)
    assert backend.failure() is None


def test_one_that_dies_is_started_again_with_another_client(program: Path, registry: VoiceRegistry) -> None:
    with closing(open_backend("vllm", registry, settings(program, restarts=2), "cpu", {})) as backend:
        server = backend._server  # type: ignore[attr-defined]
        until(lambda: not backend.missing())
        first = server.client()
        os.kill(starts(program)[0][0], signal.SIGKILL)
        until(backend.missing)
        with pytest.raises(UpstreamAwayError) as away:
            server.client()
        assert away.value.retry_after
        until(lambda: not backend.missing())
        assert server.client() is not first
        assert server.client().is_healthy()
        assert len(starts(program)) == 2
        assert not [pid for pid in starts(program)[0] if alive(pid)]  # before the next one takes their memory
        os.kill(starts(program)[1][0], signal.SIGKILL)
        until(lambda: len(starts(program)) == 3 and not backend.missing())
        assert backend.failure() is None
        os.kill(starts(program)[2][0], signal.SIGKILL)
        until(lambda: backend.failure() is not None)
        assert "vLLM ended with 137; it was restarted 2 times" in str(backend.failure())
    all_ended(program)
    assert len(starts(program)) == 3


def test_deaths_that_lie_long_back_do_not_count(program: Path, registry: VoiceRegistry) -> None:
    server_settings = settings(program, restarts=1, restart_window_seconds=0.3)
    with closing(open_backend("vllm", registry, server_settings, "cpu", {})) as backend:
        for number in range(3):
            until(lambda number=number: len(starts(program)) == number + 1 and not backend.missing())  # type: ignore[misc]
            time.sleep(0.4)
            os.kill(starts(program)[number][0], signal.SIGKILL)
        until(lambda: len(starts(program)) == 4)
        assert backend.failure() is None


def test_one_that_hangs_is_ended_and_started_again(program: Path, registry: VoiceRegistry, monkeypatch: Any) -> None:
    monkeypatch.setattr("vtune.serve.vllm.client.HEALTH_TIMEOUT_SECONDS", 0.2)
    with closing(open_backend("vllm", registry, settings(program, hang_seconds=1), "cpu", {})) as backend:
        until(lambda: not backend.missing())
        (program.parent / "deaf").touch()
        until(lambda: backend.missing() == ["vLLM does not answer"])
        with pytest.raises(UpstreamAwayError):  # nobody waits for it
            backend._server.client()  # type: ignore[attr-defined]
        until(lambda: not alive(starts(program)[0][0]))
        (program.parent / "deaf").unlink()
        until(lambda: not backend.missing())
        assert len(starts(program)) == 2


def test_one_that_takes_no_sigterm_is_killed(program: Path) -> None:
    (program.parent / "stubborn").touch()
    command = [str(program), "serve", "base", "--port", "0"]
    process = VllmProcess(command, {"VLLM_API_KEY": "x"}, term_seconds=0.3)
    until(lambda: starts(program))
    process.close()
    assert process.code == 137
    all_ended(program)


def test_it_can_be_killed_while_it_is_waited_for(program: Path) -> None:
    (program.parent / "stubborn").touch()
    process = VllmProcess([str(program), "serve", "base", "--port", "0"], {"VLLM_API_KEY": "x"}, term_seconds=60)
    until(lambda: starts(program))
    started = time.monotonic()
    signal.signal(signal.SIGALRM, lambda *_: process.kill())  # a second signal, while the first is still obeyed
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    process.close()
    assert time.monotonic() - started < 10
    all_ended(program)


HOLDER = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-IS", *sys.argv[1:]], stdin=subprocess.PIPE, start_new_session=True)
time.sleep(300)
"""


@pytest.mark.parametrize("victim", ["holder", "reaper"])
def test_it_ends_when_vtune_or_the_reaper_is_killed(program: Path, victim: str) -> None:
    command = [reaper.__file__, "5", str(program), "serve", "base", "--port", "0"]
    holder = subprocess.Popen([sys.executable, "-IS", "-c", HOLDER, *command], env={"VLLM_API_KEY": "x"})
    try:
        until(lambda: starts(program))
        main = starts(program)[0][0]
        if victim == "holder":
            holder.kill()
            all_ended(program)
        else:
            stat = Path(f"/proc/{main}/stat").read_text()
            os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
            until(lambda: not alive(main), 10)  # the rest of its group is for vtune to kill
    finally:
        holder.kill()
        holder.wait()


def test_the_group_is_killed_when_the_reaper_was(program: Path) -> None:
    process = VllmProcess([str(program), "serve", "base", "--port", "0"], {"VLLM_API_KEY": "x"})
    until(lambda: starts(program))
    os.kill(process._process.pid, signal.SIGKILL)
    until(lambda: process.code is not None)
    process.close()
    _, child, _ = starts(program)[0]
    until(lambda: not alive(child), 10)


def test_one_that_runs_elsewhere_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    well, ready = [True], []
    monkeypatch.setattr(VllmClient, "is_healthy", lambda self: well[0])
    client = VllmClient("http://127.0.0.1:1")
    with closing(ExternalServer(client, VllmSettings(health_interval_seconds=0.02))) as server:
        server.watch(lambda: ready.append(1))
        assert server.client() is client
        well[0] = False
        until(lambda: server.missing() == "vLLM does not answer")
        with pytest.raises(UpstreamAwayError):
            server.client()
        well[0] = True
        until(lambda: not server.missing())
        assert server.client() is client
        until(lambda: len(ready) == 2)  # its voices are loaded again
        assert server.failure() is None


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
