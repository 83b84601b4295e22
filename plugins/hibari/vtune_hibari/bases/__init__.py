"""Published hibari voices, and merged ones, as bases."""

from vtune_hibari.bases.base_files import BaseFiles
from vtune_hibari.bases.base_formats import open_base

__all__ = ["BaseFiles", "open_base"]
