"""A small world in which the commands and the code of the pages run: voices, recordings and recipes, made of tones.

A shell runs the blocks, the real one; only the programs are others. ``vtune`` hands its arguments over to this process,
where everything is imported already. What a page does not make itself (recordings, a recipe, a list of lines) is there
when a command names it.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import click
import numpy as np
import soundfile
from click.testing import CliRunner

from vtune.errors import VtuneError

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY_FOLDERS = ("recipes", "tools", "tests", "docs", "core", "cli", "plugins", "benchmarks")
VOICES = ("jane", "anna", "ann", "ben", "bob", "quickstart", "full_ann")
SAMPLE_RATE = 8000  # of the toy engine

RECIPE = """\
voice: {voice}
engine: toy
data: [{{source: tones}}]
lora: {{rank: 4, alpha: 8}}
train: {{epochs: 2, batch_size: 2, validation: 0.2}}
evaluate: {{metrics: [delivery], clips: 2}}
consent: {{person: A tone, statement: Tones need not be asked.}}
"""

# Programs that the pages name and that are not run here; each answers with nothing.
OTHER_PROGRAMS = [
    "accelerate", "aplay", "curl", "deepspeed", "docker", "ffmpeg", "ffplay", "git", "hf", "jupyter", "kubectl", "mypy",
    "nvidia-smi", "pip", "podman", "pytest", "ray", "rsync", "ruff", "sbatch", "scontrol", "sky", "srun", "ssh",
    "systemctl", "torchrun", "tox", "uv", "vllm", "xdg-open", "yt-dlp",
]  # fmt: skip

_CLIENT = """\
#!{python} -IS
import json, os, socket, sys
stdin = sys.stdin.buffer.read().decode("latin-1")  # first: what writes it waits for its answer too
line = socket.socket(socket.AF_UNIX)
line.connect({address!r})
line.sendall(json.dumps([os.getcwd(), {program!r}, sys.argv[1:], stdin]).encode() + b"\\n")
answer = json.loads(b"".join(iter(lambda: line.recv(65536), b"")))
if os.path.sameopenfile(1, 2):
    os.write(1, answer["both"].encode("latin-1"))
else:
    os.write(1, answer["stdout"].encode("latin-1"))
    os.write(2, answer["stderr"].encode("latin-1"))
sys.exit(answer["code"])
"""


class PageError(Exception):
    """A command of a page that would not work for the reader."""


@dataclass(frozen=True)
class Answer:
    """What a program answers: its exit code and what it printed; ``both`` in the order in which it printed it."""

    code: int
    stdout: bytes = b""
    stderr: bytes = b""
    both: bytes | None = None

    def encoded(self) -> dict[str, Any]:
        """Return the answer as data for JSON."""
        both = self.stdout + self.stderr if self.both is None else self.both
        texts = {"stdout": self.stdout, "stderr": self.stderr, "both": both}
        return {"code": self.code, **{name: text.decode("latin-1") for name, text in texts.items()}}


@dataclass
class World:
    """One folder with everything that pages name.

    :param files: the contents of files that blocks of the page show, by name; see ``shown_files``.
    """

    folder: Path
    files: dict[str, str]

    def shell(self, script: str) -> tuple[int, str]:
        """Run commands with bash in the world; return the exit code of the first command that fails, and the whole
        output.
        """
        programs = self.folder / ".venv" / "bin"
        address = str(self.folder / ".socket")
        environment = {
            "PATH": f"{programs}:/usr/bin:/bin", "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "PWD": str(self.folder),
        }  # fmt: skip
        with socket.socket(socket.AF_UNIX) as listening, (self.folder / ".output").open("w+b") as output:
            Path(address).unlink(missing_ok=True)
            listening.bind(address)
            listening.listen()
            listening.settimeout(0.05)
            self._write_programs(programs, address)
            process = subprocess.Popen(
                ["bash", "-e", "-o", "pipefail", "-c", script], cwd=self.folder, env=environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
            while process.poll() is None:
                self._answer(listening)
            output.seek(0)
            text = output.read().decode("utf-8", "replace")
        return process.returncode, text

    def _write_programs(self, folder: Path, address: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("vtune", "python", "python3", "python3.11", *OTHER_PROGRAMS):
            path = folder / name
            path.write_text(_CLIENT.format(python=sys.executable, address=address, program=name), encoding="utf-8")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def _answer(self, listening: socket.socket) -> None:
        try:
            line, _ = listening.accept()
        except TimeoutError:
            return
        with line:
            request = b""
            while not request.endswith(b"\n"):
                request += line.recv(65536)
            folder, program, words, stdin = json.loads(request)
            answer = self.program(Path(folder), program, words, stdin.encode("latin-1"))
            line.sendall(json.dumps(answer.encoded()).encode())

    def program(self, folder: Path, name: str, words: Sequence[str], stdin: bytes = b"") -> Answer:
        """Answer for a program: vtune runs, scripts of the repository must exist, other programs do nothing."""
        try:
            if name == "vtune":
                return self.vtune(words, folder, stdin)
            if name.startswith("python"):
                return self._python(words, folder)
            check_other_program(name, words)
        except (PageError, VtuneError) as error:
            return Answer(3, stderr=f"{error}\n".encode())
        return Answer(0)

    def _python(self, words: Sequence[str], folder: Path) -> Answer:
        if list(words[:2]) == ["-m", "vtune_cli"]:
            return self.vtune(words[2:], folder, b"")
        if words[:1] == ["-m"] or list(words) == ["--version"]:
            check_other_program(words[1] if len(words) > 1 else "python", words[2:])
            return Answer(0)
        if words[:1] == ["-c"]:
            code, name = words[1], "-c"
        elif (ROOT / words[0]).is_file():
            check_script(words)
            return Answer(0)
        elif (folder / words[0]).is_file():
            code, name = (folder / words[0]).read_text(encoding="utf-8"), words[0]
        else:
            raise PageError(f"python {words[0]}: there is no such script in the repository or in the page")
        output = StringIO()
        with working_in(folder), redirect_stdout(output), redirect_stderr(output):
            exec(compile(code, name, "exec"), {"__name__": "__main__"})
        return Answer(0, output.getvalue().encode())

    def vtune(self, words: Sequence[str], folder: Path | None = None, stdin: bytes = b"") -> Answer:
        """Run the command line in this process."""
        from vtune_cli.main import main

        folder = folder or self.folder
        with working_in(folder):
            words = self.provide(words, folder)
            result = CliRunner().invoke(main, words, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        if words[:1] == ["doctor"] and "Error:" not in result.output:
            result.exit_code = 0  # it says with 1 that it found something, and tones are no good speech
        return Answer(result.exit_code, result.stdout_bytes, result.stderr_bytes, result.output_bytes)

    def provide(self, words: Sequence[str], folder: Path) -> list[str]:
        """Make the files that a command of vtune names and that do not exist."""
        with working_in(folder):
            context = parsed(words)
        parameters = context.params
        verb = context.command.name
        if recipe := parameters.get("recipe"):
            self._provide_recipe(folder / recipe, verb)
        for name in ("source", "data", "directory"):
            if parameters.get(name) and verb in {"prepare", "doctor", "review", "transcribe"}:
                self.provide_data(folder, str(parameters[name]), raw=verb == "prepare")
        for name in ("config", "keys", "space"):
            if path := parameters.get(name):
                self._provide_file(folder / path, name)
        if verb == "copy":
            target = folder / (parameters["target"] or f"{parameters['name']}.yaml")
            target.unlink(missing_ok=True)
        if parameters.get("processes") and "--launch" in words:  # another test launches processes
            at = list(words).index("--launch")
            return [*words[:at], *words[at + 2 :]]
        if verb == "serve":  # at a free port of this machine alone, whatever the page says
            return [*words, "--host", "127.0.0.1", "--port", "0"]
        if verb in {"run", "train", "tune"} and is_builtin(recipe):  # takes minutes: other tests run these
            return ["recipe", "check", str(ROOT / recipe) if "/" in recipe else recipe, *parameters["overrides"]]
        return list(words)

    def _provide_recipe(self, path: Path, verb: str | None) -> None:
        if path.suffix != ".yaml" or path.is_relative_to(self.folder / "recipes"):
            return  # it comes with vtune
        if verb in {"check", "show"} and (path.is_file() or path.name in self.files):
            if not path.is_file():
                path.write_text(self.files[path.name], encoding="utf-8")
            for source in re.findall(r"^[^#\n]*\bsource: *([\w./-]+)", path.read_text(encoding="utf-8"), re.MULTILINE):
                self.provide_data(path.parent, source, raw=False)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        voice = path.stem if path.stem in VOICES else "jane"
        path.write_text(RECIPE.format(voice=voice), encoding="utf-8")

    def provide_data(self, folder: Path, name: str, *, raw: bool) -> None:
        """Make a source of recordings: long recordings, or clips with a table."""
        path = folder / name
        if path.exists() or ":" in name:
            return
        target = path.parent if path.suffix else path
        if raw:
            write_recording(path if path.suffix == ".wav" else target / "one.wav")
        else:
            write_clips(target, path.name if path.suffix else "transcript.csv")

    def _provide_file(self, path: Path, kind: str) -> None:
        if not path.exists() and path.name in self.files:
            path.write_text(self.files[path.name], encoding="utf-8")
        elif not path.exists() and kind == "keys":
            path.write_text("0123456789abcdef0123456789abcdef\n", encoding="utf-8")


def is_builtin(recipe: str) -> bool:
    """Tell whether a recipe comes with vtune."""
    from vtune.recipe import builtin_recipes

    return recipe.startswith("recipes/") or recipe in builtin_recipes()


def parsed(words: Sequence[str]) -> click.Context:
    """Parse the words behind ``vtune`` as the command line does, without running anything.

    :raises PageError: the verb, an option or a value does not exist.
    """
    from vtune_cli.main import main

    try:
        context = main.make_context("vtune", list(words))
        while isinstance(context.command, click.Group) and (context._protected_args or context.args):
            name, command, rest = context.command.resolve_command(context, [*context._protected_args, *context.args])
            assert command is not None
            context = command.make_context(name, rest, parent=context)
    except click.exceptions.Exit:
        return click.Context(main)  # --help, --version
    except click.ClickException as error:
        raise PageError(f"vtune {' '.join(words)}: {error.format_message()}") from error
    return context


def check_script(words: Sequence[str]) -> None:
    """Check that a script of the repository has the options that the page gives it."""
    text = (ROOT / words[0]).read_text(encoding="utf-8")
    for flag in [word.partition("=")[0] for word in words[1:] if word.startswith("--")]:
        if f'"{flag}"' not in text:
            raise PageError(f"{words[0]} has no option {flag}")


def check_other_program(name: str, words: Sequence[str]) -> None:
    """Check what a page tells other programs about the project: extras, groups, tests, environments, routes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    line = " ".join(words)
    if name == "pip":
        for extra in re.findall(r"(?:\.|vtune-tts|/src)\[([\w,-]+)\]", line):
            for part in extra.split(","):
                if part not in project["project"]["optional-dependencies"]:
                    raise PageError(f"pip {line}: there is no extra {part!r}")
        for group in re.findall(r"--group[ =]([\w-]+)", line):
            if group not in project["dependency-groups"]:
                raise PageError(f"pip {line}: there is no dependency group {group!r}")
    if name == "tox":
        environments = re.findall(r"^\[testenv:(\w+)\]", (ROOT / "tox.ini").read_text(encoding="utf-8"), re.MULTILINE)
        for environment in re.findall(r"-e[ =](\w+)", line):
            if environment not in [*environments, "test", "lint"]:
                raise PageError(f"tox {line}: there is no environment {environment!r}")
    if name == "curl":
        from vtune.serve.access import KNOWN_PATHS

        for path in re.findall(r"(?:localhost|127\.0\.0\.1|vtune):8000(/[\w/]*)", line):
            if path not in KNOWN_PATHS:
                raise PageError(f"curl {line}: the server has no {path}")
    for path in words if name in {"pytest", "pip", "accelerate", "torchrun"} else ():
        if (
            path.startswith(tuple(f"{folder}/" for folder in REPOSITORY_FOLDERS))
            and not (ROOT / path.partition("::")[0]).exists()
        ):
            raise PageError(f"{name} {line}: there is no {path} in the repository")


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Change the working folder inside the ``with`` block."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def write_clips(folder: Path, table: str = "transcript.csv") -> None:
    """Write ten short clips with a table of their words."""
    from vtune.testing import made_clip

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / table).open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["filename", "text"])
        for number in range(10):
            clip = made_clip(SAMPLE_RATE, 0.6 + 0.1 * (number % 5), number)
            soundfile.write(folder / f"{number}.wav", clip.waveform, SAMPLE_RATE)
            rows.writerow([f"{number}.wav", f"this is sentence number {number}"])


def write_recording(path: Path) -> None:
    """Write twelve seconds of noise in bursts like words, with two pauses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(12 * 16_000) / 16_000
    speech = np.random.default_rng(0).normal(0, 0.2, len(times)) * np.clip(np.sin(15 * times), 0, None) ** 2
    soundfile.write(path, np.where(times % 4 > 3.4, 0.001, 1) * speech, 16_000)


def shown_files(blocks: Sequence[Any]) -> dict[str, str]:
    """Return the files that a page shows: blocks whose first line is a comment that only names a file."""
    named = [(re.match(r"# ([\w-]+\.(?:yaml|py|json|toml))\n", block.text), block.text) for block in blocks]
    return {match[1]: text for match, text in named if match}


def make_template(folder: Path) -> None:
    """Write the world that each page gets a copy of: one voice is trained, the others are its copies."""
    folder.mkdir(parents=True)
    write_clips(folder / "tones")
    world = World(folder, {})
    (folder / "jane.yaml").write_text(RECIPE.format(voice="jane"), encoding="utf-8")
    answer = world.vtune(["run", "jane.yaml"])
    assert answer.code == 0, answer
    for name in VOICES[1:]:
        for kind in ("runs", "voices"):
            shutil.copytree(folder / kind / "jane", folder / kind / name)
            for path in (folder / kind / name).rglob("*"):
                if path.suffix in {".json", ".jsonl", ".yaml", ".md"} and "jane" in (text := path.read_text("utf-8")):
                    path.write_text(text.replace("jane", name), encoding="utf-8")
        (folder / f"{name}.yaml").write_text(RECIPE.format(voice=name), encoding="utf-8")
    (folder / "lines.txt").write_text("The first line.\nThe second line.\n", encoding="utf-8")
    soundfile.write(folder / "clip.wav", np.sin(np.arange(SAMPLE_RATE) / 3) / 4, SAMPLE_RATE)
    for name in REPOSITORY_FOLDERS:
        (folder / name).symlink_to(ROOT / name)
    (folder / "constraints.txt").symlink_to(ROOT / "constraints.txt")
