"""The audit of vtune's requirements fails if a vulnerability is known, and says clearly if it could not ask."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "tools" / "audit.py"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Advisories(BaseHTTPRequestHandler):
    """A database of one advisory, about any version of pluggy."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        package = {"name": "pluggy", "ecosystem": "PyPI"}
        versions = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}]
        known = {
            "id": "GHSA-made-up", "summary": "made up", "aliases": [], "modified": "2025-01-01T00:00:00Z",
            "published": "2025-01-01T00:00:00Z", "affected": [{"package": package, "ranges": versions}],
        }  # fmt: skip
        answer = json.dumps({"vulns": [known]} if asked["package"]["name"] == "pluggy" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Advisories)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/", "http://no-such-host.invalid/"])
def test_a_database_that_cannot_be_reached_is_said_aloud_and_fails_nothing(
    script, monkeypatch, capsys, address
) -> None:
    monkeypatch.setenv("VTUNE_ADVISORIES", address)
    monkeypatch.setattr(script, "audit", lambda *arguments: pytest.fail("it asked"))
    assert script.main() == 0
    printed = capsys.readouterr().out
    assert printed.startswith(
        f"audit: skipped, nothing was checked: the advisory database {address} cannot be reached ("
    )
    assert len(printed.splitlines()) == 1


@pytest.mark.parametrize("code", [0, 1])
def test_what_pip_audit_says_is_what_the_audit_says(script, service, monkeypatch, code) -> None:
    calls = []

    def run(command: list[str], **settings: Any) -> Any:
        calls.append((command, Path(command[command.index("--requirement") + 1]).read_text()))
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setenv("VTUNE_ADVISORIES", service)
    monkeypatch.setattr(script.subprocess, "run", run)
    assert script.main() == code
    ((command, listed),) = calls
    assert service in command
    for requirement in ("pluggy>=1.6", "optuna>=4.4", "torch=="):  # its own, an extra's, a constraint
        assert requirement in listed


@pytest.mark.parametrize(("required", "code"), [("pluggy==1.6.0", 1), ("click==8.1.8", 0)])
def test_a_known_vulnerability_fails_and_none_does_not(script, service, required, code) -> None:
    if importlib.util.find_spec("pip_audit") is None:
        pytest.skip("pip-audit is not installed; it is in tox's environment for lint")
    (constraints,) = [line for line in (SCRIPT.parents[1] / "constraints.txt").read_text().splitlines() if "==" in line]
    assert constraints.startswith("torch==")  # a version of one's own build goes by the version it names
    assert script.audit(service, [required], "--no-deps", "--disable-pip") == code


def test_lint_audits() -> None:
    tox = (SCRIPT.parents[1] / "tox.ini").read_text(encoding="utf-8")
    lint = tox.partition("[testenv:lint]")[2].partition("[testenv:")[0]
    assert "python tools{/}audit.py" in lint
