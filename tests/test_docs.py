"""The documentation agrees with the code."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import fences
import pytest
import yaml
from pages import ELSEWHERE
from pydantic import BaseModel

from vtune.contract import hookspecs
from vtune.engines import load_engine
from vtune.recipe import Recipe, builtin_recipes
from vtune.recipe.parse import parse
from vtune.recipe.suggest import model_in
from vtune_cli.main import VERBS, main

ROOT = Path(__file__).resolve().parents[1]
TOP_PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES = [*TOP_PAGES, ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_reference", ROOT / "tools" / "write_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["hooks.md", "recipe.md", "api.md", "conformance.md", "cli.md", "environment.md"])
def test_reference_pages_are_what_the_code_says(reference: ModuleType, name: str) -> None:
    written = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert written == reference.pages()[name], "run python tools/write_reference.py"


def test_the_environment_page_has_every_variable_that_is_read(reference: ModuleType) -> None:
    def read(*folders: str) -> set[str]:
        files = [
            path for folder in folders for path in (ROOT / folder).rglob("*.py") if path.name != "write_reference.py"
        ]
        return {
            name for path in files for name in re.findall(r"[\"'`]([A-Z]*VTUNE_[A-Z_]+)\b", path.read_text("utf-8"))
        }

    assert read("core", "cli", "plugins") - {"VTUNE_VERSION"} == set(reference.ENVIRONMENT)
    assert read("tests", "tools") - {"VTUNE_VERSION"} - set(reference.ENVIRONMENT) <= set(reference.TEST_ENVIRONMENT)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_variable_that_a_page_names_is_read(reference: ModuleType, page: Path) -> None:
    named = set(re.findall(r"\b[A-Z]*VTUNE_[A-Z0-9_]+", page.read_text(encoding="utf-8")))
    assert named <= {*reference.ENVIRONMENT, *reference.TEST_ENVIRONMENT}


def recipe_tables() -> dict[str, list[dict[str, str]]]:
    """Return the rows of each section of docs/reference/recipe.md by the section's name, each row by column title."""
    tables: dict[str, list[dict[str, str]]] = {}
    for part in (ROOT / "docs" / "reference" / "recipe.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        lines = [line for line in part.partition("\n### ")[0].splitlines() if line.startswith("| ")]
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
        titles = rows[0]
        section = part.splitlines()[0].replace("`", "")
        tables[section] = [dict(zip(titles, row, strict=True)) for row in rows[2:]]
        assert not [row for row in rows if "" in row], f"{section}: a cell of the table is empty"
    return tables


ENGINES = ("hibari", "indextts2", "orpheus", "vits")


def recipe_models() -> dict[str, type[BaseModel]]:
    """Return the model behind each section of docs/reference/recipe.md by the section's name."""
    sections = {name: model_in(field.annotation) for name, field in Recipe.model_fields.items()}
    engines = {f"engine_options of {name}": load_engine(name).info.options for name in ENGINES}
    return {"Top level": Recipe, **{name: model for name, model in sections.items() if model}, **engines}


@pytest.mark.parametrize("section", recipe_models())
def test_the_recipe_page_has_every_key_with_its_default(section: str) -> None:
    model, rows = recipe_models()[section], recipe_tables()[section]
    assert [row["key"].strip("`") for row in rows] == list(model.model_fields)
    for row in rows:
        field = model.model_fields[row["key"].strip("`")]
        assert row["type"]
        assert row["meaning"].endswith("."), row
        if section != "lora" and row["default"] != "its own defaults":
            shown = "required" if row["default"] == "required" else parse(row["default"].strip("`"), "the page")
            default = "required" if field.is_required() else field.get_default(call_default_factory=True)
            default = list(default) if isinstance(default, tuple) else default
            assert shown == (str(default) if isinstance(default, Path) else default), row["key"]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_recipe_page_has_each_engines_own_lora_defaults(engine: str) -> None:
    for row in recipe_tables()["lora"]:
        default = getattr(load_engine(engine).info.lora, row["key"].strip("`"))
        shown = parse(row[f"default of `{engine}`"].strip("`"), "the page")
        assert shown == (list(default) if isinstance(default, tuple) else default), row["key"]


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]+))?\)", page.read_text(encoding="utf-8")):
        path = page.parent / target if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


def test_every_verb_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [verb for verb in VERBS if f"`vtune {verb}" not in readme]


@pytest.mark.parametrize("name", ["quickstart", "hibari_character", "orpheus_character", "piper_character"])
def test_built_in_recipes_begin_with_what_they_are(name: str) -> None:
    lines = builtin_recipes()[name].read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert any("eeds" in line for line in lines[:12] if line.startswith("#"))


def test_every_commented_setting_of_the_character_recipe_exists() -> None:
    """Uncomment every `# key: value` of the sections and check the result as a whole."""
    from vtune.engines import load_recipe

    text = builtin_recipes()["orpheus_character"].read_text(encoding="utf-8")
    head, body = text.split("voice: ", 1)
    open_lines = []
    for line in ("voice: " + body).splitlines():
        match = re.match(r"^(\s*)# (\s*(?:- )?[a-zA-Z_]+:.*)$", line)
        open_lines.append(match[1] + match[2] if match else line)
    assert head.startswith("#")
    uncommented = "\n".join(open_lines)
    settings = yaml.safe_load(uncommented)
    assert "augment" in settings
    assert "modules_to_save" in settings["lora"]
    path = ROOT / "recipes" / ".uncommented.yaml"
    path.write_text(uncommented, encoding="utf-8")
    try:
        load_recipe(path)
    finally:
        path.unlink()


PROMISES = (ROOT / "docs" / "explanation" / "promises.md").read_text(encoding="utf-8")


def test_every_promise_names_tests_that_exist() -> None:
    parts = PROMISES.split("\n## ")[1:]
    assert [part for part in parts if "::test_" not in part and not part.startswith("Plain words")] == []
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PROMISES):
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), f"{path}::{name}"


def test_every_promise_of_the_readme_is_explained() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, part = readme.partition("## What you can rely on")
    titles = re.findall(r"^- \*\*(.+?)\.?\*\*", part.partition("\n## ")[0], re.MULTILINE)
    assert len(titles) >= 5
    assert [promise for promise in titles if f"\n## {promise}\n" not in PROMISES] == []


# What follows holds every name in the code spans and code blocks of all pages to the code.
SOURCE_ROOTS = {
    "vtune": ROOT / "core",
    "vtune_cli": ROOT / "cli",
    "vtune_indextts2": ROOT / "plugins" / "indextts2",
    "vtune_orpheus": ROOT / "plugins" / "orpheus",
    "vtune_hibari": ROOT / "plugins" / "hibari",
    "vtune_vits": ROOT / "plugins" / "vits",
}
FOLDERS = ("core", "cli", "plugins", "recipes", "tests", "tools", "benchmarks", "docs")
ENTRY_POINT_GROUPS = {"vtune.engines", "vtune.plugins"}
METADATA_KEYS = {"vtune.text"}
MODULES = {path.as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
SCRIPTS = [*(ROOT / "tools").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
SCRIPTS_FLAGS = {flag for path in SCRIPTS for flag in re.findall(r"\"(--[\w-]+)\"", path.read_text(encoding="utf-8"))}
# Options of other programs that the pages name.
OTHERS_FLAGS = {
    "uvx": {"from"},
    "accelerate": {
        "config_file",
        "cpu",
        "dynamo_backend",
        "machine_rank",
        "main_process_ip",
        "main_process_port",
        "mixed_precision",
        "multi_gpu",
        "num_machines",
        "num_processes",
    },
    "docker, useradd": {"create-home", "device", "format", "gpus", "interval", "rm", "start-period", "stop-timeout"},
    "hf": {"flavor", "local-dir", "private", "repo-type", "secrets", "timeout"},
    "index-tts's fork": {
        "amp",
        "freeze-embeddings",
        "grad-accumulation",
        "lora-alpha",
        "lora-dropout",
        "lora-rank",
        "lora-target-modules",
        "mel-loss-weight",
        "save-interval",
        "speaker",
        "text-loss-weight",
        "warmup-steps",
    },
    "pip": {"force-reinstall", "group", "index-url", "no-cache-dir", "no-deps"},
    "ray": {"working-dir"},
    "sbatch": {
        "cpus-per-task",
        "gpus-per-node",
        "job-name",
        "nodes",
        "ntasks-per-node",
        "open-mode",
        "requeue",
        "signal",
        "time",
    },
    "srun": {"kill-on-bad-exit"},
    "tensorboard": {"logdir"},
    "vllm": {
        "data-parallel-size",
        "dtype",
        "enable-lora",
        "gpu-memory-utilization",
        "lora-modules",
        "max-cpu-loras",
        "max-lora-rank",
        "max-loras",
        "max-model-len",
        "tensor-parallel-size",
    },
    "yt-dlp": {"audio-format", "no-playlist"},
}


def code_lines(page: Path) -> Iterator[str]:
    """Yield every code span and every line of a code block of one page."""
    in_block = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            in_block = not in_block
        elif in_block:
            yield line
        else:
            yield from re.findall(r"`([^`]+)`", line)


def is_module_name(dotted: str) -> bool:
    """Tell whether a dotted name is a module, or a name in a module."""
    first, *parts = dotted.split(".")
    path = SOURCE_ROOTS[first] / first
    while parts and ((path / parts[0]).is_dir() or (path / f"{parts[0]}.py").is_file()):
        path = path / parts.pop(0)
    module = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return not parts or re.search(rf"\b{parts[0]}\b", module.read_text(encoding="utf-8")) is not None


def unknown_modules(line: str) -> list[str]:
    names = re.findall(r"(?<![\w./-])(vtune(?:_cli|_hibari|_indextts2|_orpheus|_vits)?(?:\.[A-Za-z_]\w*)+)", line)
    return [name for name in names if name not in ENTRY_POINT_GROUPS | METADATA_KEYS and not is_module_name(name)]


def unknown_files(line: str) -> list[str]:
    """Return the paths of a line that no file has, from the root of the repository or as the end of a module's path."""
    rooted = re.findall(rf"(?<![\w/.<>-])((?:{'|'.join(FOLDERS)})/[\w./-]*)(?![\w<*])", line)
    modules = re.findall(r"(?<![\w/.-])((?:\w+/)*\w+\.py)\b", line)
    unknown = [path for path in rooted if not (ROOT / path).exists() and not path.endswith("NAME.py")]
    return unknown + [
        path
        for path in modules
        if path not in rooted
        and not path.startswith(("my_", "mine", "check_kit", "train_on_modal"))  # the reader's own
        and not path.endswith("NAME.py")
        and not any(module.endswith(f"/{path}") for module in MODULES)
    ]


def flags_of(command: click.Command) -> set[str]:
    """Return the long options of a command and of the commands below it."""
    flags = {flag for option in command.params for flag in [*option.opts, *option.secondary_opts]} | {"--help"}
    context = click.Context(command)
    for name in command.list_commands(context) if isinstance(command, click.Group) else ():
        flags |= flags_of(command.get_command(context, name))
    return flags


@pytest.fixture(scope="module")
def flags() -> dict[str, set[str]]:
    """Return the options of each verb."""
    context = click.Context(main)
    commands = {verb: main.get_command(context, verb) for verb in VERBS}
    return {verb: flags_of(command) for verb, command in commands.items()}


def unknown_flags(line: str, flags: dict[str, set[str]]) -> list[str]:
    """Return the options of a line that its verb does not have; without a verb, those that no program has."""
    theirs = {f"--{flag}" for names in OTHERS_FLAGS.values() for flag in names}
    line, before = line.split(" | ")[0].split(" #")[0], ""
    if verb := re.match(r"(?:.*[ /])?vtune (\w+)", line):
        # What stands before vtune belongs to the program that starts vtune.
        before, line = line[: verb.start(1)], line[verb.start(1) :]
        allowed = flags.get(verb[1], set())
    else:
        own = {flag for option in main.params for flag in option.opts}
        allowed = set.union(*flags.values()) | own | SCRIPTS_FLAGS | theirs
    option = r"(?<![\w-])--[a-z][\w-]+"
    return [flag for flag in re.findall(option, line) if flag not in allowed] + [
        flag for flag in re.findall(option, before) if flag not in theirs
    ]


def is_recipe_key(dotted: str) -> bool:
    """Tell whether a recipe can have this key; for options of engines, whether any engine has it."""
    model: type[BaseModel] | None = Recipe
    first, *parts = dotted.split(".")
    if first == "engine_options":
        return not parts or any(parts[0] in load_engine(name).info.options.model_fields for name in ENGINES)
    for part in [first, *parts]:
        if part.isdigit():
            continue
        if model is None:
            return True  # below a section of free names, such as train.arguments
        if part not in model.model_fields:
            return False
        model = model_in(model.model_fields[part].annotation)
    return True


SECTIONS = [
    name for name, field in Recipe.model_fields.items() if model_in(field.annotation) or name == "engine_options"
]


def keys_of(settings: Any, above: str = "") -> Iterator[str]:
    """Yield the dotted keys of nested settings."""
    if isinstance(settings, dict):
        for key, value in settings.items():
            yield f"{above}{key}"
            yield from keys_of(value, f"{above}{key}.")
    elif isinstance(settings, list):
        for value in settings:
            yield from keys_of(value, above)


def unknown_keys(line: str) -> list[str]:
    keys = re.findall(rf"(?<![\w./-])((?:{'|'.join(SECTIONS)})(?:\.\w+)+)(?![\w/])", line)
    if re.search(r"\bvtune (run|train|plan|tune) ", line):
        keys += re.findall(r"(?<= )~?([a-z_]\w*(?:\.\w+)*)=", line)
    files = (".yaml", ".jsonl", ".json", ".csv", ".py", ".toml", ".txt", ".tsv")
    return [key for key in keys if not key.endswith(files) and not is_recipe_key(key)]


def unknown_keys_of_blocks(page: Path) -> list[str]:
    """Return the keys that no recipe has, in the YAML blocks that are parts of recipes."""
    blocks = [block.text for block in fences.blocks(page.read_text(encoding="utf-8")) if block.language == "yaml"]
    settings = [yaml.safe_load(block) for block in blocks]
    recipes = [block for block in settings if isinstance(block, dict) and block.keys() & Recipe.model_fields.keys()]
    return [key for recipe in recipes for key in keys_of(recipe) if not is_recipe_key(key)]


def unknown_hooks(page: Path) -> list[str]:
    """Return the hooks that have no specification: names that are called a hook, and functions that are marked as a
    hook.
    """
    text = page.read_text(encoding="utf-8")
    names = re.findall(r"[Hh]ooks? `(\w+)`", text) + re.findall(r"`(\w+)` hook", text)
    names += re.findall(r"@(?:vtune\.)?hookimpl(?:\([^)]*\))?\ndef (\w+)", text)
    return [name for name in names if not hasattr(getattr(hookspecs, name, None), f"{hookspecs.PROJECT}_spec")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_nothing_that_does_not_exist(page: Path, flags: dict[str, set[str]]) -> None:
    lines = list(code_lines(page))
    unknown = {
        "modules": [name for line in lines for name in unknown_modules(line)],
        "files": [path for line in lines for path in unknown_files(line)],
        "options": [flag for line in lines for flag in unknown_flags(line, flags)],
        "recipe keys": [key for line in lines for key in unknown_keys(line)] + unknown_keys_of_blocks(page),
        "hooks": unknown_hooks(page),
    }
    assert {kind: names for kind, names in unknown.items() if names} == {}


def test_the_scripts_for_clusters_can_be_parsed() -> None:
    """The scripts run on clusters, so only their syntax is checked here."""
    page = (ROOT / "docs" / "how-to" / "clusters.md").read_text(encoding="utf-8")
    blocks = [(block.language, block.text) for block in fences.blocks(page)]
    task = yaml.safe_load(next(block for kind, block in blocks if kind == "yaml"))
    scripts = [block for kind, block in blocks if kind == "sh"] + [task["setup"], task["run"]]
    assert len(scripts) == 7
    for script in scripts:
        checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")
    for block in (block for kind, block in blocks if kind == "python"):
        compile(block, "clusters.md", "exec")


RECORDS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_a_decision_has_a_number_a_date_a_status_and_its_three_parts(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    number = record.name[:4]
    assert re.match(rf"# {number}\. \w.+\n\n- Date: (\d{{4}}-\d\d-\d\d|unknown)\n- Status: ", text)
    status = re.search(r"^- Status: (accepted|superseded by \[\d{4}\]\(([\w-]+\.md)\))(;.+)?$", text, re.MULTILINE)
    assert status is not None
    if successor := status[2]:
        assert f"supersedes [{number}]({record.name})" in (record.parent / successor).read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [heading for heading in headings if heading in {"Context", "Decision", "Consequences"}] == [
        "Context", "Decision", "Consequences",
    ]  # fmt: skip


def test_the_index_of_decisions_is_complete_and_true() -> None:
    rows = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    assert len({record.name[:4] for record in RECORDS}) == len(RECORDS), "two records have one number"
    for record in RECORDS:
        text = record.read_text(encoding="utf-8")
        title = re.match(r"# \d{4}\. (.+)", text)
        date = re.search(r"^- Date: (.+)$", text, re.MULTILINE)
        status = re.search(r"^- Status: (.+)$", text, re.MULTILINE)
        assert title
        assert date
        assert status
        assert f"| [{record.name[:4]}]({record.name}) | {title[1]} | {date[1]} | {status[1]} |\n" in rows


def test_the_map_has_the_floors_that_the_linter_checks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    floors = "\n".join(next(contract["layers"] for contract in contracts if "containers" in contract))
    assert f"```\n{floors}\n```" in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert project["tool"]["importlinter"]["exclude_type_checking_imports"] is False


def test_the_map_names_every_folder_of_core() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    folders = [path.name for path in (ROOT / "core" / "vtune").iterdir() if (path / "__init__.py").is_file()]
    assert [
        name for name in folders if f"| `core/vtune/{name}/` |" not in text and f"`core/vtune/{name}/` " not in text
    ] == []


def test_the_glossary_is_in_order_and_explains_the_words_it_uses() -> None:
    text = (ROOT / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^- \*\*(.+?)\*\*: ", text, re.MULTILINE)
    assert terms == sorted(terms, key=lambda term: term.lower().replace("_", " "))
    words = {term.lower() for term in terms}
    used = re.findall(r"(?<!\*)\*([\w ]+)\*(?!\*)", text.partition("\n- ")[2])
    assert [word for word in used if word.lower() not in words and word.lower().removesuffix("s") not in words] == []


def pages_of(navigation: Any) -> Iterator[str]:
    """Yield the pages of a part of the site's navigation, from the folder docs/."""
    if isinstance(navigation, str):
        yield navigation
        return
    for part in navigation.values() if isinstance(navigation, dict) else navigation:
        yield from pages_of(part)


def test_the_navigation_leads_to_every_page() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    decisions = {f"decisions/{record.name}" for record in RECORDS}
    elsewhere = set(ELSEWHERE.values())
    assert sorted(pages_of(navigation)) == sorted((pages - decisions) | elsewhere), "add the page to nav in mkdocs.yml"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tables_have_no_empty_cells(page: Path) -> None:
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert [row for row in rows if re.search(r"(?<!\\)\|\s*\|", row)] == []


def test_the_glossary_has_every_metric_of_the_short_table() -> None:
    from vtune.evaluation.metric_registry import METRICS, metric_specs

    text = (ROOT / "docs" / "reference" / "glossary.md").read_text(encoding="utf-8")
    names = [name for name, spec in metric_specs(METRICS).items() if spec.headline]
    assert [name for name in names if f"- **{name}**: " not in text] == []
