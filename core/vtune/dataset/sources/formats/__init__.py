"""Table formats, one module each; a new module here is a new format.

The module declares ``FORMAT``, an instance of ``vtune.dataset.sources.table.TableFormat``. Detection, error texts and
editing follow from it. Extensions add formats by the hook ``table_formats``.
"""

from functools import cache

from vtune.contract.tables import TableReader
from vtune.dataset.sources.reader_table import ReaderFormat
from vtune.dataset.sources.table import TableFormat
from vtune.engines.contributions import Contribution, extension_contributions, joined
from vtune.runtime.registry import read_registry

TABLE_FORMATS = read_registry(__name__, "FORMAT", TableFormat)  # type: ignore[type-abstract]
"""vtune's own table formats by the name that users read."""


def table_formats() -> dict[str, TableFormat]:
    """Return every table format by name. :raises EngineError: an extension is broken, or two have one name."""
    added = extension_contributions("table_formats", TableReader)
    formats: list[Contribution[TableFormat]] = [
        Contribution(item.owner, _reader_format(item.entry, item.owner)) for item in added
    ]
    return joined(TABLE_FORMATS, formats, "table_formats")


@cache  # a format is the same object whenever it is asked for, as vtune's own are
def _reader_format(reader: TableReader, owner: str) -> ReaderFormat:
    return ReaderFormat(reader, owner)
