"""Table formats, one module each; a new module here is a new format.

The module declares ``FORMAT``, an instance of ``vtune.dataset.sources.table.TableFormat``. Detection, error texts and
editing follow from it.
"""

from vtune.dataset.sources.table import TableFormat
from vtune.runtime.registry import read_registry

TABLE_FORMATS = read_registry(__name__, "FORMAT", TableFormat)  # type: ignore[type-abstract]
"""Table formats by the name that users read."""
