"""What stands in for the program ``vllm``: processes of its own, and files beside it that say how it behaves.

refuse: it ends before it serves; slow: it never serves; stubborn: it takes no SIGTERM; deaf: /health never answers. It
writes ``told.json`` (arguments and environment) and a line of ``starts`` for each start: its own process, a child, and
a grandchild in a session of its own.
"""

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

here = Path(sys.argv[0]).parent
told = sys.argv[1:]
secret = os.environ["VLLM_API_KEY"]
(here / "told.json").write_text(json.dumps([told, dict(os.environ)]))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        while (here / "deaf").exists():
            time.sleep(0.05)
        is_known = self.path == "/health" or self.headers["Authorization"] == f"Bearer {secret}"
        model = {"id": told[1], "root": told[1], "parent": None}
        self.send_response(200 if is_known else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [model]}).encode())

    def log_message(self, *message: object) -> None: ...


def sleeping() -> str:
    """Fork a process that only SIGKILL ends; return its pid and the pid of its child."""
    reading, writing = os.pipe()
    if not os.fork():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = os.fork()
        if not child:
            os.setsid()
            time.sleep(300)
            os._exit(0)
        os.write(writing, f"{os.getpid()} {child}".encode())
        time.sleep(300)
        os._exit(0)
    return os.read(reading, 100).decode()


if (here / "stubborn").exists():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
pids = f"{os.getpid()} {sleeping()}\n"
with (here / "starts").open("a") as starts:
    starts.write(pids)
if (here / "refuse").exists():
    os._exit(3)
if (here / "slow").exists():
    time.sleep(300)
ThreadingHTTPServer(("127.0.0.1", int(told[told.index("--port") + 1])), Handler).serve_forever()
