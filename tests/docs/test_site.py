"""The site: every page is built, every link has a target, and nothing is loaded from another host."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import links
import llms
import pytest
import yaml
from build import anchor, build
from fences import blocks, without_marks
from pages import ROOT, python_markdown, with_site_links

pytestmark = pytest.mark.xdist_group("site")  # one process builds it, once

CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    site = tmp_path_factory.mktemp("site") / "site"
    return site, build(site)


def test_the_site_is_built_without_a_warning_and_without_a_broken_link(built: tuple[Path, list[str]]) -> None:
    site, problems = built
    assert problems == []
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    pages = {page.with_name("index.html") if page.name == "README.html" else page for page in pages}
    assert {page for page in pages if not (site / page).is_file()} == set()


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ("<a href='gone.html'>x</a>", "the link gone.html leads to no file"),
        ("<a href='page.html#gone'>x</a>", "the link page.html#gone leads to no heading"),
        ("<a href='#gone'>x</a>", "the link #gone leads to no heading"),
        ("<script src='https://cdn.example/x.js'></script>", "https://cdn.example/x.js is loaded from elsewhere"),
        ("<link rel='stylesheet' href='//fonts.example/x.css'>", "//fonts.example/x.css is loaded from elsewhere"),
        ("<img src='gone.png'>", "gone.png is loaded, but there is no such file"),
        ("<article><p>Three things: **first**</p></article>", "Markdown was not understood near '**first**'"),
        ("<article><p>See [this](x.md)</p></article>", "Markdown was not understood near '](x.md)'"),
        ("<article><p>Text\n- first\n- second</p></article>", "Markdown was not understood near '- f'"),
        ("<article><p>| a | b |\n|---|---|</p></article>", "Markdown was not understood near '| a | b |'"),
        ("<article><p>```sh</p></article>", "Markdown was not understood near '```'"),
    ],
)
def test_the_check_of_links_finds(tmp_path: Path, html: str, problem: str) -> None:
    page = "<h1 id='here'>Title</h1><a href='page.html#here'>x</a><a href='https://example.org/x'>elsewhere</a>"
    (tmp_path / "page.html").write_text(page)
    assert links.problems(tmp_path) == []
    assert links.external(tmp_path) == ["https://example.org/x"]
    (tmp_path / "page.html").write_text(page + html)
    (line,) = links.problems(tmp_path)
    assert line.startswith(f"page.html: {problem}")


def test_no_reader_sees_the_marks_of_the_tests(built: tuple[Path, list[str]]) -> None:
    marked = [path for path in (ROOT / "docs").rglob("*.md") if 'parsed="' in path.read_text(encoding="utf-8")]
    assert marked
    assert [path for path in built[0].rglob("*.html") if 'parsed="' in path.read_text(encoding="utf-8")] == []
    assert without_marks('  ```sh parsed="needs a GPU"') == "  ```sh"


@pytest.mark.parametrize("mark", ["skip", 'parsed=""', "parsed=later"])
def test_a_mark_gives_its_reason(mark: str) -> None:
    with pytest.raises(ValueError, match="is not a mark"):
        list(blocks(f"```sh {mark}\nvtune voices\n```\n"))


def test_lists_are_written_as_python_markdown_reads_them() -> None:
    written = "Things:\n- one\n  - two\n    more of two\n\n  of one\n\n1. first\n   ```sh\n   ls -l\n   ```\n\nafter\n"
    read = "Things:\n\n- one\n    - two\n        more of two\n\n    of one\n\n1. first\n"
    read += "    ```sh\n    ls -l\n    ```\n\nafter\n"
    assert python_markdown(written) == read


def test_a_bar_in_the_code_of_a_table_is_shown_without_a_backslash(built: tuple[Path, list[str]]) -> None:
    assert python_markdown("| `a\\|b` | c\\|d |\n") == "| `a|b` | c\\|d |\n"
    assert "<code>--backend in-process|vllm|URL</code></td>" in (built[0] / "how-to/serve.html").read_text("utf-8")


def test_links_lead_to_pages_of_the_site_and_files_are_named() -> None:
    code = "```md\n[d](../../tools/audit.py)\n```\n"
    text = "[a](../../benchmarks/README.md#x) [b](../../tools/audit.py) [c](recipe.md)\n"
    read = "[a](../project/benchmarks.md#x) b (`tools/audit.py`) [c](recipe.md)\n"
    assert with_site_links(text + code, "docs/reference/api.md") == read + code


def test_anchors_are_those_of_github() -> None:
    assert anchor("Serving (`serving.py`): 1 - 2", "-") == "serving-servingpy-1---2"


def test_language_models_find_every_page(built: tuple[Path, list[str]]) -> None:
    """llmstxt.org asks for a title, a summary in a quote, and lists of links with notes under second headings."""
    site, _ = built
    lines = (site / "llms.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# vtune"
    assert lines[2] == f"> {CONFIG['site_description']}"
    assert not [line for line in lines if re.match("#{3,}", line)]
    headings = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert headings == [*(title for entry in CONFIG["nav"] for title in entry if title != "Project"), "Optional"]
    below = lines[lines.index(f"## {headings[0]}") :]
    entries = [re.fullmatch(r"- \[(.+)\]\((.+\.md)\): (\S.+)", line) for line in below if line and line[0] != "#"]
    assert None not in entries
    pages = [match[2] for match in entries if match]
    assert pages == [page for _, part in llms.sections(CONFIG["nav"]) for _, page in part]
    all_pages = (site / "llms-full.txt").read_text(encoding="utf-8")
    for page in pages:
        text = (site / page).read_text(encoding="utf-8")
        assert text.startswith(("# ", "---")), page
        assert text.strip() in all_pages, page


def test_the_first_sentence_of_a_page_says_what_it_is_about() -> None:
    page = "# Mix\n\n<!-- Written by a tool. -->\n\n```sh\nvtune mix\n```\n\nA mix [is](x.md) a\nvoice. It has parts.\n"
    assert llms.first_sentence(page) == "A mix is a voice."


def test_no_page_is_wider_than_a_telephone(built: tuple[Path, list[str]], browser: Any) -> None:
    # Without scripts, which take two thirds of the time.
    page = browser.new_page(offline=True, java_script_enabled=False, viewport={"width": 390, "height": 844})
    wide = []
    for path in sorted(built[0].rglob("*.html")):
        if path.parent.name == "decisions":
            continue
        page.goto(path.as_uri())
        if page.evaluate("document.documentElement.scrollWidth") > 390:
            wide.append(path.name)
    page.close()
    assert wide == []


def test_the_search_works_from_a_folder_of_files(built: tuple[Path, list[str]], browser: Any) -> None:
    page = browser.new_page(offline=True)
    refused: list[str] = []
    page.on("requestfailed", lambda request: refused.append(request.url))
    page.goto((built[0] / "how-to" / "tune.html").as_uri())
    page.locator("input.md-search__input").focus()
    page.locator(".md-search-result__meta", has_text="Type to start searching").wait_for(state="attached")
    page.locator("input.md-search__input").press_sequentially("runaway_rate")
    result = page.locator(".md-search-result__item a").first
    result.wait_for(state="attached")
    assert result.get_attribute("href").startswith((built[0] / "explanation" / "evaluate.html").as_uri())
    page.close()
    assert refused == []
