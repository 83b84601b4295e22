"""Write a new engine: a complete distribution that installs, passes its tests and trains."""

from vtune.scaffold.new_engine import templates, write_engine

__all__ = ["templates", "write_engine"]
