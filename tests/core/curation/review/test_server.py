"""The server answers only its own page, always in JSON, and no request makes it stop."""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vtune.curation.review import Review
from vtune.curation.review.serve import serve
from vtune.curation.review.server import ReviewServer
from vtune.errors import VtuneError
from vtune.webpage.access_guard import TOKEN_HEADER
from vtune.webpage.local_server import MAX_BODY_BYTES

Answer = tuple[int, Any, dict[str, str]]


class Client:
    """Sends requests that no browser would send."""

    def __init__(self, server: ReviewServer) -> None:
        self.server = server

    def send(self, method: str, path: str, body: bytes | None = None, token: str | None = "", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=10)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent[TOKEN_HEADER] = token or self.server.guard.token
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        kind = answer.headers["Content-Type"]
        return answer.status, json.loads(data) if kind == "application/json" else data, dict(answer.headers)

    def get(self, path: str, **headers: Any) -> Answer:
        return self.send("GET", path, **headers)

    def post(self, action: str, fields: Any = None, **headers: Any) -> Answer:
        body = json.dumps(fields or {}).encode()
        return self.send("POST", f"/api/{action}", body, **{"Content_Type": "application/json", **headers})

    def raw(self, data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.server.server_port), timeout=10) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def folder(spoken: Callable[..., Path]) -> Path:
    return spoken(clip_1="why")


@pytest.fixture
def client(folder: Path) -> Iterator[Client]:
    with ReviewServer(Review(str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Client(server)
        server.shutdown()
        thread.join()


def test_the_page_comes_with_a_strict_policy_and_a_cookie(client):
    status, page, headers = client.get(f"/?token={client.server.guard.token}", token=None)
    assert status == 200
    assert b"<script src=" in page
    assert b"<style" not in page
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "HttpOnly" in headers["Set-Cookie"]
    assert "SameSite=Strict" in headers["Set-Cookie"]
    cookie = headers["Set-Cookie"].split(";")[0]
    assert client.get("/api/clips", token=None, Cookie=f"other=1; {cookie}")[0] == 200


@pytest.mark.parametrize("path", ["/", "/page.js", "/api/clips", "/audio/1", "/api/peaks/1", "/nowhere"])
def test_nothing_is_told_without_the_token(client, path):
    for headers in ({}, {"Cookie": f"{client.server.cookie}=wrong"}, {"Cookie": '"=;{};='}, {TOKEN_HEADER: "é"}):
        status, answer, _ = client.get(path, token=None, **headers)
        assert status == 403
        assert "token" in answer["error"]
    assert client.get(f"{path}?token=wrong", token=None)[0] == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "10.0.0.1", "[", "a b"]
)
def test_another_name_is_refused(client, host):
    assert client.get("/api/clips", Host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9", "[::1]:80", "127.8.8.8"])
def test_names_of_this_machine_are_taken_through_tunnels_too(client, host):
    assert client.get("/api/clips", Host=host)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_another_page_changes_nothing(client, folder, headers):
    before = (folder / "transcript.csv").read_bytes()
    assert client.post("drop", {"clip": 1}, **headers)[0] == 403
    assert (folder / "transcript.csv").read_bytes() == before


def test_the_own_page_may(client):
    origin = f"http://127.0.0.1:{client.server.server_port}"
    status, answer, _ = client.post("words", {"clip": 1, "text": "x"}, Origin=origin, Sec_Fetch_Site="same-origin")
    assert (status, answer["clip"]["text"], answer["undo"]) == (200, "x", "words clip_0.wav")


@pytest.mark.parametrize(
    ("action", "body", "status"),
    [
        ("words", b"", 400),
        ("words", b"{", 400),
        ("words", b"\xff\xfe", 400),
        ("words", b"[" * 60_000, 400),
        ("words", b"{}", 400),
        ("words", b'{"clip": "1", "text": "x"}', 400),
        ("words", b'{"clip": 1, "text": 5}', 400),
        ("words", b'{"clip": 1, "text": "x", "file": "/etc/passwd"}', 400),
        ("words", b'{"clip": 1e999, "text": "x"}', 400),
        ("words", b'{"clip": 99, "text": "x"}', 422),
        ("words", b'{"clip": -1, "text": "x"}', 422),
        ("words", b'{"clip": 1, "text": ""}', 422),
        ("words", b'{"clip": 1, "text": "a\\u0000b"}', 422),
        ("words", b'{"clip": 1, "text": "x", "was": "something else"}', 409),
        ("split", b'{"clip": 1, "at": NaN, "first": "a", "second": "b"}', 400),
        ("split", b'{"clip": 1, "at": 9, "first": "a", "second": "b"}', 422),
        ("restore", b'{"clip": 1}', 422),
        ("nonsense", b"{}", 404),
        ("../../etc/passwd", b"{}", 404),
    ],
)
def test_a_bad_request_is_an_answer(client, folder, action, body, status):
    before = (folder / "transcript.csv").read_bytes()
    result, answer, _ = client.send("POST", f"/api/{action}", body, Content_Type="application/json; charset=utf-8")
    assert result == status
    assert answer["error"]
    assert "Traceback" not in answer["error"]
    assert (folder / "transcript.csv").read_bytes() == before
    assert client.get("/api/clips")[0] == 200


def test_lone_surrogates_are_refused(client):
    assert client.send("POST", "/api/words", b'{"clip": 1, "text": "\\ud800"}', Content_Type="application/json")[0] in (
        400,
        422,
    )


def test_only_json_of_known_length_is_read(client):
    assert client.post("undo", Content_Type="text/plain")[0] == 415
    assert client.post("words", {"clip": 1, "text": "x" * MAX_BODY_BYTES})[0] == 413
    start = f"POST /api/undo HTTP/1.1\r\nHost: localhost\r\n{TOKEN_HEADER}: {client.server.guard.token}\r\n"
    start += "Content-Type: application/json\r\n"
    for line in ("", "Content-Length: -5\r\n", "Content-Length: x\r\n", "Transfer-Encoding: chunked\r\n"):
        assert client.raw(f"{start}{line}\r\n".encode()).startswith(b"HTTP/1.1 411 ")
    assert client.raw(f"{start}Content-Length: {10**17}\r\n\r\n".encode()).startswith(b"HTTP/1.1 413 ")
    assert client.get("/api/clips")[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/page.html", "/../server.py", "/audio/../../x", "/audio/1/..", "/audio/-1", "/audio/99", "/audio/x",
     "/api/peaks/", "/audio/1.wav", "/audio/%2e%2e", "/api/clips/", "/audio/99999999999999999999"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(client, path):
    status, answer, _ = client.get(path)
    assert status == 404
    assert answer["error"]


def test_other_methods_are_refused(client):
    assert client.get("/api/drop")[0] == 405
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "BREW"):
        assert client.send(method, "/api/clips")[0] == 405
    assert client.send("POST", "/", b"{}", Content_Type="application/json")[0] == 404


@pytest.mark.parametrize(
    "data",
    [b"\r\n\r\n", b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET " + b"x" * 70_000, b"\x16\x03\x01\x02\x00",
     b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
     b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"GET /"],
)  # fmt: skip
def test_what_is_no_request_harms_nothing(client, data):
    answer = client.raw(data)
    assert b"Traceback" not in answer
    assert not answer or b'"error"' in answer
    assert client.get("/api/clips")[0] == 200


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"GET /?token=", b"POST /api/words HTTP/1.1\r\nHost: localhost\r\n"])
)
def test_any_bytes_harm_nothing(client, data, start):
    assert b"Traceback" not in client.raw(start + data)
    assert client.get("/page.css")[0] == 200


def test_listeners_that_hang_up_are_passed_over(client, caplog):
    start = f"POST /api/words HTTP/1.1\r\nHost: localhost\r\n{TOKEN_HEADER}: {client.server.guard.token}\r\n"
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", client.server.server_port)) as connection:
            connection.sendall(f"{start}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{{".encode())
        with socket.create_connection(("127.0.0.1", client.server.server_port)) as connection:
            token = f"{TOKEN_HEADER}: {client.server.guard.token}"
            connection.sendall(f"GET /audio/1 HTTP/1.1\r\nHost: localhost\r\n{token}\r\n\r\n".encode())
    assert client.get("/api/clips")[0] == 200
    assert not caplog.records


def test_sound_is_16_bit_wav_whatever_it_was(client, folder):
    status, data, headers = client.get("/audio/1")
    assert (status, headers["Content-Type"], headers["Accept-Ranges"]) == (200, "audio/wav", "bytes")
    assert soundfile.info(io.BytesIO(data)).subtype == "PCM_16"
    downloaded, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    kept, _ = soundfile.read(folder / "clip_0.wav", dtype="int16")
    assert rate == 16_000
    np.testing.assert_allclose(downloaded.astype(int), kept.astype(int), atol=1)


@pytest.mark.parametrize("rate", [1_000, 384_000])
def test_rates_that_browsers_do_not_play_are_changed(client, folder, rate):
    soundfile.write(folder / "clip_0.wav", np.zeros((rate, 6)), rate, subtype="FLOAT")
    _, data, _ = client.get("/audio/1")
    info = soundfile.info(io.BytesIO(data))
    assert (info.samplerate, info.channels) == (8_000 if rate == 1_000 else 48_000, 1)
    assert info.duration == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-99", slice(0, 100)), ("bytes=100-", slice(100, None)), ("bytes=-10", slice(-10, None)),
        ("bytes=5-5", slice(5, 6)), ("bytes=0-99999999999", slice(0, None)), ("bytes=-99999999", slice(0, None)),
    ],
)  # fmt: skip
def test_parts_are_sent(client, asked, part):
    _, content, _ = client.get("/audio/1")
    status, data, headers = client.get("/audio/1", Range=asked)
    assert status == 206
    assert data == content[part]
    start = range(len(content))[part].start
    assert headers["Content-Range"] == f"bytes {start}-{start + len(data) - 1}/{len(content)}"


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=9-3", "bytes=-0"])
def test_parts_that_are_not_there_are_refused(client, asked):
    status, _, headers = client.get("/audio/1", Range=asked)
    assert status == 416
    assert headers["Content-Range"].startswith("bytes */")


@pytest.mark.parametrize(
    "asked", ["bytes=-", "bytes=a-b", "bytes=0-1,5-6", "lines=1-2", "bytes", "bytes=" + "9" * 30 + "-"]
)
def test_parts_that_are_not_understood_are_the_whole(client, asked):
    status, data, _ = client.get("/audio/1", Range=asked)
    assert status == 200
    assert data == client.get("/audio/1")[1]


def test_peaks_are_those_of_the_recording(client, folder):
    _, answer, _ = client.get("/api/peaks/2")
    kept, rate = soundfile.read(folder / "clip_1.wav")
    assert answer["seconds"] == pytest.approx(len(kept) / rate)
    low, high = answer["peaks"][::2], answer["peaks"][1::2]
    assert len(low) == 2000
    parts = np.array_split(kept, 2000)
    np.testing.assert_allclose(high, [127 * part.max() for part in parts], atol=0.6)
    np.testing.assert_allclose(low, [127 * part.min() for part in parts], atol=0.6)


def test_a_recording_of_a_few_samples_has_peaks(client, folder):
    soundfile.write(folder / "clip_0.wav", [0.5, -0.25], 8_000)
    assert client.get("/api/peaks/1")[1]["peaks"] == [64, 64, -32, -32]
    assert client.get("/api/spectrogram/1")[0] == 200


def test_the_spectrogram_shows_the_tone(client, folder):
    import base64

    _, answer, _ = client.get("/api/spectrogram/1")
    levels = np.frombuffer(base64.b64decode(answer["levels"]), np.uint8).reshape(answer["columns"], answer["bands"])
    loudest = levels[: answer["columns"] // 3].mean(axis=0).argmax()
    mel = np.log1p(200 / 700) / np.log1p(answer["highest"] / 700) * answer["bands"]
    assert abs(loudest - mel) < 4


def test_recordings_that_cannot_be_read_are_an_answer(client, folder):
    (folder / "clip_0.wav").unlink()
    (folder / "clip_1.wav").write_bytes(b"no sound")
    for number in (1, 2):
        for path in ("/audio/", "/api/peaks/", "/api/spectrogram/"):
            status, answer, _ = client.get(f"{path}{number}")
            assert status == 422
            assert "clip_" in answer["error"]


def test_edits_at_the_same_time_all_arrive(client, folder, table):
    with ThreadPoolExecutor(8) as pool:
        answer = list(pool.map(lambda n: client.post("words", {"clip": n % 4 + 1, "text": f"edit {n}"})[0], range(24)))
    assert set(answer) == {200}
    last = {row[1] for row in table(folder)}
    assert all(words.startswith("edit ") for words in last)
    assert len((folder / "review.jsonl").read_text().splitlines()) == 24
    for _ in range(24):
        assert client.post("undo")[0] == 200
    assert table(folder)[0][1] == "first 0 then second"


def test_a_table_changed_outside_is_409_until_it_is_read_again(client, folder, table):
    path = folder / "transcript.csv"
    path.write_bytes(path.read_bytes().replace(b"first 3", b"theirs"))
    status, answer, _ = client.post("words", {"clip": 1, "text": "mine"})
    assert status == 409
    assert "another program" in answer["error"]
    assert client.post("reread")[0] == 200
    assert client.post("words", {"clip": 1, "text": "mine"})[0] == 200
    assert [row[1].split()[0] for row in table(folder)] == ["mine", "first", "first", "theirs"]


def test_a_mistake_of_vtune_is_an_answer_too(client, monkeypatch, caplog):
    monkeypatch.setattr(client.server.review, "undo", lambda: 1 / 0)
    status, answer, _ = client.post("undo")
    assert status == 500
    assert "error in vtune" in answer["error"]
    assert "ZeroDivisionError" in caplog.text
    assert client.get("/api/clips")[0] == 200


def test_no_path_leaves_the_machine_but_names_in_the_source(client, folder):
    _, answer, _ = client.get("/api/clips")
    assert [clip["name"] for clip in answer["clips"]] == [f"clip_{n}.wav" for n in range(4)]
    assert [clip["flags"] for clip in answer["clips"]] == ["", "why", "", ""]
    assert str(folder) not in json.dumps(answer["clips"])


def test_names_that_are_no_text_come_through(spoken):
    folder = spoken(table=False)
    import os

    odd = os.fsencode(folder) + b"/\xff\n.wav"
    os.rename(folder / "clip_0.wav", odd)
    os.rename(folder / "clip_0.txt", odd[:-3] + b"txt")
    review = Review(str(folder))
    with ReviewServer(review) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        client = Client(server)
        _, answer, _ = client.get("/api/clips")
        (number,) = [clip["n"] for clip in answer["clips"] if clip["name"] == "\udcff\n.wav"]
        assert client.get(f"/audio/{number}")[0] == 200
        for action, more in (("words", {"text": "x"}), ("approve", {}), ("drop", {}), ("restore", {})):
            assert client.post(action, {"clip": number, **more})[0] == 200
        assert client.post("split", {"clip": number, "at": 0.5, "first": "a", "second": "b"})[0] == 200
        for _ in range(5):
            assert client.post("undo")[0] == 200
        server.shutdown()
    assert Path(os.fsdecode(odd[:-3] + b"txt")).read_text() == "first 0 then second\n"
    assert Review(str(folder)).undoable() is None


def test_a_port_in_use_is_one_line(client, folder):
    with pytest.raises(VtuneError, match=r"cannot serve at 127.0.0.1 port \d+: .*; leave out --port"):
        serve(str(folder), port=client.server.server_port, browser=False)
    with pytest.raises(VtuneError, match=r"cannot serve at 192\.0\.2\.1"):
        serve(str(folder), host="192.0.2.1", browser=False)


def test_another_host_is_warned_of(folder, monkeypatch, caplog):
    monkeypatch.setattr(
        ReviewServer, "serve_forever", lambda self, poll_interval: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    addresses: list[str] = []
    serve(str(folder), host="0.0.0.0", browser=False, started=addresses.append)
    assert "other machines can reach" in caplog.text
    caplog.clear()
    serve(str(folder), browser=False, started=addresses.append)
    assert not caplog.records
    assert [url.split("?")[0].rpartition(":")[0] for url in addresses] == ["http://0.0.0.0", "http://127.0.0.1"]
