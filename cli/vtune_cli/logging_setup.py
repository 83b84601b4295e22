"""Set up logging for a command: progress goes to stderr, from the main process only."""

from __future__ import annotations

import copy
import logging
import os
import sys
import warnings
from typing import Any


class Formatter(logging.Formatter):
    """Writes a message; control characters in its arguments become escapes, as ``vtune_cli.output`` prints them.

    Line breaks of the message itself stay line breaks, those of its arguments do not.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a log record."""
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
    is_main = os.environ.get("RANK", "0") == "0"  # not by ranks.is_main_process: help texts import nothing of vtune
    level = logging.WARNING if quiet or not is_main else logging.DEBUG if verbose else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("vtune").setLevel(level)
    if not verbose:
        # Libraries greet and advise at warning level; a user of vtune can do nothing about it.
        for name in (
            "transformers",
            "accelerate",
            "peft",
            "httpx",
            "httpx2",
            "torch.distributed",
            "huggingface_hub",
        ):
            logging.getLogger(name).setLevel(logging.ERROR)
        # An error that this library logs is raised as well, and vtune tells it then. The library sets its level when it
        # is imported, by the variable.
        logging.getLogger("datasets").setLevel(logging.CRITICAL)
        os.environ.setdefault("DATASETS_VERBOSITY", "critical")
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers|peft")
        # The warning comes in torch's name; transformers before 5.2x knows the argument by no other name.
        warnings.filterwarnings("ignore", "`past_key_values` is deprecated", FutureWarning)
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
        # The Hub's library sets its own level at import; without a network it would report each attempt, twice.
        os.environ.setdefault("HF_HUB_VERBOSITY", "error")
        # When a rank is gone, torch would print a C++ stack for each attempt to reach it.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "0" if sys.stderr.isatty() else "1")
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def log_only(*parts: str) -> None:
    """Let some parts of vtune log their steps and all others only warnings, unless the user asked for more or less.

    :param parts: names of loggers, such as ``vtune.tune``.
    """
    everything = logging.getLogger("vtune")
    if everything.level == logging.INFO:
        everything.setLevel(logging.WARNING)
        for part in parts:
            logging.getLogger(part).setLevel(logging.INFO)
