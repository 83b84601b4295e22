"""What goes to the terminal: results to stdout, progress to stderr, the first rank only.

What comes out of a file (a name, a record, an error that quotes one) may hold escapes that a terminal obeys, and line
breaks that would pass for lines of vtune's. So everything goes through here, and is shown, not obeyed.
"""

from __future__ import annotations

import copy
import logging
import os
import sys
import warnings
from typing import Any

import click


def echo(line: str, *, err: bool = False) -> None:
    """Print one line; what a terminal would obey is written as its escape."""
    from vtune.errors import printable

    click.echo(printable(line), err=err)


def echo_text(text: str) -> None:
    """Print a text of several lines whose line breaks are vtune's own, such as JSON."""
    for line in text.removesuffix("\n").split("\n"):
        echo(line)


class Formatter(logging.Formatter):
    """Writes a message with its arguments shown; line breaks of the message itself are obeyed, theirs are not."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        from vtune.errors import printable

        shown = copy.copy(record)
        if isinstance(record.args, tuple):
            shown.args = tuple(map(_shown, record.args))
        elif record.args:
            shown.args = {name: _shown(value) for name, value in record.args.items()}
        shown.msg, shown.args = "\n".join(map(printable, shown.getMessage().split("\n"))), ()
        return super().format(shown)


def _shown(value: Any) -> Any:
    from vtune.errors import printable

    return value if isinstance(value, int | float) else printable(str(value))


def configure(*, verbose: bool, quiet: bool) -> None:
    """Set up logging for a command."""
    first = os.environ.get("RANK", "0") == "0"
    level = logging.WARNING if quiet or not first else logging.DEBUG if verbose else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("vtune").setLevel(level)
    if not verbose:
        # Libraries greet and advise at warning level; a user of vtune can act on none of it.
        for name in (
            "transformers",
            "datasets",
            "accelerate",
            "peft",
            "httpx",
            "torch.distributed",
            "huggingface_hub",
        ):
            logging.getLogger(name).setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers|peft")
        # Told in torch's name. transformers before 5.2x knows the argument by no other.
        warnings.filterwarnings("ignore", "`past_key_values` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="resemblyzer")
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
        # When a rank is gone, torch would print a C++ stack for each attempt to reach it.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "0" if sys.stderr.isatty() else "1")
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def steps_of(part: str) -> None:
    """Let one part of vtune tell its steps and the others only what is amiss, unless more was asked for."""
    everything = logging.getLogger("vtune")
    if everything.level == logging.INFO:
        everything.setLevel(logging.WARNING)
        logging.getLogger(part).setLevel(logging.INFO)
