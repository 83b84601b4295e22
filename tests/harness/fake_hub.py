"""A small Hub over HTTP: the endpoints that huggingface_hub calls to create, fill, look at and download repositories.

Repositories live in memory with all their commits. Large files go the way of Git LFS. What the client asks for and this
Hub does not have is answered with 501 and kept in ``unknown``, so that a test sees it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_a_token_of_the_tests"
USER = "maker"


@dataclass
class Repository:
    """One repository: whether it is private, and the files of each commit, the newest last."""

    private: bool
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    sdk: str | None = None

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1][1]

    def commit(self, files: dict[str, bytes]) -> str:
        digest = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits.append((digest, files))
        return digest

    def at(self, revision: str) -> tuple[str, dict[str, bytes]]:
        if revision == "main":
            return self.commits[-1]
        return next(commit for commit in self.commits if commit[0] == revision)


class FakeHub:
    """The state of the Hub.

    :param lfs: endings of the files that have to be uploaded with Git LFS.
    """

    def __init__(self, lfs: tuple[str, ...] = (".safetensors", ".wav")) -> None:
        self.lfs = lfs
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.unknown: list[str] = []
        self.url = ""
        self.down = False

    def model(self, name: str) -> Repository:
        return self.repositories["model", name]

    def add(self, name: str, files: dict[str, bytes], *, private: bool = False, kind: str = "model") -> Repository:
        repository = self.repositories[kind, name] = Repository(private)
        repository.commit(files)
        return repository


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Answer requests on a free port of this machine inside the ``with`` block."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._route()

    do_POST = do_PUT = do_HEAD = do_GET

    def _route(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        if self.hub.down:
            self._json({"error": "the Hub is down"}, 503)
            return
        for method, pattern, answer in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and self.command in method.split("|"):
                answer(self, body, **match.groupdict())
                return
        self.hub.unknown.append(f"{self.command} {path}")
        self._json({"error": "the fake Hub has no such endpoint"}, 501)

    # answers

    def _json(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._bytes(json.dumps(content).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _bytes(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _error(self, status: int, code: str) -> None:
        self._json({"error": code}, status, {"X-Error-Code": code, "X-Error-Message": code})

    @property
    def may_write(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _found(self, kind: str, name: str) -> Repository | None:
        repository = self.hub.repositories.get((kind.rstrip("s") or "model", name))
        if repository is None or (repository.private and not self.may_write):
            self._error(404 if self.may_write else 401, "RepoNotFound")
            return None
        return repository

    # endpoints

    def whoami(self, body: bytes) -> None:
        if self.may_write:
            self._json({"type": "user", "name": USER, "orgs": [], "auth": {"accessToken": {"role": "write"}}})
        else:
            self._json({"error": "Invalid username or password."}, 401)

    def harnesses(self, body: bytes) -> None:
        self._json({})  # the client asks once which program called it

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        name = f"{asked.get('organization') or USER}/{asked['name']}"
        if not self.may_write or not name.startswith(f"{USER}/"):
            self._json({"error": "You don't have the rights to create a model under this namespace"}, 403)
            return
        kind = asked.get("type", "model")
        if (kind, name) in self.hub.repositories:
            self._json({"error": "You already created this repo"}, 409)
            return
        private = asked.get("visibility") == "private" or asked.get("private") is True
        repository = self.hub.add(name, {".gitattributes": b""}, private=private, kind=kind)
        repository.sdk = asked.get("sdk")
        self._json({"url": f"{self.hub.url}/{name}", "name": name})

    def settings(self, body: bytes, kind: str, name: str) -> None:
        if repository := self._found(kind, name):
            asked = json.loads(body)
            repository.private = asked.get("private", asked.get("visibility") != "public")
            self._json({"private": repository.private})

    def info(self, body: bytes, kind: str, name: str, revision: str = "main") -> None:
        repository = self._found(kind, name)
        if repository is None:
            return
        try:
            commit, files = repository.at(revision)
        except StopIteration:
            self._error(404, "RevisionNotFound")
            return
        siblings = [
            {"rfilename": path, "size": len(content), "blobId": _oid(content)} for path, content in files.items()
        ]
        self._json({"id": name, "modelId": name, "sha": commit, "private": repository.private, "siblings": siblings})

    def tree(self, body: bytes, kind: str, name: str, revision: str) -> None:
        if repository := self._found(kind, name):
            _, files = repository.at(revision)
            self._json([self._entry(path, content) for path, content in files.items()])

    def _entry(self, path: str, content: bytes) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": _oid(content)}
        if path.endswith(self.hub.lfs):
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        return entry

    def validate(self, body: bytes) -> None:
        self._json({"errors": [], "warnings": []})

    def preupload(self, body: bytes, kind: str, name: str, revision: str) -> None:
        if self._found(kind, name):
            files = json.loads(body)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(self.hub.lfs) else "regular",
                 "shouldIgnore": False, "oid": None}
                for f in files
            ]  # fmt: skip
            self._json({"files": modes})

    def lfs_batch(self, body: bytes, kind: str, name: str) -> None:
        objects = [
            {**item, "actions": {"upload": {"href": f"{self.hub.url}/lfs-upload/{item['oid']}"}}}
            for item in json.loads(body)["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def lfs_upload(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.blobs[oid] = body
        self._bytes(b"")

    def commit(self, body: bytes, kind: str, name: str, revision: str) -> None:
        repository = self._found(kind, name)
        if repository is None:
            return
        if not self.may_write:
            self._json({"error": "no"}, 403)
            return
        files = dict(repository.files)
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        commit = repository.commit(files)
        self._json({"success": True, "commitOid": commit, "commitUrl": f"{self.hub.url}/{name}/commit/{commit}"})

    def resolve(self, body: bytes, name: str, revision: str, path: str) -> None:
        repository = self._found("model", name)
        if repository is None:
            return
        commit, files = repository.at(revision)
        if path not in files:
            self._json({}, 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
            return
        content = files[path]
        etag = hashlib.sha256(content).hexdigest() if path.endswith(self.hub.lfs) else _oid(content)
        self._bytes(content, 200, {"X-Repo-Commit": commit, "ETag": f'"{etag}"'})


def _oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


NAME = r"(?P<name>[\w.-]+/[\w.-]+)"
KIND = r"(?P<kind>models|spaces)"

ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("GET", "/api/whoami-v2", _Handler.whoami),
    ("GET", "/api/agent-harnesses", _Handler.harnesses),
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("PUT", f"/api/{KIND}/{NAME}/settings", _Handler.settings),
    ("GET", f"/api/{KIND}/{NAME}", _Handler.info),
    ("GET", f"/api/{KIND}/{NAME}/revision/(?P<revision>[\\w.-]+)", _Handler.info),
    ("GET", f"/api/{KIND}/{NAME}/tree/(?P<revision>[\\w.-]+)", _Handler.tree),
    ("POST", f"/api/{KIND}/{NAME}/preupload/(?P<revision>[\\w.-]+)", _Handler.preupload),
    ("POST", f"/api/{KIND}/{NAME}/commit/(?P<revision>[\\w.-]+)", _Handler.commit),
    ("POST", rf"/(?P<kind>spaces/|){NAME}\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    ("PUT", "/lfs-upload/(?P<oid>[0-9a-f]{64})", _Handler.lfs_upload),
    ("GET|HEAD", f"/{NAME}/resolve/(?P<revision>[\\w.-]+)/(?P<path>.+)", _Handler.resolve),
]
