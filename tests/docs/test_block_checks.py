"""A page that names something that does not exist, or shows something that does not work, is reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_blocks import failures, looks_alike, vtune_commands
from page_world import World, write_clips


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ('```sh parsed="needs a GPU"\nvtune run jane.yaml --lunch 2\n```', "--lunch"),
        ('```sh parsed="needs a GPU"\nsrun vtune rum jane.yaml\n```', "There is no verb 'rum'"),
        ('```sh parsed="needs a GPU"\nx -m vtune_cli serve --port many\n```', "'many' is not a valid integer"),
        ('```sh parsed="needs a GPU"\nif true; then\n```', "bash cannot read it"),
        ('```sh parsed="needs a voice of Orpheus"\nvtune say jane Hi --set gone=1\n```', "unknown key 'gone'"),
        ('```sh parsed="needs a voice of Orpheus"\nvtune say jane Hi --set temperature=hot\n```', "temperature"),
        ('```sh parsed="needs a voice of Orpheus"\nvtune run jane.yaml train.epoch=1\n```', "epoch"),
        ("```sh\npython tools/gone.py\n```", "there is no such script"),
        ("```sh\npython tools/fetch_whisper.py --gone\n```", "has no option --gone"),
        ("```sh\npip install -e '.[gone]'\n```", "there is no extra 'gone'"),
        ("```sh\npip install --group gone\n```", "there is no dependency group 'gone'"),
        ("```sh\ntox -e gone\n```", "there is no environment 'gone'"),
        ("```sh\npytest tests/test_gone.py::test_it\n```", "there is no tests/test_gone.py"),
        ("```sh\ncurl localhost:8000/v1/audio/song\n```", "the server has no /v1/audio/song"),
        ("```sh\nno-such-program\n```", "ends with 127"),
        ("```python\nvtune.gone()\n```", "has no attribute 'gone'"),
        ("```yaml\ntrain: {epoch: 3}\n```", "unknown key 'epoch'"),
        ("```yaml\nname: x\n```", "mark what reads it"),
        ("```toml\n[x\n```", "TOMLDecodeError"),
        ("```json\n{\n```", "JSONDecodeError"),
        ("```bash\nls\n```", "no language, or one that is not checked"),
        ("```sh skip\nls\n```", "is not a mark"),
        ("```sh\nls\n", "is never closed"),
        (
            "```console\n$ ls .venv/bin/vtune\nnothing\n```",
            "prints, with other numbers or not at all what the page shows",
        ),
    ],
)
def test_what_does_not_work_is_found(tmp_path: Path, block: str, problem: str) -> None:
    (tmp_path / "w").mkdir()
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n{block}\n")
    (line,) = failures(page, World(tmp_path / "w", {}))
    assert problem in line
    assert line.startswith("page.md")


def test_what_works_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    write_clips(tmp_path / "w" / "tones")
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\nvtune recipe list | head -n 1\ncurl localhost:8000/v1/audio/speech | ffplay -\ntox -e docs\n```\n"
        "```console\n$ vtune --version\nvtune, version 9.9.9\n```\n"
        "```yaml\ntrain: {epochs: 3}\n```\n```text\nls --gone\n```\n"
    )
    assert list(failures(page, World(tmp_path / "w", {}))) == []


def test_commands_are_found_wherever_they_stand() -> None:
    script = "cd x && .venv/bin/vtune say jane 'Hi; you' | aplay\nA=1 vtune run \\\n  x.yaml a=1 # vtune gone\n"
    script += "bash -c 'x -m vtune_cli plan y'"
    assert list(vtune_commands(script)) == [["say", "jane", "Hi; you"], ["run", "x.yaml", "a=1"], ["plan", "y"]]


def test_outputs_are_compared_but_for_their_numbers() -> None:
    assert looks_alike(["loss 1.25 at 3e-4", "...", "done in 4 s"], ["loss 7 at 1", "x", "y", "done in 12 s"])
    assert not looks_alike(["loss 1.25"], ["gain 1.25"])
    assert not looks_alike(["loss 1.25"], ["loss 1.25", "more"])
