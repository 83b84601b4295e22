from __future__ import annotations


def test_every_engine_shows_its_distribution_and_its_options(vtune):
    lines = vtune("engines").output.splitlines()
    toy = lines.index("toy (vtune-toy 0.1.0): 8000 Hz; LoRA targets: all, outer")
    assert lines[toy + 1] == "    width = 16 (affects training, runtime): The size of the network."
    assert any(line.startswith("orpheus (vtune-tts ") for line in lines)


def test_an_option_that_must_be_given_says_so(vtune, install, engine_source):
    install("acme", "vtune.engines", engine_source)
    lines = vtune("engines").output.splitlines()
    acme = lines.index("acme (acme 1.0): 16000 Hz; LoRA targets: module names")
    assert lines[acme + 1 : acme + 3] == [
        "    model = required (affects training, runtime): The model.",
        "    names = ['a'] (affects features): ",
    ]


def test_a_broken_engine_is_one_line_among_the_good_ones(vtune, install, engine_source):
    install("broken", "vtune.engines", "import no_such_library_anywhere")
    install("wrong", "vtune.engines", engine_source.replace("16000", "None"))
    result = vtune("engines")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    (broken,) = [line for line in lines if line.startswith("broken: ")]
    assert "engine 'broken' (broken 1.0) cannot be imported: ModuleNotFoundError: " in broken
    (wrong,) = [line for line in lines if line.startswith("wrong: ")]
    assert "engine_info gives sample_rate None" in wrong
    assert any(line.startswith("toy (vtune-toy ") for line in lines)


def test_the_schema_leaves_a_broken_engine_out(vtune, install):
    install("broken", "vtune.engines", "import no_such_library_anywhere")
    result = vtune("recipe", "schema")
    assert result.exit_code == 0
    assert '"const": "toy"' in result.output
    assert "broken" not in result.output
