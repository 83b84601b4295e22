from __future__ import annotations

import json

import pytest

RECORD = {
    "name": "anna",
    "engine": "toy",
    "engine_origin": "vtune-toy 0.1.0",
    "engine_options": {},
    "method": "lora",
    "sample_rate": 8000,
    "fingerprint": {},
    "servable": True,
    "lora": {},
    "training": {},
    "ledger": {"clips": {"train": 7, "skipped": 2}},
    "consent": {"person": "Anna", "statement": "yes"},
    "licence": "",
    "licence_id": "other",
    "licence_name": "",
    "vtune": "0.1.0",
    "created": "2025-01-01T00:00:00+00:00",
    "mix": None,
    "imported": None,
}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "voices"


@pytest.fixture
def make(folder):
    def voice(name: str, record: object = RECORD) -> None:
        (folder / name).mkdir(parents=True)
        (folder / name / "adapter_config.json").write_text('{"r": 32, "lora_alpha": 64}')
        text = record if isinstance(record, str) else json.dumps(record)
        (folder / name / "voice.json").write_text(text)

    return voice


def test_no_voices_say_how_to_make_one(vtune, folder):
    message = f"no voices in {folder}; 'vtune run RECIPE' makes one\n"
    assert vtune("voices", "--voices", str(folder)).output == message
    folder.mkdir()
    assert vtune("voices", "--voices", str(folder)).output == message
    assert json.loads(vtune("voices", "--voices", str(folder), "--json").output) == []


def test_the_default_is_the_folder_voices_here(vtune, make, tmp_path, monkeypatch):
    make("anna")
    monkeypatch.chdir(tmp_path)
    assert vtune("voices").output.startswith("anna ")


def test_each_voice_is_a_line(vtune, make, folder):
    make("anna")
    make("ben", {**RECORD, "name": "ben", "consent": None})
    first, second = vtune("voices", "--voices", str(folder)).output.splitlines()
    assert first.split() == ["anna", "toy", "lora", "7", "clips", "consent", "stated"]
    assert second.split() == ["ben", "toy", "lora", "7", "clips", "no", "consent", "stated"]


def test_a_copied_voice_has_the_name_of_its_folder(vtune, make, folder):
    make("copy_of_anna")
    assert vtune("voices", "--voices", str(folder)).output.startswith("copy_of_anna ")
    (row,) = json.loads(vtune("voices", "--voices", str(folder), "--json").output)
    assert row["name"] == "copy_of_anna"


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "[" * 50_000, json.dumps({**RECORD, "engine": None}), json.dumps(RECORD)[:100]]
)
def test_a_damaged_voice_is_one_line_among_the_good_ones(vtune, make, folder, damage):
    make("anna")
    make("broken", damage)
    result = vtune("voices", "--voices", str(folder))
    assert result.exit_code == 0
    good, bad = result.output.splitlines()
    assert good.startswith("anna ")
    assert bad.split(maxsplit=1)[0] == "broken"
    assert "is damaged" in bad
    rows = json.loads(vtune("voices", "--voices", str(folder), "--json").output)
    assert [row["name"] for row in rows] == ["anna", "broken"]
    assert "is damaged" in rows[1]["error"]


@pytest.mark.parametrize("ledger", [{}, {"clips": None}, {"clips": 3}, {"clips": {"train": None}}, {"clips": {}}])
def test_a_ledger_without_counts_is_no_crash(vtune, make, folder, ledger):
    make("anna", {**RECORD, "ledger": ledger})
    result = vtune("voices", "--voices", str(folder))
    assert result.exit_code == 0
    assert result.output.startswith("anna ")


def test_json_has_all_of_the_record(vtune, make, folder):
    make("anna")
    (row,) = json.loads(vtune("voices", "--voices", str(folder), "--json").output)
    assert row == {**RECORD, "extensions": {}, "path": str(folder / "anna")}


def test_a_file_instead_of_the_folder_exits_2(vtune, recipe):
    assert vtune("voices", "--voices", str(recipe)).exit_code == 2


def test_saying_with_a_damaged_voice_is_one_line(vtune, make, folder):
    make("broken", "{")
    result = vtune("say", "broken", "Hello.", "--voices", str(folder))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {folder / 'broken' / 'voice.json'} is damaged: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either TEXT or --file"),
        (["Hello.", "--file", "-"], "give either TEXT or --file"),
        (["Hello.", "--raw"], "--raw needs --stream or --out -"),
        (["Hello.", "--set", "width"], "--set takes option=value"),
        (["Hello.", "--set", "=3"], "--set takes option=value"),
        (["Hello.", "--seed", "-1"], "Invalid value for '--seed'"),
        (["Hello.", "--device", "tpu"], "Invalid value for '--device'"),
    ],
)
def test_arguments_that_do_not_go_together_exit_2(vtune, make, folder, arguments, message):
    make("anna")
    result = vtune("say", "anna", *arguments, "--voices", str(folder))
    assert result.exit_code == 2
    assert message in result.stderr


def test_an_engine_option_that_is_not_yaml_is_one_line(vtune, make, folder):
    make("anna")
    result = vtune("say", "anna", "Hello.", "--set", "width=[1", "--voices", str(folder))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: --set width: not YAML: ")
    assert len(result.stderr.splitlines()) == 1
