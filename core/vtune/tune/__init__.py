"""A recipe tried with many settings over the same clips, and the best of them named."""

from vtune.tune.space import Space, check_space, read_space

__all__ = ["Space", "check_space", "read_space"]
