"""Write ``llms.txt`` and ``llms-full.txt``, the pages for language models, by the convention of llmstxt.org."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

OPTIONAL = "Project"
"""The part of the navigation that a reader in a hurry may leave out."""


def write(site: Path, pages: Path, config: Mapping[str, Any]) -> None:
    """Write both files, and each page as Markdown beside its HTML."""
    parts = [f"# {config['site_name']}", f"> {config['site_description']}", _introduction(pages / "index.md")]
    documents = []
    for title, navigation in sections(config["nav"]):
        entries = []
        for name, page in navigation:
            text = (pages / page).read_text(encoding="utf-8")
            (site / page).write_text(text, encoding="utf-8")
            entries.append(f"- [{name}]({page}): {first_sentence(text)}")
            documents.append(f"<!-- {page} -->\n\n{text.strip()}")
        parts.append(f"## {'Optional' if title == OPTIONAL else title}\n\n" + "\n".join(entries))
    (site / "llms.txt").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    (site / "llms-full.txt").write_text("\n\n".join(documents) + "\n", encoding="utf-8")


def sections(navigation: Any) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield each part of the navigation: its title, and the name and file of each page in it."""
    for entry in navigation:
        ((title, below),) = entry.items()
        yield (title, list(_pages(below, title)))


def _pages(navigation: Any, title: str) -> Iterator[tuple[str, str]]:
    if isinstance(navigation, str):
        yield title, navigation
        return
    for entry in navigation:
        ((name, below),) = entry.items() if isinstance(entry, dict) else ((title, entry),)
        yield from _pages(below, name)


def first_sentence(page: str) -> str:
    """Return the first sentence of a page below its title, in one line and without links.

    Example::

        "# Mix\\n\\nA mix [is](x.md) a voice. It ..." gives "A mix is a voice."
    """
    text = re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL).partition("\n")[2]
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", text)]
    prose = next((part for part in paragraphs if part and not re.match(r"[#|`<>!-]", part)), "")
    line = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(prose.split()))
    return re.split(r"(?<=[.:!?]) (?=[A-Z`*])", line)[0].rstrip(":")


def _introduction(home: Path) -> str:
    paragraphs = home.read_text(encoding="utf-8").partition("\n")[2].split("\n\n")
    return next(" ".join(part.split()) for part in paragraphs if part.strip())
