from __future__ import annotations

import json


def test_json_has_everything_and_no_line_breaks_of_others(vtune, install, engine_source):
    install("acme", "vtune.engines", engine_source)
    install("broken", "vtune.plugins", "raise ValueError('a\\nb\\x1b[2J')")
    plugins = {plugin["name"]: plugin for plugin in json.loads(vtune("plugins", "--json").output)}
    assert plugins["toy"]["version"] == "0.1.0"
    assert plugins["toy"]["details"]["sample_rate"] == 8000
    acme = plugins["acme"]
    assert [option["name"] for option in acme["details"]["options"]] == ["model", "names"]
    assert acme["details"]["options"][0]["default"] == "required"
    assert (plugins["broken"]["kind"], plugins["broken"]["state"]) == ("extension", "broken")
    assert "ValueError: a b" in plugins["broken"]["problem"]


def test_a_file_that_a_person_names_is_a_plugin_too(vtune, tmp_path, monkeypatch, engine_source):
    path = tmp_path / "mine.py"
    path.write_text(engine_source)
    out = vtune("plugins", str(path)).output
    assert out.startswith(
        f"engine mine.py: loaded\n    origin: file {path}\n    16000 Hz; LoRA targets: module names\n"
    )
    assert f"        engine_info: {path}:11\n" in out
    missing = vtune("plugins", str(tmp_path / "gone.py"))
    assert missing.exit_code == 1
    assert missing.stderr.startswith("Error: there is no engine file ")


def test_a_mistyped_name_and_a_blocked_engine_are_one_line(vtune, monkeypatch):
    typo = vtune("plugins", "toyy")
    assert typo.exit_code == 1
    assert typo.stderr.startswith("Error: no plugin 'toyy' is installed; did you mean 'toy'? (installed: ")
    monkeypatch.setenv("VTUNE_BLOCK_PLUGINS", "toy")
    lines = vtune("plugins").output.splitlines()
    row = next(number for number, line in enumerate(lines) if line.startswith("toy "))
    assert lines[row].split()[:4] == ["toy", "engine", "0.1.0", "blocked"]
    assert lines[row + 1] == "    engine 'toy' (vtune-toy 0.1.0) is blocked by VTUNE_BLOCK_PLUGINS"
    assert "toy: engine 'toy' (vtune-toy 0.1.0) is blocked by VTUNE_BLOCK_PLUGINS" in vtune("engines").output


def test_engines_says_which_extension_stops_them_all(vtune, install):
    install("broken", "vtune.plugins", "import no_such_library_anywhere")
    result = vtune("engines")
    assert "toy (vtune-toy 0.1.0): 8000 Hz" in result.output
    assert result.stderr.startswith("no engine can be used: extension 'broken' (broken 1.0) cannot be imported: ")
