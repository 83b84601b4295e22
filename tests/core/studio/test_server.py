"""The studio answers its own page only, no request leads out of its folder, and no page of a voice can use it."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vtune.errors import VtuneError
from vtune.runtime.paths import exclusive_access
from vtune.studio.serve import serve
from vtune.studio.server import StudioServer
from vtune.studio.workshop import Workshop
from vtune.webpage.access_guard import TOKEN_HEADER


class Client:
    def __init__(self, server: StudioServer) -> None:
        self.base = f"http://127.0.0.1:{server.server_port}"
        self.token = server.guard.token

    def send(
        self, path: str, body: bytes | None = None, kind: str = "application/json", **headers: str
    ) -> tuple[int, bytes, Any]:
        given = {TOKEN_HEADER: self.token, "Content-Type": kind, **headers}
        request = urllib.request.Request(self.base + path, body, {key: value for key, value in given.items() if value})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers

    def post(self, action: str, **body: Any) -> tuple[int, Any]:
        code, answer, _ = self.send(f"/api/{action}", json.dumps(body).encode())
        return code, json.loads(answer)


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    """Open a folder of work whose queue starts nothing."""
    monkeypatch.setattr("vtune.studio.jobs.JobQueue._start", lambda *_: None)
    opened = Workshop(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def client(workshop: Workshop) -> Iterator[Client]:
    with StudioServer(workshop) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield Client(server)
        server.shutdown()


def test_without_the_token_nothing_is_answered(client: Client) -> None:
    for path in ("/", "/page.js", "/api/state", "/api/project/jane", "/sound/spoken/1"):
        assert client.send(path, **{TOKEN_HEADER: ""})[0] == 403
    assert client.send("/")[0] == 200
    assert client.send("/api/state", Host="evil.example")[0] == 403


def test_another_site_starts_nothing(client: Client, workshop: Workshop) -> None:
    body = json.dumps({"project": "jane", "source": "x"}).encode()
    assert client.send("/api/examine", body, Origin="http://evil.example")[0] == 403
    assert client.send("/api/examine", body, **{"Sec-Fetch-Site": "cross-site"})[0] == 403
    assert client.send("/api/examine", body, kind="text/plain")[0] == 415
    assert workshop.queue.jobs == {}


def test_the_page_names_no_foreign_host(client: Client) -> None:
    for path in ("/", "/page.js", "/dom.js", "/recordings.js", "/recipe.js", "/training.js", "/voice.js", "/page.css"):
        _, content, headers = client.send(path)
        text = content.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text
        assert "default-src 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        "/sound/sample/jane/../../secret.wav", "/sound/heard/jane/..%2f/step-1/a.wav", "/listen/..", "/api/log/../jobs",
        "/findings/%2e%2e", "/sound/spoken/x",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_folder(client: Client, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    assert client.send(path)[0] == 404


def test_a_dropped_file_is_written_whole_beside_the_others(client: Client, tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    path = "/api/upload?project=jane&file=one%20(2).wav"
    code, answer, _ = client.send(path, content, "application/octet-stream")
    assert (code, json.loads(answer)) == (200, {"source": "recordings/jane"})
    assert (tmp_path / "recordings" / "jane" / "one (2).wav").read_bytes() == content
    assert client.send(path, b"other", "application/octet-stream")[0] == 422
    for name in ("../evil.wav", ".hidden", "a/b.wav", ""):
        query = urllib.parse.urlencode({"project": "jane", "file": name})
        assert client.send(f"/api/upload?{query}", b"x", "application/octet-stream")[0] == 422
    query = urllib.parse.urlencode({"project": "../up", "file": "a.wav"})
    assert client.send(f"/api/upload?{query}", b"x", "application/octet-stream")[0] == 422
    assert [path.name for path in (tmp_path / "recordings" / "jane").iterdir()] == ["one (2).wav"]


def test_a_page_of_a_voice_runs_apart_from_the_studio(client: Client, tmp_path: Path) -> None:
    (tmp_path / "voices" / "jane").mkdir(parents=True)
    (tmp_path / "voices" / "jane" / "listen.html").write_text("<script>fetch('/api/state')</script>")
    code, _, headers = client.send("/listen/jane")
    assert code == 200
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in policy
    assert "connect-src" not in policy  # default-src 'none' forbids it


def test_words_of_a_request_are_never_options(client: Client, workshop: Workshop) -> None:
    assert client.post("examine", project="jane", source="--help")[0] == 400
    assert client.post("push", project="jane", repository="--public")[0] == 400
    assert client.post("examine", project="jane", source="x", shell="rm")[0] == 400
    assert client.post("examine", project="../x", source="x")[0] == 422
    assert client.post("no-such-action")[0] == 404
    assert workshop.queue.jobs == {}


def test_a_recipe_that_somebody_edited_is_kept(client: Client, tmp_path: Path) -> None:
    (tmp_path / "tapes").mkdir()
    request = {"project": "jane", "source": "tapes", "engine": "toy", "person": "Jane", "statement": "She agreed."}
    code, answer = client.post("recipe", **request)
    assert code == 200, answer
    assert client.post("recipe", **{**request, "person": "Jane Doe"})[0] == 200
    path = tmp_path / "jane.yaml"
    path.write_text(path.read_text() + "train: {epochs: 2}\n")
    code, answer = client.post("recipe", **request)
    assert (code, "was edited" in answer["error"]) == (422, True)
    code, answer = client.post("recipe-text", project="jane", text=path.read_text() + "nonsense: 1\n")
    assert code == 200
    assert any("nonsense" in line for line in answer["problems"])
    assert client.post("run", project="jane")[0] == 422


def test_what_the_terminal_did_is_on_the_page(client: Client, workshop: Workshop, tmp_path: Path) -> None:
    logs = tmp_path / "runs" / "ben" / "logs" / "abc123"
    (logs / "heard" / "step-000010").mkdir(parents=True)
    (logs / "heard" / "step-000010" / "01.wav").write_bytes(b"RIFF....")
    entries = [{"step": step, "loss": 1 / step, "grad_norm": 1.0} for step in range(1, 2001)]
    (logs / "metrics.jsonl").write_text("\n".join(map(json.dumps, entries)) + '\n{"step": 2001, "los')
    (tmp_path / "carol.yaml").write_text("voice: carol\nengine: toy\ndata: [{source: tapes}]\n")
    (tmp_path / "other.yaml").write_text("port: 80\n")
    _, state, _ = client.send("/api/state")
    assert json.loads(state)["projects"] == ["ben", "carol"]
    run = json.loads(client.send("/api/project/ben")[1])["run"]
    assert list(run["curves"]) == ["loss"]
    assert len(run["curves"]["loss"]) <= 501
    assert run["curves"]["loss"][0] == [1, 1.0]
    assert run["heard"] == [{"step": 10, "folder": "step-000010", "files": ["01.wav"]}]
    assert client.send("/sound/heard/ben/abc123/step-000010/01.wav")[1] == b"RIFF...."
    carol = json.loads(client.send("/api/project/carol")[1])
    assert carol["source"] == "tapes"
    assert carol["commands"]["run"] == "vtune run carol.yaml"


def test_commands_are_those_of_a_terminal(client: Client) -> None:
    from vtune_cli.main import main

    commands = json.loads(client.send("/api/project/jane")[1])["commands"]
    for command in commands.values():
        verb = command.split()[1]
        assert main.get_command(None, verb) is not None  # type: ignore[arg-type]
    assert client.post("say", project="jane", text="Hello.")[1]["command"] == (
        "vtune say jane --seed 0 --out .studio/spoken-1.wav -- Hello."
    )
    parsed = main.get_command(None, "say").make_context("say", ["jane", "--seed", "0", "--", "--help"])  # type: ignore
    assert parsed.params["text"] == "--help"


def test_other_machines_are_not_let_in(tmp_path: Path) -> None:
    with pytest.raises(VtuneError, match="the studio runs commands"):
        serve(tmp_path, host="0.0.0.0", browser=False)
    (tmp_path / ".studio").mkdir()
    with (
        exclusive_access(tmp_path / ".studio", "a test"),
        pytest.raises(VtuneError, match="another studio is open"),
    ):
        serve(tmp_path, browser=False)
    with pytest.raises(VtuneError, match="there is no folder"):
        serve(tmp_path / "none", browser=False)
