"""The command line: one verb a module, no logic."""

from vtune_cli.main import main

__all__ = ["main"]
