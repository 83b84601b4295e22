"""End a verb after a signal: print one line that says how to resume, and exit with a code for schedulers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from vtune_cli.output import echo

# These verbs find what an earlier call has done and continue there.
RESUMING_VERBS = frozenset({"run", "train", "tune", "prepare", "transcribe"})

# These verbs start again from the beginning.
RESTARTING_VERBS = frozenset({"check", "doctor", "evaluate", "compare", "merge", "mix", "import", "export"})

# These verbs take a moment and end without a message, as any command does.
SHORT_VERBS = frozenset({"say", "convert", "plan", "voices", "recipe", "engines", "engine", "plugins"})


def stoppable(verb: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the function of a verb so that signals stop it at a safe point; servers have their own handlers."""
    if verb not in RESUMING_VERBS | RESTARTING_VERBS | SHORT_VERBS:
        return function

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        # Imported here, because `vtune run --help` must import nothing of vtune.
        from vtune.runtime import signals
        from vtune.runtime.distributed import ranks

        with signals.handled():
            ranks.follow_launcher()
            try:
                return function(*arguments, **named)
            except signals.Stopped as stopped:
                if verb in SHORT_VERBS:
                    signals.end_by(stopped.signum)
                if ranks.is_main_process():
                    how = "run the same command to resume" if verb in RESUMING_VERBS else "run the same command again"
                    echo(f"{stopped}; {how}", err=True)
                raise SystemExit(signals.EXIT_UNFINISHED) from None

    return call
