"""Train an adapter on a data set, with guards and checkpoints; the only user of ``transformers.Trainer``."""

from vtune.training.train import TrainingJob, train

__all__ = ["TrainingJob", "train"]
