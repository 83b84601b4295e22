"""``vtune engine check``."""

from __future__ import annotations

import click


@click.command()
@click.argument("name")
def check(name: str) -> None:
    """Check that the engine NAME keeps the contract."""
    import tempfile
    from pathlib import Path

    from vtune.testing import check_engine

    with tempfile.TemporaryDirectory() as folder:
        check_engine(name, {}, Path(folder))
