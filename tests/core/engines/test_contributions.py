"""Entries that plugins add to vtune's registries: a wrong entry or a clash of names is reported with extension and
hook.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vtune.dataset.sources.formats import table_formats
from vtune.engines import audio_formats, load_engine, load_recipe
from vtune.errors import EngineError, RecipeError, VtuneError
from vtune.export.export import export_targets
from vtune.ingest.transcribe import find_backend, recogniser_backends

IMPORTS = """\
import vtune
from vtune.contract.exports import ExportTarget
from vtune.contract.recognisers import RecogniserBackend
from vtune.contract.tables import TableReader

@vtune.hookimpl
def {hook}():
    return {entries}
"""

READERS: dict[str, Callable[[], object]] = {
    "table_formats": table_formats,
    "audio_formats": audio_formats,
    "recognisers": recogniser_backends,
    "export_targets": lambda: export_targets(load_engine("toy")),
}


@pytest.fixture
def add(install):
    def make(hook: str, entries: str, name: str = "acme") -> None:
        module = f"{name}_extension"
        source = IMPORTS.format(hook=hook, entries=entries)
        install(name, "vtune.plugins", {name: module}, **{module: source})

    return make


def refusal(hook: str) -> str:
    with pytest.raises(EngineError) as caught:
        READERS[hook]()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.startswith("extension 'acme' (acme 1.0): ")
    return message.removeprefix("extension 'acme' (acme 1.0): ")


@pytest.mark.parametrize("hook", READERS)
def test_an_answer_of_a_wrong_type_names_extension_hook_and_what_was_returned(add, hook):
    add(hook, "{'a': 1}")
    assert refusal(hook) == f"{hook} returned {{'a': 1}}; it must return a list"


@pytest.mark.parametrize("hook", READERS)
def test_an_entry_of_a_wrong_type_names_what_was_listed(add, hook):
    add(hook, "['wav']")
    assert refusal(hook).startswith(f"{hook} lists 'wav', each entry must be a ")


@pytest.mark.parametrize("hook", READERS)
def test_a_hook_that_raises_names_its_line(add, hook):
    add(hook, "[1 / 0]")
    assert refusal(hook) == f"{hook} raised ZeroDivisionError division by zero at acme_extension.py:8"


@pytest.mark.parametrize("hook", READERS)
def test_no_answer_adds_nothing(add, hook):
    before = list(READERS[hook]())  # type: ignore[call-overload]
    add(hook, "None")
    assert list(READERS[hook]()) == before  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("hook", "entry", "message"),
    [
        ("table_formats", "TableReader('x', ['.eq'], print)", "TableReader: 'endings' must be a tuple, found ['.eq']"),
        ("table_formats", "TableReader('x', ('.eq',), 3)", "TableReader: 'read' must be a function, found 3"),
        ("table_formats", "TableReader('x', ('eq',), print)", "TableReader: 'endings.0' must match the pattern"),
        ("audio_formats", "vtune.AudioFormat('A c', 'audio/x', 'x', print)", "AudioFormat: 'name' must match"),
        ("audio_formats", "vtune.AudioFormat('ac', 'x\\n', 'x', print)", "AudioFormat: 'media_type' must match"),
        ("recognisers", "RecogniserBackend('acme', 'words')", "RecogniserBackend: 'open' is missing; write open=..."),
        ("export_targets", "ExportTarget('npz', 'x', print)", "ExportTarget: 'compare' is missing; write compare=..."),
        (
            "export_targets",
            "ExportTarget('npz', 'x', print, print, tolerance=2.0)",
            "ExportTarget: 'tolerance' must be 0.1 or less, found 2.0",
        ),
    ],
)
def test_a_wrong_field_of_an_entry_is_named(add, hook, entry, message):
    add(hook, f"[{entry}]")
    assert refusal(hook).startswith(f"{hook} lists a wrong {message}")


CLASHES = [
    ("table_formats", "TableReader({name!r}, ('.eq',), print)", "CSV, TSV or pipes"),
    ("audio_formats", "vtune.AudioFormat({name!r}, 'audio/x', 'x', print)", "mp3"),
    ("recognisers", "RecogniserBackend({name!r}, 'words', print)", "whisper"),
    ("export_targets", "ExportTarget({name!r}, 'x', print, print)", "merged"),
]


@pytest.mark.parametrize(("hook", "entry", "name"), CLASHES, ids=[hook for hook, *_ in CLASHES])
def test_no_entry_takes_the_place_of_vtunes_own(add, hook, entry, name):
    add(hook, f"[{entry.format(name=name)}]")
    assert refusal(hook) == f"{hook} lists {name!r}, which vtune has already; rename one of them"


@pytest.mark.parametrize(("hook", "entry"), [clash[:2] for clash in CLASHES], ids=[hook for hook, *_ in CLASHES])
def test_two_extensions_with_one_entry_are_both_named(add, hook, entry):
    add(hook, f"[{entry.format(name='new')}]", "aaaa")
    assert "new" in READERS[hook]()  # type: ignore[operator]
    add(hook, f"[{entry.format(name='new')}]")
    assert refusal(hook).startswith(f"{hook} lists 'new', which extension 'aaaa' (aaaa 1.0) has already; rename one of")


METRIC = """
import vtune
from vtune.contract.metrics import MetricSpec

class Made:
    specs = (MetricSpec({metric!r}, "made", "high"),)

@vtune.hookimpl
def metrics(recipe):
    return {{{group!r}: Made}}
"""


@pytest.mark.parametrize(
    ("group", "metric", "message"),
    [
        ("made", "good", "metrics lists the group 'made', which extension 'aaaa' (aaaa 1.0) has already; rename it"),
        (
            "other",
            "wer",
            "metrics lists 'wer' in the group 'other', which vtune has already in the group 'intelligibility'; rename "
            "it, or give the group the name 'intelligibility', whose place it then takes",
        ),
        ("other", "made", "metrics lists 'made' in the group 'other', which extension 'aaaa' (aaaa 1.0) has already"),
    ],
)
def test_two_metrics_of_one_name_are_told_with_both_owners(install, tmp_path, group, metric, message):
    from vtune.evaluation import metric_makers

    for name, source in (
        ("aaaa", METRIC.format(group="made", metric="made")),
        ("acme", METRIC.format(group=group, metric=metric)),
    ):
        install(name, "vtune.plugins", {name: f"{name}_extension"}, **{f"{name}_extension": source})
    (tmp_path / "r.yaml").write_text("voice: a\nengine: toy\ndata: [{source: x}]\n")
    with pytest.raises(EngineError) as caught:
        metric_makers(load_engine("toy"), load_recipe(tmp_path / "r.yaml"))
    assert str(caught.value).startswith(f"extension 'acme' (acme 1.0): {message}")


def test_a_recipe_names_a_recogniser_of_an_extension_and_a_typo_is_told(add, tmp_path):
    add("recognisers", "[RecogniserBackend('acme', 'words', print)]")
    path = tmp_path / "r.yaml"
    path.write_text("voice: a\nengine: toy\ndata: [{source: x}]\ntranscribe: {backend: acme}\n")
    assert load_recipe(path).transcribe.backend == "acme"
    path.write_text("voice: a\nengine: toy\ndata: [{source: x}]\ntranscribe: {backend: acne}\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert caught.value.problems == (
        f"{path}:4: there is no recogniser 'acne'; did you mean 'acme'? (recognisers: whisper, faster-whisper, "
        "transformers, acme)",
    )
    with pytest.raises(VtuneError, match="there is no recogniser 'acne'; did you mean 'acme'"):
        find_backend("acne")


@pytest.mark.parametrize(
    ("hook", "source"), [("table_formats", "return []"), ("watermark", "return abs"), ("register_commands", "...")]
)
def test_an_engine_has_no_hooks_of_extensions(install, engine, hook, source):
    arguments = {"watermark": "voice", "register_commands": "cli"}.get(hook, "")
    source = f"{engine}\n@vtune.hookimpl\ndef {hook}({arguments}):\n    {source}\n"
    install("acme", "vtune.engines", {"acme": "acme_engine"}, acme_engine=source)
    with pytest.raises(EngineError, match=f"implements the hook '{hook}', which is for extensions; put it into a"):
        load_engine("acme")


def test_a_hook_that_lists_cannot_be_wrapped(install):
    source = "import vtune\n@vtune.hookimpl(wrapper=True)\ndef metrics(recipe):\n    return (yield)\n"
    install("acme", "vtune.plugins", {"acme": "acme_extension"}, acme_extension=source)
    with pytest.raises(EngineError, match="wraps the hook 'metrics', whose answers of all plugins are collected"):
        load_engine("toy")
