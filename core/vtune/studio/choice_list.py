"""Ask another process what a voice can be made with, so that the page has each answer as soon as it is known.

The process imports torch and every engine, which may be a stranger's; the studio imports neither.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from vtune.runtime.web_answer import ask_web

HUB_SECONDS = 3.0
"""Without an answer of the Hub in this time, bases that are not on this machine are not asked for: each file of each
of them would be tried for half a minute."""

PROGRAM = [sys.executable, "-P", "-m", "vtune.studio.choices"]


class ChoiceList:
    """Knows what a voice can be made with; asks when the page does so for the first time.

    :param folder: the folder in which the process runs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None
        self._choices: list[dict[str, Any]] = []
        self._problem: str | None = None
        self._complete = False

    def data(self) -> dict[str, Any]:
        """Return the choices that are known so far, and whether these are all."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._ask, daemon=True)
                self._thread.start()
            return {"choices": list(self._choices), "complete": self._complete, "problem": self._problem}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
        if self._thread is not None:
            self._thread.join(5)

    def _ask(self) -> None:
        environment = {**os.environ, **({} if hub_answers() else {"HF_HUB_OFFLINE": "1"})}
        self._process = subprocess.Popen(
            PROGRAM, cwd=self._folder, env=environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with suppress(ValueError), self._lock:  # a library may print too
                choice = json.loads(line)
                if isinstance(choice, dict) and "engine" in choice:
                    self._choices.append(choice)
        code = self._process.wait()
        with self._lock:
            self._complete = True
            self._problem = f"the list is not complete: its process ended with code {code}" if code else None


def hub_answers() -> bool:
    """Tell whether the Hub can be reached, with any answer."""
    return ask_web(os.environ.get("HF_ENDPOINT", "https://huggingface.co"), seconds=HUB_SECONDS).status > 0
