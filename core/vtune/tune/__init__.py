"""Search for the settings of a recipe whose voice scores best on the same clips."""

from vtune.tune.space import Space, check_space, read_space

__all__ = ["Space", "check_space", "read_space"]
