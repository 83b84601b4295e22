"""What goes to the terminal: results to stdout, progress to stderr, the first rank only."""

from __future__ import annotations

import logging
import os
import sys
import warnings


def configure(*, verbose: bool, quiet: bool) -> None:
    """Set up logging for a command."""
    first = os.environ.get("RANK", "0") == "0"
    level = logging.WARNING if quiet or not first else logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
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
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "0" if sys.stderr.isatty() else "1")
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def steps_of(part: str) -> None:
    """Let one part of vtune tell its steps and the others only what is amiss, unless more was asked for."""
    everything = logging.getLogger("vtune")
    if everything.level == logging.INFO:
        everything.setLevel(logging.WARNING)
        logging.getLogger(part).setLevel(logging.INFO)
