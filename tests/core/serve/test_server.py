"""A server as its clients see it, over sockets."""

from __future__ import annotations

import base64
import io
import json
import shutil
import socket
import time
import wave
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import soxr

from vtune.audio import FORMATS
from vtune.runtime.paths import VoiceFolder
from vtune.serve import SynthesisRequest
from vtune.serve.failures import UpstreamAwayError
from vtune.toolkit.pauses import PAUSE_SECONDS
from vtune.types import Audio
from vtune.voices.mixing import open_named

SPEECH = "/v1/audio/speech"
KEY = "0123456789abcdef"


def alone(voices: Path, name: str, text: str = "hello there", seed: int = 1) -> np.ndarray:
    """Return the sound of ``vtune say``, at the server's rate."""
    sound = np.concatenate([piece.waveform for piece in open_named(name, voices, "cpu").stream(text, seed)])
    return np.asarray(soxr.resample(sound, 8000, 24_000))


@pytest.mark.parametrize("name", ["anna", "ben", "0.5*anna+0.5*ben"])
def test_a_voice_says_over_http_what_it_says_at_home(client: Any, two_voices: Path, name: str) -> None:
    expected, sound = alone(two_voices, name), client.said(name)
    assert len(sound) == len(expected)
    # Streamed and whole, the change of rate differs by less than a hundredth where it begins and ends.
    assert np.abs(sound - np.clip(expected, -1, 1)).max() < 0.02


def test_a_seed_is_a_sound_and_without_one_it_is_told(client: Any) -> None:
    assert np.array_equal(client.said(seed=5), client.said(seed=5))
    assert not np.array_equal(client.said(seed=5), client.said(seed=6))
    status, content, headers = client.post({"input": "hello there", "voice": "anna", "response_format": "pcm"})
    assert status == 200
    again = client.said(seed=int(headers["x-vtune-seed"]))
    assert content == (again * 32768).astype("<i2").tobytes()
    other = client.post({"input": "hello there", "voice": "anna", "response_format": "pcm"})[2]
    assert other["x-vtune-seed"] != headers["x-vtune-seed"]


def test_aliases_and_voice_objects_name_voices(client: Any) -> None:
    for alias, name in (("alloy", "anna"), ("both", "0.5*anna+0.5*ben"), ({"id": "ben"}, "ben")):
        assert np.array_equal(client.said(alias), client.said(name))
    assert not np.array_equal(client.said("anna"), client.said("ben"))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_formats_decode_and_have_the_right_length(client: Any, kind: str, speed: float) -> None:
    asked = {"input": "hello " * 12, "voice": "anna", "response_format": kind, "seed": 1, "speed": speed}
    status, content, headers = client.post(asked)
    assert status == 200
    assert headers["content-type"] == FORMATS[kind].media_type
    samples = len(client.said(text="hello " * 12))
    if kind == "pcm":
        seconds = len(content) / 2 / 24_000
    else:
        with av.open(io.BytesIO(content)) as file:
            frames = list(file.decode(audio=0))
        seconds = sum(frame.samples for frame in frames) / frames[0].sample_rate
    assert seconds == pytest.approx(samples / 24_000 / speed, abs=0.12)


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_a_file_says_how_long_it_is_unless_it_is_streamed(client: Any, kind: str) -> None:
    asked = {"input": "hello there", "voice": "anna", "response_format": kind, "seed": 1}
    _, content, headers = client.post(asked)
    assert int(headers["content-length"]) == len(content)
    assert soundfile.info(io.BytesIO(content)).frames == len(client.said())
    assert b"synthetic speech, made with vtune; voice anna" in content[:200]
    for streaming in ({"stream": True}, {"stream_format": "audio"}):
        _, streamed, headers = client.post({**asked, **streaming})
        assert "content-length" not in headers
        assert len(streamed) == len(content)
        assert streamed[200:] == content[200:]
        with av.open(io.BytesIO(streamed)) as file:
            assert sum(frame.samples for frame in file.decode(audio=0)) == len(client.said())
    with wave.open(io.BytesIO(client.post({**asked, "response_format": "wav"})[1])) as file:
        assert file.getnframes() == len(client.said())


def test_a_file_that_cannot_be_finished_is_an_honest_error(start: Callable[..., Any], two_voices: Path) -> None:
    server = start(two_voices, max_seconds=0.5)
    status, error = server.refused({"input": "hello " * 50, "voice": "anna", "response_format": "wav"})
    assert status == 400
    assert "more than 0.5 s of sound" in error["message"]
    server.settled(lambda: server.backend.load().speaking == 0)


def test_what_clients_send_is_read_kindly(client: Any) -> None:
    plain = client.said(speed=1.5, seed=7)
    nothing = dict.fromkeys(("model", "instructions", "stream_format", "stream", "temperature", "top_p", "language"))
    assert np.array_equal(client.said(speed="1.5", seed="7", **nothing), plain)
    assert np.array_equal(client.said(speed=None), client.said())
    for model in ("tts-1", "tts-2", "gpt-4o-mini-tts-2025-12-15", "kokoro", "hexgrad/Kokoro-82M", ""):
        assert np.array_equal(client.said(model=model), client.said())


def test_an_alias_is_a_voice_of_a_mix(client: Any) -> None:
    assert np.array_equal(client.said("0.5*alloy+0.5*ben"), client.said("0.5*anna+0.5*ben"))


def test_head_is_get_without_a_body(client: Any) -> None:
    for path in ("/", "/health", "/ready", "/page.js", "/v1/models", "/v1/audio/voices", "/metrics"):
        connection, got = client.open("HEAD", path)
        assert (got.status, got.read()) == (200, b""), path
        assert int(got.headers["Content-Length"]) > 0
        connection.close()
    connection, got = client.open("HEAD", "/nothing")
    assert got.status == 404
    connection.close()


def test_the_log_says_who_was_refused_and_why(client: Any) -> None:
    for asked, why in (
        ({"input": "hi", "voice": "anne"}, "no voice 'anne'"),
        ({"input": "hi"}, "voice: Field required"),
    ):
        client.refused(asked)
        client.settled(lambda: why in client.log[-1].get("refused", ""))  # noqa: B023 -- called at once
        assert client.log[-1]["client"] == "127.0.0.1"
    client.refused({"input": "hi", "voice": "anna"}, {"Host": "evil.example", "X-Forwarded-For": "10.1.2.3"})
    client.settled(lambda: "not a name of this server" in client.log[-1].get("refused", ""))
    assert client.log[-1]["client"] == "127.0.0.1"  # anybody may claim anything


def test_a_proxy_that_is_named_is_believed(start: Callable[..., Any], two_voices: Path) -> None:
    server = start(two_voices, proxies=["127.0.0.1"])
    server.refused({"input": "hi", "voice": "anne"}, {"X-Forwarded-For": "10.1.2.3"})
    server.settled(lambda: bool(server.log))
    assert server.log[-1]["client"] == "10.1.2.3"


def test_every_answer_says_that_it_is_synthetic(client: Any) -> None:
    _, content, headers = client.post({"input": "hi", "voice": "anna", "instructions": "be brave", "lang_code": "x"})
    assert headers["x-vtune-synthetic"] == "true"
    assert headers["x-vtune-voice"] == "anna"
    assert headers["x-vtune-ignored"] == "instructions, lang_code"
    assert b"synthetic speech" in content[:200]  # MP3's own tag


def test_events_are_openais(client: Any) -> None:
    asked = {"input": "hello there", "voice": "anna", "response_format": "pcm", "stream_format": "sse", "seed": 1}
    status, content, headers = client.post(asked)
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    lines = content.decode().split("\n\n")
    assert lines.pop() == ""
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "speech.audio.done"
    usage = events[-1]["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0
    sound = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert sound == (client.said() * 32768).astype("<i2").tobytes()


def test_lists_have_every_clients_keys(client: Any) -> None:
    status, body = client.get("/v1/audio/voices")
    assert status == 200
    assert body["object"] == "list"
    assert body["voices"] == body["data"]
    assert [voice["id"] for voice in body["voices"]] == ["anna", "ben", "alloy", "both"]
    assert body["voices"][0]["name"] == "anna"
    assert body["voices"][2]["alias_of"] == "anna"
    _, models = client.get("/v1/models")
    assert [model["id"] for model in models["data"]][:2] == ["vtune", "tts-1"]
    assert client.get("/v1/audio/models")[1]["models"] == models["data"]
    assert client.get("/v1/models/tts-1")[1]["object"] == "model"
    assert client.get("/health")[1]["status"] == "ok"


def test_a_voice_that_comes_speaks_and_one_that_goes_is_missed(
    start: Callable[..., Any], two_voices: Path, tmp_path: Path, make_voice: Callable[..., VoiceFolder]
) -> None:
    folder = tmp_path / "voices"
    shutil.copytree(two_voices, folder)
    server = start(folder)
    assert len(server.said("ben"))
    make_voice(folder / "cleo", seed=3)
    assert "cleo" in [voice["id"] for voice in server.get("/v1/audio/voices")[1]["voices"]]
    assert np.abs(server.said("cleo") - np.clip(alone(folder, "cleo"), -1, 1)).max() < 0.02
    shutil.rmtree(folder / "ben")
    status, error = server.refused({"input": "hi", "voice": "ben"})
    assert status == 404
    assert error["code"] == "voice_not_found"
    assert "(voices: anna, cleo)" in error["message"]


@pytest.mark.parametrize(
    ("asked", "status", "param", "message"),
    [
        ({"input": "hi", "voice": "anne"}, 404, "voice", "no voice 'anne'; did you mean 'anna'? (voices: anna, ben"),
        ({"input": "hi", "voice": "../voices/anna"}, 404, "voice", "no voice '../voices/anna'"),
        ({"input": "hi"}, 400, "voice", "voice: Field required"),
        ({"input": 3, "voice": "anna"}, 400, "input", "input: Input should be a valid string"),
        ({"input": "hi", "voice": ["anna"]}, 400, "voice", "voice: "),
        ({"input": "hi", "voice": "anna", "speed": True}, 400, "speed", "speed: Input should be a valid number"),
        ({"input": "hi", "voice": "anna", "speed": "fast"}, 400, "speed", "speed: Input should be a valid number"),
        ({"input": "hi", "voice": "anna", "speed": "nan"}, 400, "speed", "speed: Input should be"),
        ({"input": "hi", "voice": "anna", "seed": "1.5"}, 400, "seed", "seed: Input should be a valid integer"),
        ({"input": None, "voice": "anna"}, 400, "input", "input: Field required"),
        ({"input": "hi", "voice": "0.5*both+ben"}, 400, None, "'both' is an alias of a mix"),
        ({"input": "hi", "voice": "0.5*alloy+0.5*anna"}, 400, None, "named twice"),
        ({"input": "hi", "voice": "anna", "speed": 9}, 400, "speed", "speed: Input should be less than or equal to 4"),
        ({"input": "hi", "voice": "anna", "response_format": "ogx"}, 400, "response_format", "did you mean 'ogg'?"),
        ({"input": " \n", "voice": "anna"}, 400, "input", "no letter and no digit"),
        ({"input": "* * *", "voice": "anna"}, 400, "input", "no letter and no digit"),
        ({"input": "\u200b\ufeff", "voice": "anna"}, 400, "input", "no letter and no digit"),
        ({"input": "\U0001f600", "voice": "anna"}, 400, "input", "no letter and no digit"),
        ({"input": "x" * 5000, "voice": "anna"}, 400, "input", "5000 characters, 4096 at most"),
        ({"input": "hi", "voice": "anna", "temperature": 0.5}, 400, None, "takes no 'temperature' for one utterance"),
        ({"input": "hi", "voice": "anna+"}, 400, None, "a name is missing"),
        (b"{", 400, None, "the body is not JSON"),
        (b"[" * 100_000, 413, None, "KiB at most"),
        (b"[" * 50_000, 400, None, ""),
        (b'{"input":"\\ud800","voice":"anna"}', 400, "input", "input: "),
        (b"\xff\xfe", 400, None, ""),
        (b"", 400, None, ""),
    ],
)
def test_mistakes_are_answered_as_openai_answers_them(
    client: Any, asked: Any, status: int, param: str | None, message: str
) -> None:
    result, error = client.refused(asked)
    assert result == status
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert message in error["message"]
    assert "Traceback" not in error["message"]


def test_a_body_of_ten_megabytes_is_refused_before_it_is_read_as_json(client: Any) -> None:
    status, error = client.refused(b'{"input":"' + b"x" * 10_000_000 + b'","voice":"anna"}')
    assert (status, error["code"]) == (413, "too_large")


def test_a_body_that_says_no_length_has_the_same_limit(client: Any) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as sent:
        sent.sendall(
            f"POST {SPEECH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(20):
            sent.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        sent.sendall(b"0\r\n\r\n")
        assert sent.recv(100).startswith(b"HTTP/1.1 413")


def test_what_a_page_of_another_host_could_send_is_refused(client: Any) -> None:
    body = json.dumps({"input": "hi", "voice": "anna"}).encode()
    assert client.refused(body, {"Content-Type": "text/plain"})[0] == 415
    assert client.refused(body, {"Host": "evil.example"})[0] == 403
    connection, answer = client.open("OPTIONS", SPEECH, headers={"Origin": "http://evil.example"})
    assert (answer.status, answer.headers["Allow"]) == (204, "POST")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    connection.close()


def test_every_answer_is_closed_to_other_pages(client: Any) -> None:
    for path in ("/", "/health", "/nothing", "/v1/audio/voices"):
        connection, answer = client.open("GET", path)
        answer.read()
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        connection.close()
    assert client.get("/nothing")[1]["error"]["message"] == "there is nothing under this path"


def test_a_key_is_asked_for_wherever_there_is_something_to_see(start: Callable[..., Any], two_voices: Path) -> None:
    server = start(two_voices, keys=(KEY,))
    good, bad = {"Authorization": f"Bearer {KEY}"}, {"Authorization": "Bearer 0123456789abcdeX"}
    asked = {"input": "hi", "voice": "anna"}
    for headers in ({}, bad):
        status, error = server.refused(asked, headers)
        assert (status, error["code"]) == (401, "invalid_api_key")
        for path in ("/v1/audio/voices", "/v1/models", "/v1/models/tts-1", "/metrics", "/openapi.json", "/nothing"):
            assert server.get(path, **headers)[0] == 401
    assert server.post(asked, good)[0] == 200
    assert server.get("/v1/audio/voices", **good)[0] == 200
    # Behind a proxy it is called by other names; the key is what counts.
    assert server.post(asked, {**good, "Host": "tts.example.org"})[0] == 200
    for path in ("/", "/page.js", "/page.css", "/base.css", "/health"):
        connection, answer = server.open("GET", path)
        assert answer.status == 200
        connection.close()
    assert server.log[-1]["key"] not in (None, KEY)
    assert KEY not in json.dumps(server.log)


def test_lists_can_be_open_to_clients_that_ask_without_a_key(start: Callable[..., Any], two_voices: Path) -> None:
    server = start(two_voices, keys=(KEY,), open_lists=True)
    assert [voice["id"] for voice in server.get("/v1/audio/voices")[1]["voices"]] == ["anna", "ben"]
    assert server.get("/v1/audio/models")[0] == 200
    assert server.refused({"input": "hi", "voice": "anna"})[0] == 401
    assert server.get("/metrics")[0] == 401


def test_the_log_has_no_words(client: Any) -> None:
    client.said(text="a secret of mine")
    client.refused({"input": "a secret of mine", "voice": "nobody"})
    client.settled(lambda: bool(client.log) and client.log[-1]["status"] == 404)
    spoken = next(line for line in reversed(client.log) if line["status"] == 200)
    assert spoken["voice"] == "anna"
    assert spoken["characters"] == 16
    assert spoken["ended"] == "done"
    assert spoken["sound"] > 0
    assert "secret" not in json.dumps(client.log)


def test_a_scene_break_is_a_pause(client: Any) -> None:
    both = client.said(text="The kettle sang.\n\n* * *\n\nTwo boats came in.")
    first = client.said(text="The kettle sang.")
    assert np.array_equal(both[: len(first) - 100], first[:-100])  # but for the end of the change of rate
    quiet = both[len(first) + 100 : len(first) + round(PAUSE_SECONDS * 24_000) - 100]
    assert np.abs(quiet).max() < 1e-3
    assert np.abs(both[len(first) + round(PAUSE_SECONDS * 24_000) :]).max() > 0.01


def test_metrics_are_prometheus(client: Any) -> None:
    connection, answer = client.open("GET", "/metrics")
    text = answer.read().decode()
    connection.close()
    before = float(text.split('vtune_characters_total{voice="ben"} ')[1].split()[0]) if 'l{voice="ben"}' in text else 0
    client.said("ben", text="twelve chars")
    connection, answer = client.open("GET", "/metrics")
    text = answer.read().decode()
    connection.close()
    assert f'vtune_characters_total{{voice="ben"}} {before + 12:g}' in text
    assert "vtune_bases 1\n" in text
    for line in text.splitlines():
        assert line.startswith("# ") or float(line.rpartition(" ")[2]) >= 0


def test_a_damaged_voice_is_the_servers_own_trouble(
    start: Callable[..., Any], two_voices: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "voices"
    shutil.copytree(two_voices, folder)
    (folder / "ben" / "adapter_model.safetensors").write_bytes(b"no tensors")
    server = start(folder)
    status, error = server.refused({"input": "hi", "voice": "ben"})
    assert (status, error["type"]) == (500, "server_error")
    assert str(tmp_path) not in error["message"]
    server.settled(lambda: bool(server.log))
    assert "cannot be loaded" in server.log[-1]["error"]
    assert len(server.said("anna"))


def test_a_voice_that_is_being_replaced_is_asked_for_again(
    start: Callable[..., Any], two_voices: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "voices"
    shutil.copytree(two_voices, folder)
    server = start(folder)
    (folder / "ben").rename(folder / ".ben.0123abcd.vtune-former")
    status, content, headers = server.post({"input": "hi", "voice": "ben"})
    assert (status, json.loads(content)["error"]["code"], headers["retry-after"]) == (503, "voice_replaced", "1")
    (folder / ".ben.0123abcd.vtune-former").rename(folder / "ben")
    assert len(server.said("ben"))


def test_a_server_behind_this_one_that_is_away_is_tried_again(start: Callable[..., Any], two_voices: Path) -> None:
    class Away:
        async def speak(self, request: SynthesisRequest) -> AsyncGenerator[Audio, None]:
            if request.text == "later":
                yield Audio(np.zeros(2400, np.float32), 24_000)
            raise UpstreamAwayError("vLLM at http://10.0.0.5 does not answer")

        def close(self) -> None: ...

    server = start(two_voices, backend=Away())
    status, content, headers = server.post({"input": "hi", "voice": "anna"})
    error = json.loads(content)["error"]
    assert (status, error["code"], headers["retry-after"]) == (503, "unavailable", "10")
    assert "10.0.0.5" not in error["message"]
    server.settled(lambda: bool(server.log))
    assert "10.0.0.5" in server.log[-1]["error"]
    events = server.post({"input": "later", "voice": "anna", "stream_format": "sse"})[1].decode().split("\n\n")
    assert json.loads(events[-2].removeprefix("data: "))["error"]["code"] == "unavailable"


def test_sound_without_end_is_broken_off(start: Callable[..., Any], two_voices: Path) -> None:
    server = start(two_voices, max_seconds=0.5)
    connection, answer = server.open("POST", SPEECH, {"input": "hello " * 50, "voice": "anna"})
    assert answer.status == 200
    with pytest.raises(Exception, match="IncompleteRead"):
        answer.read()
    connection.close()
    server.settled(lambda: bool(server.log))
    assert server.log[-1]["ended"] == "failed"
    asked = {"input": "hello " * 50, "voice": "anna", "stream_format": "sse"}
    last = json.loads(server.post(asked)[1].decode().strip().rpartition("data: ")[2])
    assert last["type"] == "error"
    assert "more than 0.5 s of sound" in last["error"]["message"]


def test_nothing_that_was_not_asked_for_is_read(client: Any, tmp_path: Path) -> None:
    for path in ("/page/page.html", "/../serve/app.py", "/%2e%2e/app.py", "/static/x", "/docs", "/redoc"):
        connection, answer = client.open("GET", path)
        assert answer.status == 404
        connection.close()


def test_the_first_sound_leaves_before_the_last_is_made(client: Any) -> None:
    started = time.monotonic()
    asked = {"input": "hello there " * 60, "voice": "anna", "response_format": "pcm"}
    connection, answer = client.open("POST", SPEECH, asked)
    answer.read(2)
    first = time.monotonic() - started
    answer.read()
    assert first < 0.6 * (time.monotonic() - started)
    connection.close()
