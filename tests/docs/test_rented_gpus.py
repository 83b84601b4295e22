"""The files for rented GPUs: what can be checked of them without an account."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from fences import Block, blocks
from page_blocks import vtune_commands
from page_world import parsed

ROOT = Path(__file__).resolve().parents[2]
PAGE = list(blocks((ROOT / "docs" / "how-to" / "rented-gpus.md").read_text(encoding="utf-8")))

SKY_KEYS = {"name", "workdir", "num_nodes", "resources", "envs", "secrets", "file_mounts", "setup", "run", "service"}
"""Keys of a task, by SkyPilot's reference of its YAML."""
SKY_RESOURCES = {
    "accelerators", "cloud", "region", "zone", "infra", "cpus", "memory", "use_spot", "disk_size", "disk_tier", "ports",
    "image_id", "any_of", "ordered", "instance_type", "job_recovery", "labels", "autostop", "priority",
}  # fmt: skip


def block_of(language: str, begin: str) -> Block:
    return next(block for block in PAGE if block.language == language and block.text.startswith(begin))


def check_script(script: str) -> list[list[str]]:
    """Let bash parse a script and vtune parse its commands; return the commands."""
    answer = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert answer.returncode == 0, answer.stderr
    commands = list(vtune_commands(script))
    for words in commands:
        parsed(words)
    return commands


def check_requirement(text: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for extra in text.partition("[")[2].rstrip("]").split(","):
        assert not extra or extra in extras


def test_the_task_of_skypilot() -> None:
    task: dict[str, Any] = yaml.safe_load(block_of("yaml", "# sky.yaml").text)
    assert task.keys() <= SKY_KEYS
    assert task["resources"].keys() <= SKY_RESOURCES
    (words,) = check_script(task["setup"] + task["run"])
    (mount,) = task["file_mounts"]
    assert words[0] == "run"
    assert all(word.partition("=")[2].startswith(f"{mount}/") for word in words[2:])


def test_the_program_for_modal() -> None:
    text = block_of("python", "# train_on_modal.py").text
    tree = ast.parse(text)
    lists = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.List)]
    assert any(item.startswith("['vtune', 'run'") for item in lists)
    parsed(["run", "/keep/jane.yaml", "folders.runs=/keep/runs", "folders.voices=/keep/voices"])
    (requirement,) = [
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("pip_install")
        and isinstance(node.args[0], ast.Constant)
    ]  # fmt: skip
    check_requirement(str(requirement))


def test_the_job_of_hugging_face() -> None:
    script = block_of("sh", "hf upload").text
    verbs = [words[0] for words in check_script(script)]
    assert verbs == ["run", "export", "say"]


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_workflows_can_be_read(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert True in workflow  # YAML reads the key `on` as true
    for job in workflow["jobs"].values():
        needed = job.get("needs", [])
        assert {needed} if isinstance(needed, str) else set(needed) <= workflow["jobs"].keys()
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            if "run" in step:
                check_script(step["run"].replace("${{ matrix.file }}", "x.whl"))


def test_the_image_is_made_of_what_is_there() -> None:
    lines = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    known = {"FROM", "COPY", "RUN", "ENV", "WORKDIR", "ENTRYPOINT", "CMD"}
    instructions = [line.partition(" ")[::2] for line in lines if line.strip() and not line.startswith("#")]
    assert {name for name, _ in instructions} <= known
    for name, rest in instructions:
        if name == "RUN":
            check_script(rest)
            for word in rest.split():
                if word.strip("'").startswith("/src["):
                    check_requirement(word.strip("'"))
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert not {"core", "cli", "plugins", "recipes", "pyproject.toml", "README.md", "LICENSE"} & set(ignored)
