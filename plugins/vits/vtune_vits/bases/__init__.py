"""Published VITS voices as bases: Piper's ONNX pairs and checkpoints, and models of transformers."""

from vtune_vits.bases.base_files import BaseFiles, BaseText
from vtune_vits.bases.base_formats import open_base

__all__ = ["BaseFiles", "BaseText", "open_base"]
