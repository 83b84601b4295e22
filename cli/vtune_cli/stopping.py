"""How a verb ends that a signal has stopped: with one line that says how to go on, and a code for schedulers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from vtune_cli.talking import echo

# These verbs find what an earlier call has done, and go on there.
GOING_ON = frozenset({"run", "train", "tune", "prepare", "transcribe"})

# These begin again, and are worth it.
BEGINNING_AGAIN = frozenset({"doctor", "evaluate", "compare", "merge", "mix", "export"})

# These are over soon, and end without a word as any command does.
SHORT = frozenset({"say", "plan", "voices", "recipe", "engines"})


def stoppable(verb: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the function of a verb so that signals stop it; servers have handlers of their own."""
    if verb not in GOING_ON | BEGINNING_AGAIN | SHORT:
        return function

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        # Not before: `vtune run --help` imports nothing of vtune's.
        from vtune.runtime import signals
        from vtune.runtime.distributed import ranks

        with signals.handled():
            ranks.follow_launcher()
            try:
                return function(*arguments, **named)
            except signals.Stopped as stopped:
                if verb in SHORT:
                    signals.end_by(stopped.signum)
                if ranks.is_main_process():
                    how = "run the same command to go on" if verb in GOING_ON else "run the same command again"
                    echo(f"{stopped}; {how}", err=True)
                raise SystemExit(signals.EXIT_UNFINISHED) from None

    return call
