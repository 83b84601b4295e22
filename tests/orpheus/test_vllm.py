"""Orpheus with vLLM: a server that behaves as vLLM does, and vLLM itself where it is installed."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anyio.from_thread import start_blocking_portal
from peft import PeftModel
from transformers import AutoModelForCausalLM
from waiting import until

from vtune.errors import EngineError, VoiceError, VtuneError
from vtune.runtime.paths import VoiceFolder
from vtune.serve import ServeSettings, SynthesisRequest, VoiceRegistry
from vtune.serve.backends import open_backend
from vtune.serve.failures import UpstreamAwayError, UpstreamError, VoiceBrokenError
from vtune.serve.http_errors import http_error_of
from vtune.serve.inprocess import InProcessBackend
from vtune.serve.settings import VllmSettings
from vtune.serve.vllm import VllmBackend, connect
from vtune.serve.vllm.client import VllmClient
from vtune.serve.vllm.watch import ExternalServer
from vtune.voice_format.weights import ADAPTER_FILE

TEXT = "Hello there. And one more sentence, which is a good deal longer."
KEY = "a key of vLLM's own"
VLLM = os.environ.get("VTUNE_VLLM", "")


class FakeVllm:
    """The part of vLLM's API that is used, over PEFT, without chance.

    :param named: adapters that it was started with.
    :param loads: whether it loads adapters when it is told to.
    """

    def __init__(self, base: Path, named: dict[str, Path] | None = None, *, loads: bool = True) -> None:
        self.base, self.named, self.loads = base, {name: str(path) for name, path in (named or {}).items()}, loads
        self.asked: list[dict[str, Any]] = []
        self.unloaded: list[str] = []
        self.hangs = threading.Event()
        self.left = threading.Event()
        self.most_at_once = self._at_once = 0
        self.loaded: dict[str, str] = {}
        self._adapters: dict[str, str] = {}
        self._model: Any = None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def restart(self) -> None:
        """Forget the adapters that were loaded on demand."""
        self.loaded.clear()

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        match path:
            case "/health":
                return 200, {}
            case "/v1/models":
                base = [{"id": "orpheus", "root": str(self.base), "parent": None}]
                both = {**self.named, **self.loaded}.items()
                return 200, {"data": base + [{"id": n, "root": root, "parent": "orpheus"} for n, root in both]}
            case "/v1/load_lora_adapter" if self.loads:
                if body["lora_name"] in self.loaded:
                    return 400, error(f"The lora adapter '{body['lora_name']}' has already been loaded.")
                if not (Path(body["lora_path"]) / "adapter_config.json").is_file():
                    return 404, error(f"No adapter found for {body['lora_path']}")
                self.loaded[body["lora_name"]] = body["lora_path"]
                return 200, {}
            case "/v1/unload_lora_adapter" if self.loads:
                self.unloaded.append(body["lora_name"])
                return (200, {}) if self.loaded.pop(body["lora_name"], None) else (404, error("not found"))
            case "/v1/completions":
                self.asked.append(body)
                there = body["model"] == "orpheus" or body["model"] in {**self.named, **self.loaded}
                return (200, None) if there else (404, error(f"The model `{body['model']}` does not exist."))
        return 404, {"detail": "Not Found"}

    @torch.no_grad()
    def draw(self, body: dict[str, Any]) -> Iterator[int]:
        """Sample as vLLM's documentation describes its parameters, with a whole forward pass for each token."""
        assert (body["temperature"], body["ignore_eos"], body["return_token_ids"]) == (0, True, True)
        ids, penalty = list(body["prompt"]), body["repetition_penalty"]
        for _ in range(body["max_tokens"]):
            with self._lock:
                self._switch(body["model"])
                logits = self._model(input_ids=torch.tensor([ids]))["logits"][0, -1].float()
            seen = torch.tensor(sorted(set(ids)))
            logits[seen] = torch.where(logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty)
            choice = torch.tensor(body.get("allowed_token_ids") or range(len(logits)))
            ids.append(int(choice[logits[choice].argmax()]))
            yield ids[-1]
            if ids[-1] in body["stop_token_ids"]:
                return

    def _switch(self, name: str) -> None:
        path = {**self.named, **self.loaded}[name]
        if self._model is None:
            network = AutoModelForCausalLM.from_pretrained(self.base, dtype=torch.float32)
            self._model = PeftModel.from_pretrained(network, path, adapter_name="0").eval()
            self._adapters[name] = "0"
        if name not in self._adapters:
            self._adapters[name] = str(len(self._adapters))
            self._model.load_adapter(path, self._adapters[name])
        self._model.set_adapter(self._adapters[name])

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *message: Any) -> None: ...

            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
                if self.headers["Authorization"] != f"Bearer {KEY}" and self.path != "/health":
                    status, answer = 401, {"error": "Unauthorized"}
                else:
                    status, answer = fake.answer(self.path, body)
                if answer is None:
                    self.stream(body)
                    return
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def stream(self, body: dict[str, Any]) -> None:
                self.close_connection = True
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                fake._at_once += 1
                fake.most_at_once = max(fake.most_at_once, fake._at_once)
                try:
                    for token in fake.draw(body):
                        event = {"choices": [{"index": 0, "text": "", "token_ids": [token]}]}
                        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
                        if fake.hangs.is_set():
                            self.connection.settimeout(30)
                            assert self.rfile.read(1) == b""  # until the client goes
                            fake.left.set()
                            return
                    self.wfile.write(b"data: [DONE]\n\n")
                except OSError:
                    fake.left.set()
                finally:
                    fake._at_once -= 1

        return Handler


def error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "BadRequestError", "code": 400}}


def three(folder: Path, make_voice: Callable[..., VoiceFolder], base: str) -> Path:
    """Make two voices of a base in a folder, and a third voice elsewhere that is added later."""
    options = {"base_model": base, "max_new_tokens": 28, "max_chars": 60, "temperature": 0}
    make_voice(folder / "anna", "orpheus", seed=1, engine_options=options)
    make_voice(folder / "ben", "orpheus", seed=2, lora={"rank": 2, "targets": ["attention"]}, engine_options=options)
    make_voice(folder.parent / "cleo", "orpheus", seed=3, engine_options=options)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, make_voice: Callable[..., VoiceFolder], tiny: Path) -> Path:
    return three(tmp_path_factory.mktemp("served") / "voices", make_voice, str(tiny))


@pytest.fixture
def voices(made: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "voices"
    shutil.copytree(made, folder)
    return folder


@pytest.fixture
def fake(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVllm]:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    server = FakeVllm(tiny)
    yield server
    server.close()


def through(server: FakeVllm, **settings: Any) -> VllmBackend:
    server_settings = ServeSettings(vllm=VllmSettings(at_once=4, **settings))
    return VllmBackend(connect(server.url, server_settings.vllm), server_settings, "cpu")


def wanted(voices: Path, name: str, seed: int = 3) -> SynthesisRequest:
    return SynthesisRequest(VoiceRegistry(voices, {}, {}, 8).find(name), TEXT, seed)


async def said(backend: Any, asked: SynthesisRequest) -> np.ndarray:
    return np.concatenate([piece.waveform async for piece in backend.speak(asked)])


def say(backend: Any, voices: Path, name: str) -> np.ndarray:
    with start_blocking_portal() as portal:
        return portal.call(said, backend, wanted(voices, name))


def at_home(voices: Path, *names: str) -> list[np.ndarray]:
    backend = InProcessBackend(ServeSettings(), "cpu")
    with closing(backend):
        return [say(backend, voices, name) for name in names]


def test_two_voices_of_one_base_speak_as_they_do_in_process(fake: FakeVllm, made: Path, voices: Path) -> None:
    anna, ben = at_home(voices, "anna", "ben")
    assert not np.array_equal(anna, ben)
    with closing(through(fake)) as backend:
        assert np.array_equal(say(backend, voices, "anna"), anna)
        assert np.array_equal(say(backend, voices, "ben"), ben)
        assert backend.load().voices == 2
        # A third comes, the first is made anew: neither takes a restart.
        shutil.copytree(made.parent / "cleo", voices / "cleo")
        assert np.array_equal(say(backend, voices, "cleo"), at_home(voices, "cleo")[0])
        waited = wanted(voices, "anna")
        shutil.copy(voices / "cleo" / ADAPTER_FILE, voices / "anna" / ADAPTER_FILE)
        new = say(backend, voices, "anna")
        with start_blocking_portal() as portal:
            assert np.array_equal(portal.call(said, backend, waited), new)
        assert np.array_equal(new, at_home(voices, "anna")[0])
        assert not np.array_equal(new, anna)
    assert all(body["top_k"] == -1 and body["seed"] >= 3 for body in fake.asked)
    assert len({body["model"] for body in fake.asked}) == 4


def test_many_at_once_are_each_what_they_are_alone(fake: FakeVllm, voices: Path) -> None:
    anna, ben = at_home(voices, "anna", "ben")
    with closing(through(fake)) as backend:

        async def all_of_them() -> list[np.ndarray]:
            return await asyncio.gather(*(said(backend, wanted(voices, name)) for name in ("anna", "ben") * 4))

        with start_blocking_portal() as portal:
            sounds = portal.call(all_of_them)
        assert all(np.array_equal(sound, (anna, ben)[number % 2]) for number, sound in enumerate(sounds))
        assert fake.most_at_once > 1
        assert backend.load().waiting == backend.load().speaking == 0


def test_a_server_that_loads_nothing_is_asked_by_name(
    tiny: Path, voices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    with closing(FakeVllm(tiny, {"anna": voices / "anna"}, loads=False)) as server, closing(through(server)) as backend:
        assert np.array_equal(say(backend, voices, "anna"), at_home(voices, "anna")[0])
        assert {body["model"] for body in server.asked} == {"anna"}
        with pytest.raises(
            VoiceBrokenError, match=r"model `ben` does not exist.*did not load the voice: .*404: Not Found"
        ):
            say(backend, voices, "ben")


def test_a_server_of_many_replicas_is_asked_by_name(tiny: Path, voices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    with (
        closing(FakeVllm(tiny, {"anna": voices / "anna"})) as server,
        closing(through(server, load=False)) as backend,
    ):
        assert len(say(backend, voices, "anna"))
        assert not server.loaded


def test_the_folder_may_lie_elsewhere_for_the_server(fake: FakeVllm, voices: Path, tmp_path: Path) -> None:
    (tmp_path / "mounted").symlink_to(voices)
    with closing(through(fake, voices=str(tmp_path / "mounted"))) as backend:
        assert len(say(backend, voices, "anna"))
    assert list(fake.loaded.values()) == [str(tmp_path / "mounted" / "anna")]


def test_names_are_forgotten_beyond_the_limit(fake: FakeVllm, voices: Path) -> None:
    with closing(through(fake, max_cpu_loras=1)) as backend:
        for name in ("anna", "ben", "anna"):
            say(backend, voices, name)
        assert backend.load().voices == 1
        assert len(fake.unloaded) == 2
        assert len(fake.loaded) == 1


def test_a_server_that_was_started_anew_gets_its_voices_again(fake: FakeVllm, voices: Path) -> None:
    with closing(through(fake)) as backend:
        before = say(backend, voices, "anna")
        fake.restart()
        assert np.array_equal(say(backend, voices, "anna"), before)


def test_each_start_of_a_server_gets_the_voices_that_are_to_be_there_first(
    fake: FakeVllm, tiny: Path, voices: Path
) -> None:
    class Restarted(ExternalServer):
        """Replaces the server by a new one when it is told so."""

        def watch(self, ready: Callable[[], None]) -> None:
            self.ready = ready

        def turn_to(self, server: FakeVllm) -> None:
            self._client, self._is_away = VllmClient(server.url, KEY), False
            self.ready()

    registry = VoiceRegistry(voices, {}, {}, 8)
    with closing(FakeVllm(tiny)) as second:
        watched = Restarted(VllmClient(fake.url, KEY), VllmSettings())
        watched._is_away = True
        with closing(VllmBackend(watched, ServeSettings(vllm=VllmSettings(at_once=2)), "cpu")) as backend:
            backend.prepare(registry.find("anna"))
            assert backend.missing() == ["vLLM does not answer"]
            for server in (fake, second):
                watched.turn_to(server)
                until(lambda: not backend.missing())
                assert [name.partition("-")[0] for name in server.loaded] == ["anna"]
                assert backend.load().voices == 1
                assert len(say(backend, voices, "ben"))
                assert len(server.loaded) == 2


def test_who_leaves_stops_the_drawing_at_once(fake: FakeVllm, voices: Path) -> None:
    fake.hangs.set()
    with closing(through(fake)) as backend:

        async def leave() -> None:
            pieces = backend.speak(wanted(voices, "anna"))
            first = asyncio.ensure_future(anext(pieces))
            while not fake.asked:
                await asyncio.sleep(0.01)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            await pieces.aclose()

        started = time.monotonic()
        with start_blocking_portal() as portal:
            portal.call(leave)
        assert fake.left.wait(30)
        while backend.load().speaking:
            assert time.monotonic() < started + 60
            time.sleep(0.01)
        fake.hangs.clear()
        assert len(say(backend, voices, "ben"))


def test_a_server_that_is_gone_is_told_apart_from_a_voice_that_is_broken(fake: FakeVllm, voices: Path) -> None:
    with closing(through(fake)) as backend:
        say(backend, voices, "anna")
        fake.close()
        for name in ("anna", "ben"):
            with pytest.raises(UpstreamAwayError, match="does not answer"):
                say(backend, voices, name)


def test_a_refusal_of_vllms_is_no_broken_voice(fake: FakeVllm, voices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, asked = fake.answer, []

    def refuse(refusal_of_speech: tuple[int, Any], path: str, body: dict[str, Any]) -> tuple[int, Any]:
        asked.append(path)
        return refusal_of_speech if path == "/v1/completions" else answer(path, body)

    with closing(through(fake)) as backend:
        for status, message, expected, more_loads in (
            (400, "This model's maximum context length is 1024 tokens.", (400, "refused_upstream"), 1),
            (404, "The model does not exist.", (503, "unavailable"), 1),  # it is loaded again, once
            (500, "EngineCore encountered an issue.", (503, "unavailable"), 1),
            (401, "Unauthorized", (502, "bad_gateway"), 0),
        ):
            monkeypatch.setattr(fake, "answer", partial(refuse, (status, error(message))))
            asked.clear()
            with pytest.raises(UpstreamError, match=message[:20]) as refused:
                say(backend, voices, "anna")
            refusal = http_error_of(refused.value)
            assert (refusal.status, refusal.code) == expected
            assert asked.count("/v1/load_lora_adapter") == more_loads


def test_a_vllm_whose_engine_has_died_is_away_and_the_voice_is_not_broken(
    fake: FakeVllm, voices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(through(fake)) as backend:
        monkeypatch.setattr(fake, "answer", lambda path, body: (503 if path == "/health" else 500, error("it died")))
        with pytest.raises(UpstreamAwayError, match="it died"):
            say(backend, voices, "anna")


def test_what_vllm_cannot_speak_is_told(fake: FakeVllm, voices: Path, make_voice: Callable[..., VoiceFolder]) -> None:
    make_voice(voices / "toy")
    shutil.copytree(voices / "anna", voices / "other")
    config = voices / "other" / "adapter_config.json"
    config.write_text(config.read_text().replace(str(fake.base), "/models/another"))
    shutil.copytree(voices / "anna", voices / "whole")
    config = voices / "whole" / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "modules_to_save": ["lm_head"]}))
    record = json.loads((voices / "whole" / "voice.json").read_text())
    record["lora"]["modules_to_save"] = ["lm_head"]
    (voices / "whole" / "voice.json").write_text(json.dumps(record))
    shutil.copytree(voices / "anna", voices / "orpheus")
    with closing(through(fake)) as backend:
        with pytest.raises(VoiceError, match="vtune mix"):
            say(backend, voices, "0.5*anna+0.5*ben")
        with pytest.raises(EngineError, match="engine 'toy' speaks only in vtune's own process"):
            say(backend, voices, "toy")
        with pytest.raises(VoiceBrokenError, match=r"trained on /models/another, but vLLM serves .*--set base_model"):
            say(backend, voices, "other")
        with pytest.raises(VoiceBrokenError, match=r"modules_to_save \(lm_head\)"):
            say(backend, voices, "whole")
        fake.loads = False
        with pytest.raises(VoiceBrokenError, match="vLLM calls its base 'orpheus'"):
            say(backend, voices, "orpheus")


def test_a_wrong_key_or_address_stops_the_start(
    fake: FakeVllm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    registry, settings = VoiceRegistry(tmp_path, {}, {}, 8), ServeSettings()
    monkeypatch.setenv("VLLM_API_KEY", "another")
    with pytest.raises(VtuneError, match="vLLM answers 401: Unauthorized"):
        open_backend(fake.url, registry, settings, "cpu", {})
    with pytest.raises(UpstreamAwayError, match=r"vLLM at http://127\.0\.0\.1:1 does not answer"):
        open_backend("http://127.0.0.1:1", registry, settings, "cpu", {})
    for wrong in ("ftp://there", "http://", "http://there:x"):
        with pytest.raises(VtuneError, match="is not the address of a vLLM server"):
            open_backend(wrong, registry, settings, "cpu", {})
    with pytest.raises(VtuneError, match="there is no backend 'vlm'; did you mean 'vllm'"):
        open_backend("vlm", registry, settings, "cpu", {})


@pytest.mark.skipif(not VLLM, reason="vLLM is not installed: set VTUNE_VLLM to its program, in its own environment")
def test_the_real_vllm_speaks_as_this_process_does(tmp_path: Path, make_voice: Callable[..., VoiceFolder]) -> None:
    voices = three(tmp_path / "voices", make_voice, "nano")  # its attention on CPUs takes no heads as small as tiny's
    anna, ben = at_home(voices, "anna", "ben")
    arguments = ("--dtype", "float32", "--enforce-eager", "--max-num-seqs", "4")
    settings = ServeSettings(vllm=VllmSettings(command=VLLM, arguments=arguments, max_loras=2, patience=300))
    with closing(open_backend("vllm", VoiceRegistry(voices, {}, {}, 8), settings, "cpu", {})) as backend:
        until(lambda: not backend.missing() or backend.failure(), 300)
        assert backend.failure() is None
        sounds = {name: say(backend, voices, name) for name in ("anna", "ben")}
        assert np.array_equal(sounds["anna"], anna)
        assert np.array_equal(sounds["ben"], ben)
        assert not np.array_equal(sounds["anna"], sounds["ben"])
        shutil.copytree(tmp_path / "cleo", voices / "cleo")
        assert np.array_equal(say(backend, voices, "cleo"), at_home(voices, "cleo")[0])

        async def together() -> list[np.ndarray]:
            return await asyncio.gather(*(said(backend, wanted(voices, name)) for name in ("anna", "ben", "cleo")))

        with start_blocking_portal() as portal:
            assert np.array_equal(portal.call(together)[1], ben)
