"""Wrong answers of a vLLM, or of a proxy before it, and what vtune's client gets then."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")

from vtune.errors import VtuneError
from vtune.serve.failures import UpstreamAwayError, UpstreamError, VoiceBrokenError
from vtune.serve.http_errors import HttpError, http_error_of
from vtune.serve.vllm.client import VllmClient, VllmRefusalError, upstream_error_of
from vtune.types import SamplingRequest

DRAWING = SamplingRequest(
    prompt=(1, 2), max_tokens=4, seed=1, temperature=0.0, top_p=1.0, repetition_penalty=1.0, stop=(3,), allowed=None
)
HTML = b"<html><head><title>502 Bad Gateway</title></head></html>"
TOKEN = b'data: {"choices": [{"index": 0, "token_ids": [7]}]}\n\n'
SSE = {"Content-Type": "text/event-stream"}

Upstream = Callable[..., VllmClient]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Make a server that sends the same bytes on every connection, and then closes the connection or not."""
    listening: list[socket.socket] = []

    def make(answer: bytes, patience: float = 10.0, hangs: bool = False) -> VllmClient:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def serve() -> None:
            kept = []
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    read_request(connection)
                    connection.sendall(answer)
                    if hangs:
                        kept.append(connection)
                        continue
                    connection.shutdown(socket.SHUT_WR)
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        return VllmClient(f"http://127.0.0.1:{server.getsockname()[1]}", "key", patience)

    yield make
    for server in listening:
        server.close()


def read_request(connection: socket.socket) -> None:
    """Read a whole request: a connection that is closed earlier is reset, and its client never reads the answer."""
    with connection.makefile("rb") as lines:
        length = 0
        while line := lines.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        lines.read(length)


def http(status: int, content: bytes, whole: bool = True, **headers: str) -> bytes:
    fields = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if whole:
        fields["Content-Length"] = str(len(content))
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + content


def error(message: str, code: int) -> bytes:
    return json.dumps({"error": {"message": message, "type": "BadRequestError", "code": code}}).encode()


def refused(client: VllmClient) -> tuple[HttpError, VtuneError, list[int]]:
    """Draw, as a request to speak does; return what its client is told, what the log is told, and the tokens before."""
    tokens: list[int] = []

    def draw() -> None:
        try:
            for some in client.draw("anna", DRAWING).ids():
                tokens.extend(some)
        except VllmRefusalError as answer:
            raise upstream_error_of(answer) from answer

    with pytest.raises(VtuneError) as caught:
        draw()
    return http_error_of(caught.value), caught.value, tokens


@pytest.mark.parametrize(
    ("status", "content", "headers", "expected", "retry_after", "message"),
    [
        (400, error("This model's maximum context length is 1024 tokens. However, you requested 2100", 400), {},
         400, None, "too long"),
        (400, error("The decoder prompt (length 3000) is longer than the maximum model length of 2048", 400), {},
         400, None, "too long"),
        (400, error("top_p must be in (0, 1], got 3.0.", 400), {}, 400, None, "top_p: "),
        (422, b'{"detail": "Unprocessable"}', {}, 400, None, "refuses this request"),
        (401, b'{"error": "Unauthorized"}', {}, 502, None, "refuses vtune's key"),
        (403, HTML, {"Content_Type": "text/html"}, 502, None, "refuses vtune's key"),
        (404, error("The model `anna` does not exist.", 404), {}, 503, "10", "does not answer"),
        (404, HTML, {"Content_Type": "text/html"}, 502, None, "does not understand"),
        (429, b"", {"Retry_After": "7"}, 503, "7", "try again in 7 s"),
        (429, HTML, {"Retry_After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 503, "10", "try again in 10 s"),
        (429, b"", {"Retry_After": "9" * 30}, 503, "10", "try again in 10 s"),
        (500, error("EngineCore encountered an issue.", 500), {}, 503, "10", "does not answer"),
        (502, HTML, {"Content_Type": "text/html"}, 503, "10", "does not answer"),
        (503, b"", {"Retry_After": "33"}, 503, "33", "does not answer"),
        (302, b"", {"Location": "http://elsewhere/"}, 502, None, "does not understand"),
        (200, HTML, {"Content_Type": "text/html"}, 502, None, "does not understand"),
        (200, b"", SSE, 503, "10", "does not answer"),
        (200, b'data: {"choices": [{"token_ids": [', SSE, 502, None, "does not understand"),
        (200, b"data: [1, 2]\n\n", SSE, 502, None, "does not understand"),
        (200, b'data: {"choices": [{"token_ids": ["seven"]}]}\n\n', SSE, 502, None, "does not understand"),
        (200, b"data: " + error("EngineCore encountered an issue.", 500) + b"\n\n", SSE, 503, "10", "does not answer"),
    ],
)  # fmt: skip
def test_each_answer_has_its_meaning(
    upstream: Upstream, status: int, content: bytes, headers: dict[str, str], expected: int, retry_after: str | None,
    message: str,
) -> None:  # fmt: skip
    headers = {name.replace("-", "_"): value for name, value in headers.items()}
    refusal, log, tokens = refused(upstream(http(status, content, True, **headers)))
    assert (refusal.status, refusal.headers.get("Retry-After")) == (expected, retry_after)
    assert message in str(refusal)
    assert tokens == []
    assert "vLLM" in str(log)
    assert "\n" not in str(log)
    assert "vLLM" not in str(refusal)  # a client is told nothing of what stands behind
    assert "html" not in str(refusal)


@pytest.mark.parametrize("whole", [True, False])
def test_a_stream_that_breaks_off_is_never_taken_for_whole(upstream: Upstream, whole: bool) -> None:
    refusal, log, tokens = refused(upstream(http(200, TOKEN, whole, Content_Type="text/event-stream")))
    assert tokens == [7]
    assert isinstance(log, UpstreamAwayError)
    assert "ends too early" in str(log)
    assert refusal.status == 503


def test_a_chunked_stream_that_breaks_off_is_never_taken_for_whole(upstream: Upstream) -> None:
    chunk = f"{len(TOKEN):x}\r\n".encode() + TOKEN + b"\r\n"
    answer = http(200, chunk, whole=False, Content_Type="text/event-stream", Transfer_Encoding="chunked")
    for broken in (answer, answer + chunk[:9], answer + b"fff\r\ndata"):
        refusal, _, tokens = refused(upstream(broken))
        assert tokens == [7]
        assert refusal.status in (502, 503)
    done = answer + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
    assert list(upstream(done).draw("anna", DRAWING).ids()) == [[7]]


def test_a_line_without_an_end_takes_no_memory(upstream: Upstream) -> None:
    refusal, _, _ = refused(upstream(http(200, b"data: " + b"x" * (3 << 20), Content_Type="text/event-stream")))
    assert refusal.status == 502


def test_a_server_that_never_answers_is_waited_for_no_longer_than_told(upstream: Upstream) -> None:
    started = time.monotonic()
    for answer in (b"", b"HTTP/1.1 200 OK\r\n", http(200, TOKEN, whole=False, Content_Type="text/event-stream")):
        client = upstream(answer, patience=0.2, hangs=True)
        assert refused(client)[0].status == 503
        assert not client.is_healthy()
        with pytest.raises(UpstreamAwayError):
            client.models()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http(200, HTML, Content_Type="text/html"), UpstreamError),
        (http(200, b'{"data": [{"root": 3}]}'), UpstreamError),
        (http(200, b"[]"), UpstreamError),
        (http(401, b'{"error": "Unauthorized"}'), UpstreamError),
        (http(503, HTML), UpstreamAwayError),
    ],
)
def test_a_list_of_models_that_is_none(upstream: Upstream, answer: bytes, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        upstream(answer).models()


def test_a_vllm_that_is_too_old_says_so(upstream: Upstream) -> None:
    event = b'data: {"choices": [{"index": 0, "text": "a"}]}\n\n'
    with pytest.raises(VoiceBrokenError, match="install a newer vLLM"):
        list(upstream(http(200, event, Content_Type="text/event-stream")).draw("anna", DRAWING).ids())
