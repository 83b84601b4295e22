"""Folders for other software, one module a target; a new module here is a new ``--to``.

The module declares ``TARGET``, a ``vtune.export.target.FolderTarget``. The command's choices, its help and its errors
follow from it.
"""

from vtune.export.target import FolderTarget
from vtune.runtime.registry import read_registry

TARGETS = read_registry(__name__, "TARGET", FolderTarget)
"""Export targets by the name that users write after ``--to``."""
