"""Check the links of the built site: every page, file and anchor exists, and nothing is loaded from elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "audio": "src"}
_MARKDOWN = re.compile(r"```|^\s*\|.*\|\s*$|\]\([^)\s]+\)|^\s{0,3}[-*] \w|\*\*\w[^*\n]*\*\*", re.MULTILINE)


@dataclass
class Page:
    """What one page links to, loads, and offers as anchors, and what of it is Markdown that was not understood."""

    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    raw: list[str] = field(default_factory=list)


class _LinkReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._code = 0
        self._article = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.page.anchors.add(values["id"])
        if tag == "a" and "href" in values:
            self.page.links.append(values["href"])
        rel = values.get("rel", "")
        if tag in _LOADED and _LOADED[tag] in values and rel not in {"prev", "next", "canonical"}:
            self.page.loaded.append(values[_LOADED[tag]])
        self._code += tag in {"code", "pre", "script", "style"}
        self._article |= tag == "article"

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in {"code", "pre", "script", "style"}
        self._article &= tag != "article"

    def handle_data(self, data: str) -> None:
        if self._article and not self._code and (match := _MARKDOWN.search(data)):
            self.page.raw.append(match[0].strip())


def read_page(path: Path) -> Page:
    """Read one HTML file."""
    reader = _LinkReader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page


def problems(site: Path) -> list[str]:
    """Return what is wrong with the links of a site, one line each; nothing if all is well."""
    pages = {path.relative_to(site).as_posix(): read_page(path) for path in sorted(site.rglob("*.html"))}
    return [f"{name}: {line}" for name, page in pages.items() for line in _problems(site, pages, name, page)]


def _problems(site: Path, pages: dict[str, Page], name: str, page: Page) -> Iterator[str]:
    for target in dict.fromkeys(page.loaded):
        if urlsplit(target).scheme or target.startswith("//"):
            yield f"{target} is loaded from elsewhere; the site must work without a network"
        elif not _file(site, name, target).is_file():
            yield f"{target} is loaded, but there is no such file"
    for link in dict.fromkeys(page.links):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        path = _file(site, name, link) if parts.path else site / name
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file():
            yield f"the link {link} leads to no file"
        elif parts.fragment and path.suffix == ".html":
            anchors = pages[path.relative_to(site).as_posix()].anchors
            if unquote(parts.fragment) not in anchors | {"__top"}:
                yield f"the link {link} leads to no heading"
    for text in dict.fromkeys(page.raw):
        yield f"Markdown was not understood near {text!r}"


def _file(site: Path, name: str, link: str) -> Path:
    path = unquote(urlsplit(link).path)
    if path.startswith("/"):
        return site / path.lstrip("/")
    return site / os.path.normpath(os.path.join(os.path.dirname(name), path))


def external(site: Path) -> list[str]:
    """Return the addresses outside the site that its pages link to, for a check where there is a network."""
    links = {link for path in site.rglob("*.html") for link in read_page(path).links}
    return sorted(link for link in links if urlsplit(link).scheme in {"http", "https"})
