"""A data set to an adapter: the loop, its guards, its checkpoints; the only user of ``transformers.Trainer``."""

from vtune.training.train import train

__all__ = ["train"]
