"""A file for a bug report says what is there, and nothing that is private."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from fake_machine import FakeMachine

from vtune.machine import bundle, write_bundle
from vtune.machine.bundle import without_private_data
from vtune.machine.finding import Finding

SECRETS = ("jane", "adas-laptop", "hf_abcdefghij", "tiger", "jane.doe@example.org", "recordings of mother")


def test_nothing_private_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_private_names", lambda: ["jane", "adas-laptop"])
    findings = [
        Finding("error", "OSError: /home/jane/recordings_of_mother/a.so on adas-laptop.", "login jane.doe@example.org"),
        Finding("warning", "https://jane:tiger@proxy.example/ refused hf_abcdefghij.", r"see C:\Users\Jane\x\log.txt"),
    ]
    machine = FakeMachine(environ={"HF_TOKEN": "hf_abcdefghij", "HOME": "/home/jane", "CUDA_VISIBLE_DEVICES": "0"})

    write_bundle(tmp_path / "report.zip", findings, machine)

    with zipfile.ZipFile(tmp_path / "report.zip") as file:
        texts = {name: file.read(name).decode() for name in file.namelist()}
    everything = "\n".join(texts.values()).lower()
    assert not [secret for secret in (*SECRETS, "recordings_of_mother", "users") if secret in everything]
    assert json.loads(texts["system.json"])["variables"] == {"CUDA_VISIBLE_DEVICES": "0"}
    assert [row["status"] for row in json.loads(texts["findings.json"])] == ["error", "warning"]
    assert "a.so" in texts["findings.json"]
    assert "torch " in texts["versions.txt"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://huggingface.co/docs/hub", "see https://huggingface.co/docs/hub"),
        ("pip install 'vtune-tts[qlora]'", "pip install 'vtune-tts[qlora]'"),
        ("44 MB/s, 12.0 of 16.0", "44 MB/s, 12.0 of 16.0"),
        ("/tmp/x/y.py: no", "FOLDER/y.py: no"),
        (r"C:\Users\me\y.py: no", "FOLDER/y.py: no"),
        ("token=ghp_abcdefgh1", "token=SECRET"),
    ],
)
def test_what_is_not_private_stays(text: str, expected: str) -> None:
    assert without_private_data(text) == expected
