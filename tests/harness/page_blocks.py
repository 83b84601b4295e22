"""Run or check every code block of a page in a small world, and describe for each failing block what a reader would
see."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from fences import Block, blocks
from page_world import PageError, World, parsed, shown_files, working_in

from vtune.errors import VtuneError
from vtune.recipe.parse import parse

UNCHECKED = {"text", "ini", "csv", "dockerfile"}
BASES = ("toy", "hibari", "orpheus", "indextts2", "vits")
_VOICE_OF = re.compile(r"a voice of (Orpheus|IndexTTS2)")
_VTUNE = re.compile(
    r"""(?:^|&&|\|\||[;|&(])\s*(?:\w+=\S*\s+)*(?:srun\s+)?(?:\S*/)?vtune\s+((?:'[^'\n]*'|"[^"\n]*"|[^\n;|&<>#])*)""",
    re.MULTILINE,
)


def failures(page: Path, world: World) -> Iterator[str]:
    """Yield a line for each block of a page that does not work."""
    try:
        result = list(blocks(page.read_text(encoding="utf-8")))
    except ValueError as error:
        yield f"{page.name}: {error}"
        return
    world.files.update(shown_files(result))
    names: dict[str, Any] = {"__name__": "page"}
    # What every example of a hook and of an option imports.
    exec("import vtune, torch, numpy as np", names)
    for block in result:
        try:
            check(block, world, names)
        except Exception as error:  # whatever it is, the reader would meet it
            yield f"{page.name}:{block.line} [{block.language}]: {type(error).__name__}: {error}"


def check(block: Block, world: World, names: dict[str, Any]) -> None:
    """Run one block, or check it if its fence says that it is only parsed."""
    if block.language in UNCHECKED:
        return
    if block.language not in CHECKS:
        raise PageError(f"no language, or one that is not checked; use {', '.join([*CHECKS, *sorted(UNCHECKED)])}")
    run, parse = CHECKS[block.language]
    if block.parsed is None:
        run(block, world, names)
    else:
        parse(block, world)


def _run_shell(block: Block, world: World, names: dict[str, Any]) -> None:
    code, output = world.shell(block.text)
    if code:
        raise PageError(f"ends with {code}:\n{output}")


def _parse_shell(block: Block, world: World) -> None:
    result = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
    if result.returncode:
        raise PageError(f"bash cannot read it: {result.stderr}")
    for words in vtune_commands(block.text):
        with working_in(world.folder), suppress(VtuneError):  # the reader's own engine file is not there
            parsed(words)
        if match := _VOICE_OF.search(block.parsed or ""):
            check_settings(words, match[1].lower(), world)


def check_settings(words: list[str], engine: str, world: World) -> None:
    """Check what a command that is not run sets for a voice of an engine: options with ``--set``, keys of a recipe.

    :raises PageError: the engine has no such option, the recipe no such key, or a value is not allowed.
    """
    parameters = parsed(words).params
    options = dict(item.split("=", 1) for item in parameters.get("options") or ())
    values = {name: parse(value, "the page") for name, value in options.items()}
    _check_recipe({"engine": engine, "engine_options": values}, world, parameters.get("overrides") or ())


def vtune_commands(script: str) -> Iterator[list[str]]:
    """Yield the words behind each ``vtune`` of a script.

    Example::

        "cd x && .venv/bin/vtune say jane 'Hello.' | aplay" gives ["say", "jane", "Hello."]
    """
    import shlex

    joined = re.sub(r"\\\n\s*", "", script)
    joined = re.sub(r"\S*python\S* -m vtune_cli|-m vtune_cli", "; vtune", joined)
    for match in _VTUNE.finditer(joined):
        words = match[1].strip()
        # A command may stand in quotes: bash -c 'vtune run x.yaml'.
        yield shlex.split(words if words.count("'") % 2 == 0 and words.count('"') % 2 == 0 else words.rstrip("'\""))


def _run_console(block: Block, world: World, names: dict[str, Any]) -> None:
    for command, shown in commands_with_output(block.text):
        _, output = world.shell(command)
        if not looks_alike(shown, output.splitlines()):
            raise PageError(f"$ {command}\nprints, with other numbers or not at all what the page shows:\n{output}")


def _parse_console(block: Block, world: World) -> None:
    commands = "\n".join(command for command, _ in commands_with_output(block.text))
    _parse_shell(Block(block.line, "sh", commands, None), world)


def commands_with_output(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a console, without its ``$``, and the output lines below it."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    if parts[0].strip():
        raise PageError("a console begins with a command: '$ vtune ...'")
    for part in parts[1:]:
        command, _, output = part.partition("\n")
        while command.endswith("\\"):
            more, _, output = output.partition("\n")
            command = f"{command[:-1]}{more.lstrip('> ')}"
        yield command, output.rstrip().splitlines()


def looks_alike(shown: list[str], printed: list[str]) -> bool:
    """Tell whether lines are what was printed, whatever the numbers; a line ``...`` stands for any lines."""

    def masked(line: str) -> str:
        return re.sub(r"\d+", "0", re.sub(r"\d+[.,]\d+|\d+e-?\d+", "0", " ".join(line.split())))

    pattern = "\n".join(r"(?:.*\n)*?.*" if line.strip() == "..." else re.escape(masked(line)) for line in shown)
    return re.fullmatch(pattern, "\n".join(masked(line) for line in printed)) is not None


def _run_python(block: Block, world: World, names: dict[str, Any]) -> None:
    code = compile(block.text, f"line {block.line}", "exec")
    with working_in(world.folder), redirect_stdout(StringIO()):
        exec(code, names)


def _parse_python(block: Block, world: World) -> None:
    try:
        compile(block.text, f"line {block.line}", "exec")
    except SyntaxError:
        if not re.match(r"[\w.]+\(", block.text):
            raise
        compile(f"def {block.text.strip()}: ...", f"line {block.line}", "exec")  # a signature


def _check_yaml(block: Block, world: World, names: dict[str, Any]) -> None:
    from vtune.recipe import Recipe
    from vtune.serve.settings import read_settings
    from vtune.tune.space import read_space

    settings = yaml.safe_load(block.text)
    path = world.folder / "block.yaml"
    path.write_text(block.text, encoding="utf-8")
    if block.text.startswith("# serve.yaml"):
        read_settings(path)
    elif block.text.startswith("# space.yaml"):
        read_space((), path)
    elif isinstance(settings, dict) and settings.keys() & Recipe.model_fields.keys():
        _check_recipe(settings, world)
    else:
        raise PageError("neither a part of a recipe, nor '# serve.yaml', nor '# space.yaml'; mark what reads it")


def _check_recipe(settings: dict[str, Any], world: World, overrides: Sequence[str] = ()) -> None:
    """Check a part of a recipe on top of a recipe of each engine: at least one of the recipes must accept the part."""
    engines = [settings["engine"]] if settings.get("engine") in BASES else BASES
    problems = []
    for engine in engines:
        with working_in(world.folder):
            recipe = {"voice": "jane", "engine": engine, "data": [{"source": "tones"}], **settings}
            path = world.folder / "recipe_of_a_block.yaml"
            path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
            answer = world.vtune(["recipe", "check", path.name, *overrides])
        if answer.code == 0:
            return
        problems.append(answer.stderr.decode().strip())
    raise PageError("no engine accepts it:\n" + "\n".join(problems))


def _only_read(read: Callable[[str], Any]) -> Callable[..., None]:
    return lambda block, *_: read(block.text) and None


CHECKS: dict[str, tuple[Callable[[Block, World, dict[str, Any]], None], Callable[[Block, World], None]]] = {
    "sh": (_run_shell, _parse_shell),
    "console": (_run_console, _parse_console),
    "python": (_run_python, _parse_python),
    "yaml": (_check_yaml, _only_read(yaml.safe_load)),
    "json": (_only_read(json.loads), _only_read(json.loads)),
    "toml": (_only_read(tomllib.loads), _only_read(tomllib.loads)),
}
