"""Write the reference pages from the code: ``python tools/write_reference.py``; a test holds them to it."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

import vtune
from vtune.contract import hookspecs
from vtune.recipe.model import Recipe
from vtune.recipe.suggest import model_in

DOCS = Path(__file__).resolve().parents[1] / "docs"
NOTE = "<!-- Written by tools/write_reference.py from the code; edit that. -->\n"


def main() -> None:
    """Write every page."""
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Return the pages by file name."""
    return {"hooks.md": hooks_page(), "recipe.md": recipe_page(), "api.md": api_page()}


def hooks_page() -> str:
    """Every hook with its signature, shapes, units and errors."""
    parts = [f"# Hooks\n\n{NOTE}\n{_markdown(inspect.getdoc(hookspecs) or '')}"]
    for name, function in vars(hookspecs).items():
        if not hasattr(function, f"{hookspecs.PROJECT}_spec"):
            continue
        kind = "required" if name in hookspecs.REQUIRED else "optional"
        if not getattr(function, f"{hookspecs.PROJECT}_spec")["firstresult"]:
            kind = "extensions, all are asked"
        doc = _markdown(inspect.getdoc(function) or "")
        parts.append(f"## {name}\n\n{_signature(name, function)}\n\n*{kind}*\n\n{doc}")
    return "\n\n".join(parts) + "\n"


def recipe_page() -> str:
    """Every key of a recipe with its kind, default and meaning."""
    parts = [
        f"# Recipe\n\n{NOTE}\nEvery key, its default and what it means. `vtune recipe show RECIPE` prints a "
        "recipe with all defaults written out, `vtune recipe schema` a JSON schema for editors. `extends: other.yaml` "
        "lays a recipe over another: sections merge key by key, lists are replaced whole."
    ]
    parts += _sections(Recipe, "")
    for engine in vtune.available_engines().values():
        if isinstance(engine, vtune.Engine) and engine.name != "toy":
            doc = f"## engine_options of `{engine.name}`\n\n{_table(engine.info.options, set())}"
            parts.append(doc)
    return "\n\n".join(parts) + "\n"


def api_page() -> str:
    """The public names of the package ``vtune``."""
    parts = [f"# Python API\n\n{NOTE}\n{_markdown(inspect.getdoc(vtune) or '')}"]
    from vtune import evaluation, pipeline, plan, testing
    from vtune.contract import metrics
    from vtune.evaluation import compare
    from vtune.export import mixed_voice
    from vtune.voice_format import record
    from vtune.voices import mixing, speech

    for name in sorted(vtune.__all__):
        thing = getattr(vtune, name)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            parts.append(_entry(f"vtune.{name}", thing))
    for module, names in (
        (pipeline, ["run"]),
        (plan, ["make_plan", "Plan"]),
        (speech, ["open_voice", "Voice"]),
        (mixing, ["open_named", "find_parts", "open_mix"]),
        (mixed_voice, ["write_mixed_voice"]),
        (evaluation, ["evaluate", "score", "quality", "System", "Scores"]),
        (metrics, ["TestSet", "Utterance", "MetricSpec", "MetricResult", "Ratio", "Metric"]),
        (compare, ["compare", "contestants", "material_of", "recipe_of"]),
        (record, ["list_voices", "find_voice", "read_record", "VoiceRecord"]),
        (testing, ["check_engine", "made_clip"]),
    ):
        parts += [_entry(f"{module.__name__}.{name}", getattr(module, name)) for name in names]
    return "\n\n".join(parts) + "\n"


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


def _sections(model: type[BaseModel], name: str) -> list[str]:
    inner = {key: found for key, field in model.model_fields.items() if (found := model_in(field.annotation))}
    title = f"## {name}" if name else "## The top"
    doc = inspect.getdoc(model) or ""
    parts = [f"{title}\n\n{_markdown(doc)}\n\n{_table(model, set(inner))}"]
    for key, found in inner.items():
        parts += _sections(found, f"{name}.{key}".strip("."))
    return parts


def _table(model: type[BaseModel], sections: set[str]) -> str:
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        default = "a section" if name in sections and field.default is not None else _default(field)
        meaning = (field.description or "").replace("|", "\\|")
        rows.append(f"| `{name}` | {default} | {meaning} |")
    return "\n".join(rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**needed**"
    value = field.get_default(call_default_factory=True, validated_data={})
    return f"`{value!r}`" if not isinstance(value, Path) else f"`{value}`"


def _signature(name: str, function: Any) -> str:
    return f"```python\n{name}{_arguments(function)}\n```"


def _arguments(function: Any) -> str:
    return re.sub(r"'([^']+)'", r"\1", str(inspect.signature(function)))


def _markdown(doc: str) -> str:
    """Turn the docstrings' fields and double backticks into Markdown."""
    doc = re.sub(r"``([^`]+)``", r"`\1`", doc)
    doc = re.sub(r"^:param (\w+): ", r"- `\1`: ", doc, flags=re.M)
    doc = re.sub(r"^:returns: ", "- returns ", doc, flags=re.M)
    doc = re.sub(r":raises ([\w.]+): ", r"- raises `\1`: ", doc)
    # A list needs a blank line before it, and its continuation lines an indent of two.
    doc = re.sub(r"^    (?=\S)", "  ", doc, flags=re.M)
    return re.sub(r"(?<!\n)\n(- )", r"\n\1", doc)


if __name__ == "__main__":
    main()
