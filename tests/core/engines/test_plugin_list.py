"""Each plugin is listed separately and can be blocked, and the calls of its hooks can be traced."""

from __future__ import annotations

import re

import pytest

from vtune.engines import available_engines, find_plugins, list_plugins, load_engine, load_recipe
from vtune.engines.blocking import _warn
from vtune.engines.plugin_list import Plugin
from vtune.errors import EngineError


@pytest.fixture(autouse=True)
def acme(install, engine):
    install("acme", "vtune.engines", {"acme": "acme_engine"}, acme_engine=engine)


def only(name: str) -> Plugin:
    (plugin,) = find_plugins(name)
    return plugin


def test_a_plugin_has_its_version_its_origin_and_the_line_of_each_hook(extension, install, tmp_path):
    install("colours", "vtune.plugins", {"colours": "colours_extension"}, colours_extension=extension)
    plugin = only("colours")
    assert (plugin.kind, plugin.version, plugin.distribution) == ("extension", "1.0", "colours")
    assert (plugin.state, plugin.problem) == ("loaded", "")
    assert plugin.origin == f"installed in {tmp_path / 'site'}"
    lines = extension.splitlines()
    for hook in plugin.details.hooks:
        assert hook.file == str(tmp_path / "site" / "colours_extension.py")
        assert f"def {hook.name}(" in "\n".join(lines[hook.line - 1 : hook.line + 1])
    assert [hook.name for hook in plugin.details.hooks] == ["extension_info", "trainer_callbacks"]
    (option,) = plugin.details.options
    assert (option.name, option.default, option.affects) == ("red", "1", ["speech"])


def test_an_editable_distribution_has_its_folder(install, engine, tmp_path):
    note = '{"url": "file:///home/me/my%20engine", "dir_info": {"editable": true}}'
    (tmp_path / "site" / "acme-1.0.dist-info" / "direct_url.json").write_text(note)
    assert only("acme").origin == "editable at /home/me/my engine"
    (tmp_path / "site" / "acme-1.0.dist-info" / "direct_url.json").write_text("[]")
    assert only("acme").origin == f"installed in {tmp_path / 'site'}"


def test_a_broken_plugin_is_broken_alone(install, extension):
    install("bad", "vtune.plugins", {"bad": "bad_extension"}, bad_extension="import no_such_library_anywhere")
    install("worse", "vtune.engines", {"worse": "worse_engine"}, worse_engine="x = 1 / 0")
    states = {(plugin.kind, plugin.name): plugin.state for plugin in list_plugins()}
    assert states["engine", "acme"] == states["engine", "toy"] == "loaded"
    assert states["extension", "bad"] == states["engine", "worse"] == "broken"
    assert only("bad").problem.startswith("extension 'bad' (bad 1.0) cannot be imported: ModuleNotFoundError: ")


def test_two_extensions_of_one_name_are_both_broken_and_stop_every_run(install, extension):
    for name in ("one", "two"):
        install(name, "vtune.plugins", {"colours": f"{name}_extension"}, **{f"{name}_extension": extension})
    message = "extension 'colours' is offered by one 1.0 and by two 1.0; uninstall all but one"
    assert [plugin.problem for plugin in find_plugins("colours")] == [message, message]
    with pytest.raises(EngineError, match=re.escape(message)):
        load_engine("acme")


def test_a_mistyped_name_suggests_the_nearest():
    with pytest.raises(EngineError, match="no plugin 'acmee' is installed; did you mean 'acme'"):
        find_plugins("acmee")


def test_an_extension_for_a_newer_vtune_says_which(install, tmp_path):
    source = "import vtune\n@vtune.hookimpl\ndef paint(base):\n    pass\n"
    install("future", "vtune.plugins", {"future": "future_extension"}, future_extension=source)
    metadata = tmp_path / "site" / "future-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text() + "Requires-Dist: numpy\nRequires-Dist: vtune-tts<0.4,>=0.3\n")
    message = only("future").problem
    assert message.startswith(
        "extension 'future' (future 1.0) was written for another version of vtune's hooks: there is no hook 'paint'"
    )
    assert message.endswith("; this is vtune 0.1.0, and it asks for vtune-tts<0.4,>=0.3")


def test_a_blocked_engine_is_not_imported(install, monkeypatch):
    import sys

    install("bad", "vtune.engines", {"bad": "bad_engine"}, bad_engine="x = 1 / 0")
    monkeypatch.setenv("VTUNE_BLOCK_PLUGINS", "bad, acme")
    with pytest.raises(EngineError, match="engine 'acme' is blocked by VTUNE_BLOCK_PLUGINS; take its name out of this"):
        load_engine("acme")
    assert [only(name).state for name in ("acme", "bad")] == ["blocked", "blocked"]
    assert isinstance(available_engines()["acme"], EngineError)
    assert "bad_engine" not in sys.modules
    assert load_engine("toy").name == "toy"


def test_a_blocked_extension_stops_no_run_and_its_section_is_not_read(
    install, extension, tmp_path, monkeypatch, caplog
):
    source = extension + "\nx = 1 / 0\n"
    install("colours", "vtune.plugins", {"colours": "colours_extension"}, colours_extension=source)
    path = tmp_path / "r.yaml"
    path.write_text("voice: a\nengine: acme\ndata: [{source: x}]\nextensions: {colours: {red: 3}}\n")
    monkeypatch.setenv("VTUNE_BLOCK_PLUGINS", "colours")
    assert load_recipe(path).extensions == {}
    (warning,) = [entry.getMessage() for entry in caplog.records]
    assert warning == f"{path}:4: the section 'extensions.colours' is not read: this extension is blocked"


def test_a_blocked_name_that_nothing_has_is_a_warning(monkeypatch, caplog):
    _warn.cache_clear()
    monkeypatch.setenv("VTUNE_BLOCK_PLUGINS", "acmee,")
    load_engine("acme")
    load_engine("acme")
    (warning,) = [entry.getMessage() for entry in caplog.records]
    assert warning.startswith(
        "VTUNE_BLOCK_PLUGINS blocks 'acmee', but no plugin has this name; did you mean 'acme'? (installed: acme, "
    )


WRAPPER = """
import vtune

@vtune.hookimpl(wrapper=True)
def fingerprint(base):
    return {**(yield), "wrapped": "x"}

@vtune.hookimpl(wrapper=True)
def collate(features):
    yield
    raise KeyError("labels")
"""


def test_each_call_of_a_hook_is_a_line(install, monkeypatch, capfd):
    import numpy as np
    import torch

    from vtune.types import Clip

    install("frame", "vtune.plugins", {"frame": "frame_extension"}, frame_extension=WRAPPER)
    monkeypatch.setenv("VTUNE_TRACE_HOOKS", "1")
    engine = load_engine("toy")
    base = engine.load_base(engine.info.options(), torch.device("cpu"), torch.float32)
    assert engine.fingerprint(base)["wrapped"] == "x"
    clip = Clip("a", "anna", "hello", np.zeros(1600, np.float32), 8000)
    features = engine.prepare_sample(base, clip)
    with pytest.raises(EngineError):
        engine.collate(base, [features])
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("hook [")]
    toy, frame = r"engine 'toy' \(vtune-toy 0\.1\.0\)", r"extension 'frame' \(frame 1\.0\)"
    expected = [
        rf"{toy}: engine_info\(\) -> EngineInfo",
        rf"{toy}: load_base\(options=ToyOptions, device=device, dtype=dtype\) -> ToyBase",
        rf"{toy}: fingerprint\(base=ToyBase\) -> {{network: 'width 16'}}",
        rf"{frame}: wrapper of fingerprint\(base=ToyBase\) -> {{network: 'width 16', wrapped: 'x'}}",
        rf"{toy}: prepare_sample\(base=ToyBase, clip=Clip\('a', 0\.20 s at 8000 Hz\)\) -> "
        r"{letters: int64\[10\], labels: int64\[10\]}",
        rf"{toy}: collate\(features=\[{{.*}}\]\) -> {{letters: int64\[1, 10\], .*}}",
        rf"{frame}: wrapper of collate\(features=\[.*\]\) raised KeyError: 'labels'",
    ]
    printed = [line for line in lines if "vtune defaults" not in line]
    for line, pattern in zip(printed, expected, strict=True):
        assert re.fullmatch(rf"hook \[\d+\] +\d+\.\d\d ms  {pattern}", line), line


def test_speech_is_one_line_with_its_pieces(make_voice, tmp_path, monkeypatch, capfd):
    from vtune.voices.speech import open_voice

    monkeypatch.setenv("VTUNE_TRACE_HOOKS", "1")
    voice = open_voice(make_voice(tmp_path / "anna"), "cpu")
    pieces = len(list(voice.stream("hello there")))
    text = capfd.readouterr().err
    assert re.search(
        rf"synthesize\(.*text='hello there'.*\) -> {pieces} items, the last Audio\(0\.02 s at 8000 Hz", text
    )
    next(voice.stream("hello there"))
    assert "was left after 1 items" in capfd.readouterr().err


def test_without_the_variable_no_hook_is_wrapped(monkeypatch):
    import vtune_toy

    monkeypatch.setenv("VTUNE_TRACE_HOOKS", "0")
    (implementation,) = load_engine("toy")._manager.hook.prepare_sample.get_hookimpls()
    assert implementation.function is vtune_toy.prepare_sample
