"""Write the reference pages from the code: ``python tools/write_reference.py``; a test holds them to it."""

from __future__ import annotations

import inspect
import math
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml
from pydantic import BaseModel

import vtune
from vtune.contract import hookspecs
from vtune.engines.plugin_manager import ENGINE_LISTS
from vtune.recipe.model import LoraRecipe, Recipe
from vtune.recipe.suggest import model_in
from vtune.recipe.validate import lora_defaults
from vtune.types import EngineInfo

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"
NOTE = "<!-- Written by tools/write_reference.py from the code; edit that. -->\n"


def main() -> None:
    """Write every page."""
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Return the pages by file name."""
    return {
        "hooks.md": hooks_page(),
        "recipe.md": recipe_page(),
        "api.md": api_page(),
        "conformance.md": conformance_page(),
        "cli.md": cli_page(),
        "environment.md": environment_page(),
    }


def hooks_page() -> str:
    """Write every hook with its signature, shapes, units and errors."""
    parts = [f"# Hooks\n\n{NOTE}\n{_markdown(inspect.getdoc(hookspecs) or '')}"]
    hooks = [name for names in hookspecs.HOOK_SECTIONS.values() for name in names]
    for title, names in hookspecs.HOOK_SECTIONS.items():
        parts.append(f"## {title}")
        for name in names:
            function = getattr(hookspecs, name)
            kind = "required" if name in hookspecs.REQUIRED_HOOKS else "optional"
            if not getattr(function, f"{hookspecs.PROJECT}_spec")["firstresult"]:
                owners = "engines and extensions" if name in ENGINE_LISTS else "extensions"
                kind = f"{owners}; the hook of each of them is called"
            doc = re.sub(rf"`({'|'.join(hooks)})`", r"[`\1`](#\1)", _markdown(inspect.getdoc(function) or ""))
            parts.append(f"### {name}\n\n{_signature(name, function)}\n\n*{kind}*\n\n{doc}")
    return "\n\n".join(parts) + "\n"


RECIPE_INTRODUCTION = """\
A recipe is a YAML file. These tables list every key with its type, the values that it accepts, and its default. "any"
means that vtune checks only the type, "required" that the key has no default. `null` stands for "no value".

- `vtune recipe show RECIPE` prints a recipe with all defaults written out.
- `vtune recipe schema` prints a JSON schema, with which editors complete keys and check values.
- `extends: other.yaml` builds a recipe on another one: sections are merged key by key, lists are replaced as a whole.
- `vtune run RECIPE train.epochs=5 data.0.weight=2` changes single values; the path of a key is its section, a dot and
  the key, and list items are counted from 0."""


def recipe_page() -> str:
    """Write every key of a recipe with its type, range, default and meaning."""
    engines = {
        engine.name: engine.info
        for engine in vtune.available_engines().values()
        if isinstance(engine, vtune.Engine) and engine.name != "toy"
    }
    parts = [f"# Recipe\n\n{NOTE}\n{RECIPE_INTRODUCTION}", *_sections(Recipe, "", engines)]
    for name, info in engines.items():
        doc = _markdown(inspect.getdoc(info.options) or "")
        affects = "What a change of each option makes again: see [affects](../how-to/engines.md#options)."
        parts.append(f"## engine_options of `{name}`\n\n{doc} {affects}\n\n{_table(info.options)}")
    return "\n\n".join(parts) + "\n"


CONFORMANCE_INTRODUCTION = """\
`vtune engine check NAME` and `vtune.testing` check an engine against these rules, in this order, each under a time
limit. The heading is the name of the rule, which `--rule` takes; the first line is its promise. A rule is not checked
if one that must hold before it has failed: what was broken first is the cause."""


def conformance_page() -> str:
    """Write every rule of the conformance kit: its promise, why it matters, and what an author usually has to
    change.
    """
    from vtune.testing import rules
    from vtune.testing.rule import all_rules

    parts = [f"# Rules for engines\n\n{NOTE}\n{CONFORMANCE_INTRODUCTION}"]
    for group in rules.GROUPS:
        parts.append(f"## {(inspect.getdoc(group) or '').rstrip('.')}")
        for rule in all_rules().values():
            if rule.check.__module__ == group.__name__:
                reasons = [f"- Why it matters: {rule.why}", f"- What to change: {rule.change}"]
                after = ", ".join(f"[`{name}`](#{name})" for name in rule.after)
                reasons += [f"- Checked after {after}."] if after else []
                parts.append("\n\n".join([f"### {rule.name}", rule.promise, "\n".join(reasons)]))
    return "\n\n".join(parts) + "\n"


def api_page() -> str:
    """Write the public names of the package ``vtune``."""
    parts = [f"# Python API\n\n{NOTE}\n{_markdown(inspect.getdoc(vtune) or '')}"]
    from vtune import evaluation, pipeline, plan, testing, toolkit
    from vtune.contract import exports, metrics, recognisers, tables
    from vtune.evaluation import compare
    from vtune.export import mixed_voice
    from vtune.voice_format import record
    from vtune.voices import mixing, speech

    for name in sorted(vtune.__all__):
        thing = getattr(vtune, name)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            parts.append(_entry(f"vtune.{name}", thing))
    for module, names in (
        (toolkit, toolkit.__all__),
        (pipeline, ["run"]),
        (plan, ["make_plan", "Plan"]),
        (speech, ["open_voice", "LoadedVoice"]),
        (mixing, ["open_named", "find_parts", "open_mix"]),
        (mixed_voice, ["write_mixed_voice"]),
        (evaluation, ["evaluate", "score", "read_selection", "Selection", "System", "Scores"]),
        (metrics, ["TestSet", "Utterance", "MetricSpec", "MetricResult", "Ratio", "Metric"]),
        (tables, ["TableReader", "TableRow"]),
        (recognisers, ["RecogniserBackend", "Recogniser", "Transcript"]),
        (exports, ["ExportTarget", "VoiceToExport", "ReadBack"]),
        (compare, ["compare", "contestants", "gather_test_set", "recipe_of"]),
        (record, ["list_voices", "find_voice", "read_record", "VoiceRecord"]),
        (testing, ["check_engine", "conformance_tests", "engine_outcomes", "Outcome", "made_clip"]),
    ):
        parts += [_entry(f"{module.__name__}.{name}", getattr(module, name)) for name in names]
    return "\n\n".join(parts) + "\n"


def cli_page() -> str:
    """Write every command of vtune with its arguments and options."""
    from vtune_cli.main import VERBS, main

    introduction = (
        "Every command with its options, as `--help` prints them. `-v` before the command logs each "
        "step, `-q` prints only results, warnings and errors. The exit code is 0 if all went well, 1 for a mistake in "
        "a recipe, in data or in a voice, 2 for a mistake in the command line, and 75 after a signal: run the same "
        "command again to continue."
    )
    parts = [f"# Command line\n\n{NOTE}\n{introduction}"]
    for verb in VERBS:
        context = click.Context(main, info_name="vtune")
        command = main.get_command(context, verb)
        assert command is not None
        parts += _commands(command, verb, context)
    return "\n\n".join(parts) + "\n"


def _commands(command: click.Command, name: str, above: click.Context) -> list[str]:
    """Write a command, and each command below it, under a heading of its own."""
    context = click.Context(command, info_name=name, parent=above)
    pieces = command.collect_usage_pieces(context)
    usage = " ".join([context.command_path, *pieces])
    text = f"## {context.command_path}\n\n`{usage}`\n\n{_markdown(inspect.cleandoc(command.help or ''))}"
    records = [
        record
        for option in command.params
        if isinstance(option, click.Option) and (record := option.get_help_record(context))
    ]
    if records:
        rows = [f"| `{names}` | {help_text} |".replace("|", "\\|") for names, help_text in records]
        rows = [f"| {row[3:-3]} |".replace("` \\| ", "` | ", 1) for row in rows]
        text += "\n\n| Option | Meaning |\n|---|---|\n" + "\n".join(rows)
    below = command.commands if isinstance(command, click.Group) else {}
    return [text, *(part for each, inner in below.items() for part in _commands(inner, each, context))]


ENVIRONMENT = {
    "VTUNE_API_KEYS": "API keys that `vtune serve` accepts, separated by commas, beside those of `--keys`.",
    "VTUNE_BLOCK_PLUGINS": "Names of engines and extensions, separated by commas, that are not loaded.",
    "VTUNE_LAUNCHER": "Set by `vtune run --launch` for the processes that it starts; do not set it yourself.",
    "VTUNE_RANK_TIMEOUT": "Seconds without a sign of life after which a rank of a launch counts as lost.",
    "VTUNE_TRACE_HOOKS": "`1` writes a line for each call of a hook to stderr.",
    "VTUNE_WHISPER": "Path of Whisper's weights (a `.pt` file) that evaluations use.",
}
"""Variable that vtune reads -> its meaning; a test holds the names to the code."""

TEST_ENVIRONMENT = {
    "VTUNE_ADVISORIES": "Address of the database of vulnerabilities that `tools/audit.py` asks instead of OSV.",
    "VTUNE_CHROMIUM": "Path of the Chromium in which tests open pages; default: one on the path.",
    "VTUNE_PARITY_KIT": "Folder of the parity kit of IndexTTS-2; without it, its tests are skipped.",
    "VTUNE_PARITY25_KIT": "Folder of the parity kit of IndexTTS-2.5; without it, its tests are skipped.",
    "VTUNE_PIPER_VOICE": "Path of a published Piper voice (`.onnx`); tests that need one are skipped without it.",
    "VTUNE_SCREENSHOTS": "Folder into which the tests of vtune's own pages write pictures of them.",
    "VTUNE_VLLM": "Path of the program `vllm` with which tests compare both back ends of the server.",
}


def environment_page() -> str:
    """Write every environment variable that vtune reads, and those of its tests."""
    introduction = "vtune has no settings that only an environment variable can change, apart from these."
    parts = [f"# Environment variables\n\n{NOTE}\n{introduction}"]
    for title, variables in (("vtune", ENVIRONMENT), ("Tests and tools", TEST_ENVIRONMENT)):
        rows = [f"| `{name}` | {meaning} |" for name, meaning in variables.items()]
        parts.append(f"## {title}\n\n| Variable | Meaning |\n|---|---|\n" + "\n".join(rows))
    others = "`HF_HOME` and `HF_HUB_OFFLINE` of huggingface_hub, and `CUDA_VISIBLE_DEVICES` of CUDA, work as usual."
    return "\n\n".join([*parts, others]) + "\n"


def _entry(name: str, thing: Any) -> str:
    signature = ""
    if inspect.isroutine(thing) and name != "vtune.hookimpl":
        signature = f"{_signature(name.rsplit('.', 1)[1], thing)}\n\n"
    text = f"## {name}\n\n{signature}{_markdown(inspect.getdoc(thing) or '')}"
    if inspect.isclass(thing) and not issubclass(thing, BaseModel):
        for method, function in vars(thing).items():
            inner = function.fget if isinstance(function, property) else function
            if inspect.isfunction(inner) and not method.startswith("_") and inner.__doc__:
                call = method if isinstance(function, property) else f"{method}{_arguments(inner)}"
                parts = _markdown(inspect.getdoc(inner) or "").replace("\n", "\n  ")
                text += f"\n\n- `{call}`: {parts}"
    return text


def _sections(model: type[BaseModel], name: str, engines: Mapping[str, EngineInfo]) -> list[str]:
    """Write a section of the recipe and the sections inside it, each under a heading of its own."""
    text = f"## {name or 'Top level'}\n\n{_markdown(inspect.getdoc(model) or '')}\n\n"
    if model is LoraRecipe:
        defaults = {f"default of `{engine}`": lora_defaults(info) for engine, info in engines.items()}
        text += f"{_table(model, name, defaults)}\n\n### Presets of `targets`\n\n{_lora_presets(engines)}"
    else:
        text += _table(model, name)
    parts = [text]
    for key, field in model.model_fields.items():
        inner = model_in(field.annotation)
        if inner is not None:
            parts += _sections(inner, f"{name}.{key}".strip("."), engines)
    return parts


def _table(model: type[BaseModel], section: str = "", defaults: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """Write a row for each key of a model.

    :param section: the section that the model describes, for links to the sections inside it.
    :param defaults: title of each default column to its values by key; None for one column with the model's own.
    """
    schema = model.model_json_schema()
    defaults = defaults or {"default": _model_defaults(model)}
    affects = ["affects"] if issubclass(model, vtune.EngineOptions) else []
    rows = [["key", "type", "range", *defaults, *affects, "meaning"]]
    rows.append(["---"] * len(rows[0]))
    for name, key in schema["properties"].items():
        required = name in schema.get("required", ())
        values = ["required" if required else _default(values[name], key) for values in defaults.values()]
        effects = [", ".join(key["affects"])] if affects else []
        rows.append(
            [f"`{name}`", _key_type(key, section + name), _key_range(key), *values, *effects, key["description"]]
        )
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def _model_defaults(model: type[BaseModel]) -> dict[str, Any]:
    fields = {name: field for name, field in model.model_fields.items() if not field.is_required()}
    defaults = {name: field.get_default(call_default_factory=True, validated_data={}) for name, field in fields.items()}
    return model.model_construct(**defaults).model_dump(mode="json", include=set(defaults), warnings=False)


def _lora_presets(engines: Mapping[str, EngineInfo]) -> str:
    rows = ["| engine | preset of `targets` | modules |", "|---|---|---|"]
    for engine, info in engines.items():
        for preset, modules in info.lora_targets.items():
            names = ", ".join(f"`{module}`" for module in modules).replace("|", "\\|")
            rows.append(f"| `{engine}` | `{preset}` | {names} |")
    return "\n".join(rows)


_TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "mapping",
    "null": "null",
}


def _key_type(schema: Mapping[str, Any], name: str) -> str:
    """Name what a JSON schema accepts, as a recipe's writer says it: ``whole number or null``."""
    if "anyOf" in schema:
        return " or ".join(_key_type(option, name) for option in schema["anyOf"])
    if "$ref" in schema:
        return f"[section](#{name})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return "choice"
    if schema.get("format") == "path":
        return "path"
    if schema.get("type") == "array":
        count = (
            f"{schema['minItems']} " if "minItems" in schema and schema["minItems"] == schema.get("maxItems") else ""
        )
        item = _key_type(schema["items"] if "items" in schema else schema["prefixItems"][0], name)
        return f"list of {count}{item if item.startswith('[') else item + 's'}"
    return _TYPES.get(schema.get("type", ""), "mapping")


def _key_range(schema: Mapping[str, Any]) -> str:
    """Name the values that a JSON schema allows beside their type: ``1 to 512``."""
    if "$ref" in schema:
        return "its own keys"
    if schema.get("type") == "boolean":
        return "`true`, `false`"
    if "anyOf" in schema:
        ranges = [_key_range(option) for option in schema["anyOf"] if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(text for text in ranges if text != "any")) or "any"
    if "enum" in schema:
        return ", ".join(
            f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`" for value in schema["enum"]
        )
    if "const" in schema:
        return f"`{schema['const']}`"
    if "pattern" in schema:
        return f"`{schema['pattern']}`"
    if schema.get("minLength"):
        return "not empty"
    if "prefixItems" in schema:
        return f"each {_key_range(schema['prefixItems'][0])}"
    if schema.get("minItems"):
        return f"{schema['minItems']} or more items"
    return _number_range(schema)


def _number_range(schema: Mapping[str, Any]) -> str:
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    if schema.get("type") == "integer" and "exclusiveMinimum" in schema:
        lowest = schema["exclusiveMinimum"] + 1 if lowest is None else max(lowest, schema["exclusiveMinimum"] + 1)
    if lowest is not None and highest is not None:
        return f"{lowest:,} to {highest:,}"
    limits = [
        f"{lowest:,} or more" if lowest is not None else "",
        f"above {schema['exclusiveMinimum']}" if lowest is None and "exclusiveMinimum" in schema else "",
        f"{highest:,} or less" if highest is not None else "",
        f"below {schema['exclusiveMaximum']}" if "exclusiveMaximum" in schema else "",
    ]
    return ", ".join(filter(None, limits)) or "any"


def _default(value: Any, schema: Mapping[str, Any]) -> str:
    if "$ref" in schema and value != {}:
        return "its own defaults"
    if isinstance(value, float):
        return f"`{value:g}`"
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf, allow_unicode=True)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def _signature(name: str, function: Any) -> str:
    return f'```python parsed="a signature"\n{name}{_arguments(function)}\n```'


def _arguments(function: Any) -> str:
    return re.sub(r"'([^']+)'", r"\1", str(inspect.signature(function)))


def _markdown(doc: str) -> str:
    """Turn the docstrings' fields, examples and double backticks into Markdown."""
    doc, *examples = re.split(r"^Example::\n\n", doc, flags=re.M)
    text = _markdown_text(doc)
    for example in examples:
        text += f"Example:\n\n```python\n{textwrap.dedent(example).strip()}\n```"
    return text


def _markdown_text(doc: str) -> str:
    doc = re.sub(r"``([^`]+)``", r"`\1`", doc)
    doc = re.sub(r"^:param (\w+): ", r"- `\1`: ", doc, flags=re.M)
    doc = re.sub(r"^:returns: ", "- returns ", doc, flags=re.M)
    doc = re.sub(r":raises ([\w.]+): ", r"- raises `\1`: ", doc)
    # A list needs a blank line before it, and its continuation lines an indent of two.
    doc = re.sub(r"^    (?=\S)", "  ", doc, flags=re.M)
    return re.sub(r"(?<!\n)\n(- )", r"\n\1", doc)


if __name__ == "__main__":
    main()
