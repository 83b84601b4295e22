"""No request makes the server fail: requests are made from its own OpenAPI schema, and from random bytes."""

from __future__ import annotations

import json
import socket
from http.client import HTTPException
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vtune.audio import FORMATS

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
VOICES = st.sampled_from(
    [
        "anna",
        "ben",
        "both",
        "../anna",
        "/etc/passwd",
        "anna\0",
        "0.5*anna+0.5*ben",
        "1e3*anna",
        "anna*",
        "+",
        '"',
        "%2e%2e/",
    ]
)
many = settings(max_examples=60, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def fields(client: Any) -> list[str]:
    _, schema = client.get("/openapi.json")
    result = list(schema["components"]["schemas"]["SpeechRequest"]["properties"])
    assert {"input", "voice", "speed", "seed", "stream_format"} <= set(result)
    return result


def body_of(data: Any, fields: list[str]) -> dict[str, Any]:
    body = data.draw(st.dictionaries(st.sampled_from(fields) | st.text(max_size=8), ANY, max_size=5))
    sensible = {
        "input": st.text(max_size=12),
        "voice": VOICES | st.fixed_dictionaries({"id": VOICES}),
        "speed": st.floats(0.25, 4),
        "seed": st.integers(0, 2**32 - 1),
        "response_format": st.sampled_from(list(FORMATS)),
        "stream_format": st.sampled_from(["audio", "sse"]),
    }
    for name in data.draw(st.sets(st.sampled_from(sorted(sensible)))):
        body[name] = data.draw(sensible[name])
    return body


@many
@given(data=st.data())
def test_a_body_is_spoken_or_refused(client: Any, fields: list[str], data: Any) -> None:
    body = body_of(data, fields)
    status, content, headers = client.post(json.dumps(body, default=str).encode())
    assert status in (200, 400, 404), content
    if status != 200:
        assert headers["content-type"] == "application/json"
        assert json.loads(content)["error"]["message"]
        assert b"Traceback" not in content


@many
@given(content=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")))
def test_nonsense_is_refused(client: Any, content: bytes) -> None:
    assert client.post(content)[0] == 400


@many
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]),
    path=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
)
def test_no_path_falls_over(client: Any, method: str, path: str) -> None:
    try:
        connection, answer = client.open(method, f"/{path}")
    except HTTPException:
        return
    assert answer.status < 500
    connection.close()


@many
@given(data=st.binary(max_size=60))
def test_what_is_no_http_ends_the_connection_alone(client: Any, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as sent:
        sent.sendall(data + b"\r\n\r\n")
        sent.shutdown(socket.SHUT_WR)
        answer = sent.recv(100)
    assert not answer.startswith(b"HTTP/1.1 5")
    assert client.get("/health")[0] == 200


@pytest.mark.parametrize("cut", [0, 1, 40, 90, 160, 185])
def test_a_client_that_leaves_in_the_middle_of_asking(client: Any, cut: int) -> None:
    body = b'{"input": "hello there, you two", "voice": "anna"}'
    request = (
        f"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as sent:
        sent.sendall(request[:cut])
    client.settled(lambda: client.backend.load().speaking == 0)
    assert client.get("/health")[0] == 200
