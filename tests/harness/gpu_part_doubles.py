"""Parts of the benchmark for GPUs that take too long, die, or need another way to be started."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any


def sleep(settings: Any) -> dict[str, Any]:
    """Take a minute."""
    time.sleep(60)
    return {}


def die(settings: Any) -> dict[str, Any]:
    """Be killed, as by a kernel that needs memory."""
    os.write(1, b"I am about to die\n")
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def begin_twice(settings: Any, marker: str) -> dict[str, Any]:
    """End as a process that cannot use the GPU, and work at the second time."""
    if not Path(marker).exists():
        Path(marker).touch()
        os._exit(77)
    return {"worked": True}
