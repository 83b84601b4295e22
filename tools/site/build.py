"""Build the site: ``python tools/site/build.py``; ends with 1 if a page, a link or an anchor is wrong."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path

import links
import llms
import yaml
from pages import ROOT, gather

os.environ["NO_MKDOCS_2_WARNING"] = "1"


def main() -> int:
    """Build the site into the folder that is named, or into build/site."""
    site = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "site").resolve()
    problems = build(site)
    for line in problems:
        print(line, file=sys.stderr)
    print(f"{site}/index.html; {len(links.external(site))} links lead elsewhere and were not followed")
    return 1 if problems else 0


def build(site: Path) -> list[str]:
    """Build the site and return what is wrong with it, one line each."""
    from mkdocs.commands.build import build as build_pages
    from mkdocs.config import load_config

    warnings = _Warnings()
    logging.getLogger("mkdocs").addHandler(warnings)
    with tempfile.TemporaryDirectory() as folder:
        pages = Path(folder) / "pages"
        gather(pages)
        try:
            config = load_config(str(ROOT / "mkdocs.yml"), docs_dir=str(pages), site_dir=str(site), strict=False)
            config.mdx_configs["toc"]["slugify"] = anchor
            build_pages(config)
        finally:
            logging.getLogger("mkdocs").removeHandler(warnings)
        llms.write(site, pages, yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    return [*warnings.lines, *links.problems(site)]


def anchor(heading: str, separator: str) -> str:
    """Return the anchor of a heading as GitHub makes it, so that a link works there and here."""
    letters = "".join(letter for letter in heading.strip().lower() if letter.isalnum() or letter in "_- ")
    return letters.replace(" ", separator)


class _Warnings(logging.Handler):
    """Keeps the lines that MkDocs warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


if __name__ == "__main__":
    sys.exit(main())
