"""Run one part in a process of its own: what ends that process, and what takes too long, is one row of the table.

Processes are forked from a server that has imported everything and has never touched a GPU, so a part does not wait for
imports. Where processes cannot be forked, each imports everything.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpu_parts.parts import NotRunError, Part, Settings

PRELOADED = ("gpu_parts.orpheus_training", "gpu_parts.voice_checks", "indextts2_gate", "indextts2_training")
"""What the server imports; none of it may touch a GPU, because a GPU cannot be used on both sides of a fork."""

MAX_REASON_CHARACTERS = 200
SPOILED = 77
"""Exit code of a process that cannot use a GPU, because an import in the server has touched it."""

_folder = str(Path(__file__).parents[1])
_methods = [name for name in ("forkserver", "spawn") if name in multiprocessing.get_all_start_methods()]
"""Ways to start a process, the fastest first; one that does not work here is removed."""


def function_of(part: Part) -> Callable[..., dict[str, Any]]:
    """Import the function that measures a part."""
    module, _, name = part.function.partition(":")
    function: Callable[..., dict[str, Any]] = getattr(importlib.import_module(module), name)
    return function


def run_here(part: Part, settings: Settings) -> dict[str, Any]:
    """Measure a part in this process; a failure is a result too."""
    if part.gpu_only and settings.device == "cpu":
        return {"status": "not run", "reason": "on a CPU, other tests do this"}
    began = time.monotonic()
    try:
        figures = function_of(part)(settings, **part.arguments)
    except NotRunError as reason:
        return {"status": "not run", "reason": str(reason)}
    except ModuleNotFoundError as error:  # a name that a module lacks is a fault
        return {"status": "not run", "reason": f"a library is missing: {error}"}
    except Exception as error:  # whatever a library raises
        traceback.print_exc()
        if is_out_of_memory(error):
            return {"status": "not run", "reason": "out of memory"}
        return {"status": "failed", "reason": in_one_line(f"{type(error).__name__}: {error}")}
    return {"status": "done", "took": round(time.monotonic() - began, 1), **figures}


def run_isolated(part: Part, settings: Settings, limit: float, log: Path) -> dict[str, Any]:
    """Measure a part in a process of its own.

    :param limit: seconds after which the process is killed.
    :param log: gets what the process prints.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        process = _started(part, settings, answer, log)
        process.join(limit)
        if process.is_alive():
            process.kill()
            process.join()
            return {"status": "not run", "reason": f"it took longer than {limit:.0f} s"}
        if process.exitcode == SPOILED and len(_methods) > 1:
            del _methods[0]
            return run_isolated(part, settings, limit, log)
        if not answer.is_file():
            ending = f"the process ended with {process.exitcode}; {_last(log)}"
            return {"status": "failed", "reason": in_one_line(ending)}
        result: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return result


def _started(part: Part, settings: Settings, answer: Path, log: Path) -> Any:
    context: Any = multiprocessing.get_context(_methods[0])
    if _methods[0] == "forkserver":
        context.set_forkserver_preload(list(PRELOADED))
    process = context.Process(target=_child, args=(part, settings, answer, log))
    before = dict(os.environ)
    # The server looks for modules there only; and torch asks the driver, and not CUDA, whether there is a GPU.
    os.environ["PYTHONPATH"] = os.pathsep.join([_folder, *filter(None, [before.get("PYTHONPATH")])])
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    try:
        process.start()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return process


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory ran out."""
    from vtune.runtime.device import is_out_of_memory as recognised

    causes: list[BaseException] = []
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__  # type: ignore[assignment] # None ends the loop
    return any(recognised(cause) or "out of memory" in str(cause) for cause in causes)


def in_one_line(text: str) -> str:
    """Return a text as the cell of a table."""
    line = " ".join(text.replace("|", "/").split())
    return line if len(line) <= MAX_REASON_CHARACTERS else f"{line[:MAX_REASON_CHARACTERS]}..."


def _child(part: Part, settings: Settings, answer: Path, log: Path) -> None:
    with log.open("w", encoding="utf-8") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        if settings.device == "cuda" and _is_spoiled():
            os._exit(SPOILED)
        result = run_here(part, settings)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    part_file = answer.with_suffix(".part")
    part_file.write_text(json.dumps(result), encoding="utf-8")
    part_file.rename(answer)


def _is_spoiled() -> bool:
    import torch

    return bool(torch.cuda._is_in_bad_fork())


def _last(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.is_file() else []
    return lines[-1] if lines else "it printed nothing"
