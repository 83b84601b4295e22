"""Trace hook calls: with ``VTUNE_TRACE_HOOKS=1`` each call is one line on stderr, in worker processes too.

A line has the milliseconds, the plugin, the hook with its arguments in short (shapes instead of numbers), and the
result in short. Without the variable no function is wrapped, so calls cost nothing more.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pluggy

from vtune.errors import printable, reason, shown
from vtune.types import Audio, Clip, Conditioning

TRACE_VARIABLE = "VTUNE_TRACE_HOOKS"

MAX_SHOWN_ITEMS = 6
"""Items of a list or a mapping that a line shows."""

MAX_DEPTH = 3
"""Levels of lists inside lists that a line shows."""


def is_traced() -> bool:
    """Whether the environment asks for a trace."""
    return os.environ.get(TRACE_VARIABLE, "0") not in ("", "0")


def trace(manager: pluggy.PluginManager, plugin: object) -> None:
    """Wrap every hook of a registered plugin, so that each call writes a line; do nothing without the variable."""
    if not is_traced():
        return
    for caller in manager.get_hookcallers(plugin) or []:
        for implementation in caller.get_hookimpls():
            if implementation.plugin is plugin:
                implementation.function = _traced(implementation, caller.name)  # type: ignore[misc] # pluggy says final


def _traced(implementation: pluggy.HookImpl, hook: str) -> Callable[..., Any]:
    function: Callable[..., Any] = implementation.function
    names = implementation.argnames
    is_wrapper = implementation.wrapper or implementation.hookwrapper
    title = f"{implementation.plugin_name}: {'wrapper of ' if is_wrapper else ''}{hook}"

    def call_of(arguments: Sequence[Any]) -> str:
        return f"{title}({', '.join(f'{name}={brief(value)}' for name, value in zip(names, arguments, strict=True))})"

    def call(*arguments: Any) -> Any:
        started = time.perf_counter()
        try:
            result = function(*arguments)
        except BaseException as error:
            _write(started, f"{call_of(arguments)} raised {reason(error)}")
            raise
        if isinstance(result, Iterator):
            return _traced_pieces(result, call_of(arguments), started)
        _write(started, f"{call_of(arguments)} -> {brief(result)}")
        return result

    def wrap(*arguments: Any) -> Any:
        started = time.perf_counter()
        try:
            result = yield from function(*arguments)
        except BaseException as error:
            _write(started, f"{call_of(arguments)} raised {reason(error)}")
            raise
        _write(started, f"{call_of(arguments)} -> {brief(result)}")
        return result

    return wrap if is_wrapper else call


def _traced_pieces(pieces: Iterator[Any], call: str, started: float) -> Iterator[Any]:
    """Yield the items of an iterator, and write the line when the last is taken; the time is that of the iterator."""
    count, last, seconds = 0, None, time.perf_counter() - started
    try:
        while True:
            began = time.perf_counter()
            try:
                last = next(pieces)
            except StopIteration:
                break
            finally:
                seconds += time.perf_counter() - began
            count += 1
            yield last
    except BaseException as error:
        ended = "was left" if isinstance(error, GeneratorExit) else f"raised {reason(error)}"
        _write(time.perf_counter() - seconds, f"{call} {ended} after {count} items")
        raise
    _write(time.perf_counter() - seconds, f"{call} -> {count} items, the last {brief(last)}")


def _write(started: float, line: str) -> None:
    milliseconds = 1000 * (time.perf_counter() - started)
    print(f"hook [{os.getpid()}] {milliseconds:9.2f} ms  {printable(line)}", file=sys.stderr, flush=True)


def brief(value: Any, depth: int = 0) -> str:
    """Write a value in short: ``float32[2, 80]`` for an array, the seconds of a sound, the names of a mapping."""
    if isinstance(value, Audio):
        ending = "" if value.ending is None else f", {value.ending}"
        return f"Audio({len(value.waveform) / value.sample_rate:.2f} s at {value.sample_rate} Hz{ending})"
    if isinstance(value, Clip):
        return f"Clip({shown(value.id)}, {value.seconds:.2f} s at {value.sample_rate} Hz)"
    if isinstance(value, Conditioning):
        return f"Conditioning({brief({**value.tensors, **value.strings}, depth + 1)})"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if value is None or isinstance(value, bool | int | float | str | os.PathLike):
        return shown(value)
    if depth < MAX_DEPTH and isinstance(value, Mapping):
        items = [f"{name}: {brief(item, depth + 1)}" for name, item in list(value.items())[:MAX_SHOWN_ITEMS]]
        return f"{{{', '.join(items)}{_more(value)}}}"
    if depth < MAX_DEPTH and isinstance(value, list | tuple):
        return f"[{', '.join(brief(item, depth + 1) for item in value[:MAX_SHOWN_ITEMS])}{_more(value)}]"
    return type(value).__name__


def _more(items: Mapping[Any, Any] | Sequence[Any]) -> str:
    return f", and {len(items) - MAX_SHOWN_ITEMS} more" if len(items) > MAX_SHOWN_ITEMS else ""
